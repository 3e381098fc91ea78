"""Names of components and packages given to `segengine plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segengine.registry import Provider


def chosen_providers(names: tuple[str, ...], package: str | None) -> list[Provider]:
    """The components with these names, of one package, or of all plugins.

    Raises:
        RegistryError: a name or package without components, and why.
    """
    from segengine.components.base import KINDS
    from segengine.components.lookup import registry
    from segengine.errors import RegistryError
    from segengine.registry import normalized, stray_groups

    known = [provider for kind in KINDS for provider in registry(kind).providers]
    if package is not None:
        packages = {provider.package for provider in known}
        if normalized(package) not in packages | {stray.package for stray in stray_groups(KINDS)}:
            raise RegistryError(f"--package {package}: {_why_no_components(package, packages)}")
        known = [provider for provider in known if provider.package == normalized(package)]
    elif not names:
        known = [provider for provider in known if not provider.built_in]
    chosen = [provider for provider in known if not names or {provider.name, provider.qualified} & set(names)]
    for name in names:
        if not any(name in (provider.name, provider.qualified) for provider in chosen):
            raise RegistryError(_why_unknown(name, known))
    return chosen


def _why_unknown(name: str, known: list[Provider]) -> str:
    """Why no component has a name: another API version, a package that isn't installed, or a typo."""
    from segengine.components.base import KINDS
    from segengine.components.lookup import registry
    from segengine.registry import API, normalized, singular, suggest

    package, _, plain = name.rpartition("/")
    for other in (provider for kind in KINDS for provider in registry(kind).foreign):
        if other.name == plain and (not package or other.package == normalized(package)):
            return (
                f"{singular(other.kind)} '{name}' of plugin {other.owner} uses plugin API {other.api}, and this version of "
                f"segengine supports {API}; install a version of {other.package} made for {API}"
            )
    packages = {provider.package for kind in KINDS for provider in registry(kind).providers}
    if package and normalized(package) not in packages:
        return f"there is no component '{name}': package {package}: {_why_no_components(package, packages)}"
    hint = suggest(plain, [provider.name for provider in known]) or "see segengine plugins list"
    return f"there is no component '{name}'; {hint}"


def _why_no_components(package: str, packages: set[str]) -> str:
    """Why a package has no components: made for another API version, without entry points, or not installed."""
    from importlib import metadata

    from segengine.components.base import KINDS
    from segengine.components.lookup import registry
    from segengine.registry import API, normalized, suggest

    foreign = [p for kind in KINDS for p in registry(kind).foreign if p.package == normalized(package)]
    if foreign:
        return f"{foreign[0].owner} uses plugin API {foreign[0].api}, and this version of segengine supports {API}; install another version"
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        near = suggest(normalized(package), packages)
        if near:
            return f"no such package with components; {near}"
        return f"is not installed; packages with components: {', '.join(sorted(packages))}"
    return f"{version} is installed, but has no entry points in groups segengine.{API}.<kind>"
