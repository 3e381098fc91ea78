"""Registry of installed components from package metadata; a component is imported only when it is used.

A plugin is a distribution with entry points in a group `segengine.v1.<kind>`; built-ins are
entry points defined in a table and handled in the same way. Listing, suggestions, ownership, name
clashes and wrong API versions need no import.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
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


def installed_providers(
    built_ins: Iterable[metadata.EntryPoint] = (), *, plugins: bool = True
) -> Mapping[str, Sequence[Provider]]:
    """All providers by kind: the given built-ins, then with `plugins` those of every installed distribution."""
    found: dict[str, list[Provider]] = defaultdict(list)
    installed = metadata.entry_points() if plugins else metadata.EntryPoints()
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


@cache
def import_crash(provider: Provider) -> str:
    """What is wrong if importing a plugin's module ends a process without an exception, '' if it doesn't.

    Tried in a child process, since `os._exit` or a crash of native code would end this one too.
    """
    code = f"import importlib\ntry:\n importlib.import_module({provider.entry_point.module!r})\nexcept BaseException:\n pass\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}import os; os.write(2, b'imported')"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    if done.stderr.endswith(b"imported"):
        return ""
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return (
        f"{singular(provider.kind)} '{provider.name}' of plugin {provider.owner}: importing {provider.entry_point.module} ends "
        f"the process ({how}); remove os._exit there, or uninstall {provider.package}"
    )


@dataclass(frozen=True)
class StrayGroup:
    """An entry-point group that looks like one of components but is none: nothing in it is found."""

    group: str
    owner: str
    package: str
    names: tuple[str, ...]
    hint: str

    @property
    def text(self) -> str:
        return f"entry-point group '{self.group}' of {self.owner} is not known ({', '.join(self.names)}); {self.hint}"


def stray_groups(kinds: Iterable[str]) -> list[StrayGroup]:
    """Entry-point groups of installed distributions that resemble `segengine.v1.<kind>`, such as `segengine.v1.backbone`."""
    known = [f"segengine.{API}.{kind}" for kind in kinds]
    members: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    installed = metadata.entry_points()
    for group in sorted(installed.groups):
        match = _GROUP.match(group)
        if group in known or (match and match["api"] != API and f"segengine.{API}.{match['kind']}" in known):
            continue
        if not group.lower().startswith(("segengine", "segengin", "segmentation-engine")) and not _resembles(
            group, known
        ):
            continue
        for point in installed.select(group=group):
            package = normalized(point.dist.name) if point.dist is not None else BUILT_IN
            owner = f"{package} {point.dist.version}" if point.dist is not None else BUILT_IN
            members[group, owner, package].append(point.name)
    return [
        StrayGroup(
            group,
            owner,
            package,
            tuple(sorted(names)),
            suggest(_with_api(group), known) or f"groups: {', '.join(known)}",
        )
        for (group, owner, package), names in members.items()
    ]


def _resembles(group: str, known: Iterable[str]) -> bool:
    return bool(difflib.get_close_matches(group.lower(), known, n=1, cutoff=0.85))


def _with_api(group: str) -> str:
    """A group with the API version that it may lack: `segengine.backbones` -> `segengine.v1.backbones`."""
    parts = group.split(".")
    return group if re.search(r"\bv\d+\b", group) or len(parts) < 2 else ".".join([parts[0], API, *parts[1:]])


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
