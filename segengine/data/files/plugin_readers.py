"""Readers of installed plugins, by the suffixes in their names; metadata only until such a file is read.

A reader's name lists its suffixes without the leading dot, separated by hyphens: `nrrd-nhdr` reads `.nrrd` and `.nhdr`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from segengine.errors import DataError
from segengine.registry import API, Provider, installed_providers

_ATTRIBUTES = ("name", "suffixes", "signatures", "holds", "build")


@cache
def _by_suffix() -> dict[str, list[Provider]]:
    found: dict[str, list[Provider]] = {}
    for provider in installed_providers().get("readers", ()):
        for suffix in suffixes_of_name(provider.name) if provider.api == API else ():
            found.setdefault(suffix, []).append(provider)
    return found


def suffixes_of_name(name: str) -> tuple[str, ...]:
    """The suffixes that a reader's name lists: `.nii` and `.nii.gz` for `nii-nii.gz`."""
    return tuple(f".{part}" for part in name.lower().split("-") if part)


def plugin_suffixes(built_in: Collection[str] = ()) -> tuple[str, ...]:
    """Suffixes that installed plugins read, without those of built-in formats; imports no plugin."""
    return tuple(suffix for suffix in _by_suffix() if suffix not in built_in)


@cache
def plugin_reader(suffix: str) -> Any:
    """The reader (a component) for a suffix, imported here; None if no plugin reads it.

    Raises:
        DataError: two plugins read the suffix. RegistryError: the plugin can't be imported.
    """
    providers = _by_suffix().get(suffix, [])
    if not providers:
        return None
    if len(providers) > 1:
        raise DataError(
            f"{suffix} files are read by {len(providers)} plugins ({', '.join(p.owner for p in providers)}); uninstall all but one"
        )
    loaded = providers[0].load()
    if not isinstance(loaded, type) or not all(hasattr(loaded, name) for name in _ATTRIBUTES[1:]):
        raise DataError(
            f"the reader '{providers[0].name}' of plugin {providers[0].owner} is not a segengine.plugin.Reader; correct or "
            f"uninstall {providers[0].package}"
        )
    return loaded()


def forget_plugins() -> None:
    """Clear the cache of installed plugins."""
    _by_suffix.cache_clear()
    plugin_reader.cache_clear()
