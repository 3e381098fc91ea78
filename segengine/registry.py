"""Registry of installed components from package metadata; a component is imported only when it is used.

A plugin is a distribution with entry points in a group `segengine.v1.<kind>`; built-ins are
entry points defined in a table and handled in the same way. Listing, suggestions, ownership, name
clashes and wrong API versions need no import.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from segengine.errors import RegistryError

API = "v1"
BUILT_IN = "segengine"
_GROUP = re.compile(r"^segengine\.(?P<api>v\d+)\.(?P<kind>\w+)$")


@dataclass(frozen=True)
class Provider:
    """One named component of one installed distribution; importing it waits for `load`."""

    kind: str
    name: str
    package: str
    version: str
    api: str
    entry_point: metadata.EntryPoint

    @property
    def built_in(self) -> bool:
        return self.package == BUILT_IN

    @property
    def qualified(self) -> str:
        """`package/name` for a plugin's component, the plain name for a built-in."""
        return self.name if self.built_in else f"{self.package}/{self.name}"

    @property
    def owner(self) -> str:
        return f"{self.package} {self.version}".strip()

    def load(self) -> object:
        """Import the object behind the entry point.

        Raises:
            RegistryError: one line naming the plugin, whatever its import raised (SystemExit too).
        """
        try:
            loaded: object = self.entry_point.load()
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RegistryError(
                f"{singular(self.kind)} '{self.name}' of plugin {self.owner} can't be imported: "
                f"{type(error).__name__}: {reason}; repair or uninstall {self.package}"
            ) from error
        return loaded


class Registry:
    """The components of one kind."""

    def __init__(self, kind: str, providers: Iterable[Provider]) -> None:
        self.kind = kind
        everything = sorted(providers, key=lambda p: (not p.built_in, p.package, p.name))
        self.providers = tuple(p for p in everything if p.api == API)
        self.foreign = tuple(p for p in everything if p.api != API)
        self._by_name: dict[str, list[Provider]] = defaultdict(list)
        for provider in self.providers:
            self._by_name[provider.name].append(provider)

    def spoken_name(self, provider: Provider) -> str:
        """The shortest unambiguous name of `provider` in a spec."""
        same = self._by_name[provider.name]
        return provider.name if same[0] is provider and (provider.built_in or len(same) == 1) else provider.qualified

    def names(self) -> list[str]:
        """All names that a spec can use, built-ins first."""
        return [self.spoken_name(p) for p in self.providers]

    def find(self, name: str) -> Provider:
        """The provider that `name` (plain or `package/name`) means.

        Raises:
            RegistryError: unknown or ambiguous name, or a plugin for another API version.
        """
        package, _, plain = name.rpartition("/")
        candidates = [p for p in self._by_name.get(plain, ()) if not package or p.package == normalized(package)]
        if candidates and (len(candidates) == 1 or candidates[0].built_in):
            return candidates[0]
        what = singular(self.kind)
        if candidates:
            choices = " or ".join(p.qualified for p in candidates)
            raise RegistryError(f"{what} '{name}' is in {len(candidates)} plugins; write {choices}")
        for other in self.foreign:
            if other.name == plain and (not package or other.package == normalized(package)):
                raise RegistryError(
                    f"{what} '{name}' of plugin {other.owner} uses plugin API {other.api}, and this "
                    f"version of segengine supports {API}; install a version of {other.package} made for {API}"
                )
        raise RegistryError(
            f"there is no {what} '{name if len(name) <= 60 else name[:57] + '...'}'; {self._hint(name)}"
        )

    def _hint(self, name: str) -> str:
        near = suggest(name, self.names())
        if near:
            return near
        known = ", ".join(self.names()) or "none"
        return f"installed: {known}; if a plugin has it, install that plugin"


def installed_providers(built_ins: Iterable[metadata.EntryPoint] = ()) -> Mapping[str, Sequence[Provider]]:
    """All providers by kind: the given built-ins, then those of every installed distribution."""
    found: dict[str, list[Provider]] = defaultdict(list)
    installed = metadata.entry_points()
    for entry_point in [*built_ins, *(e for group in sorted(installed.groups) for e in installed.select(group=group))]:
        match = _GROUP.match(entry_point.group)
        if match is None:
            continue
        dist = entry_point.dist
        package = normalized(dist.name) if dist is not None else BUILT_IN
        version = dist.version if dist is not None else ""
        found[match["kind"]].append(
            Provider(match["kind"], entry_point.name, package, version, match["api"], entry_point)
        )
    return found


def normalized(package: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def singular(kind: str) -> str:
    """A kind's name in messages: `mask_mappers` -> `mask mapper`."""
    special = {"losses": "loss"}
    return special.get(kind, kind.removesuffix("s")).replace("_", " ")


def with_article(noun: str) -> str:
    """`a loss`, `an optimizer`."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def suggest(word: str, options: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest of `options`, or an empty string."""
    by_lower = {str(option).lower(): str(option) for option in options}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=2, cutoff=0.6)
    if not near:
        return ""
    if len(near) == 2 and _ratio(word, near[0]) - _ratio(word, near[1]) > 0.12:
        near = near[:1]
    return "did you mean " + " or ".join(f"'{by_lower[n]}'" for n in near) + "?"


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, b, a.lower()).ratio()
