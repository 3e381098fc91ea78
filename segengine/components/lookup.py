"""Look-up of components during validation: a field annotation that resolves names through the registry.

Each block is validated by the class that it names, so components can nest, a broken plugin does not affect other
blocks, and pydantic's error locations are paths of the YAML file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from segengine.components.base import KINDS, Component
from segengine.components.built_ins import BUILT_INS
from segengine.data.files.plugin_readers import forget_plugins
from segengine.errors import RegistryError
from segengine.registry import BUILT_IN, Provider, Registry, installed_providers, singular, suggest, with_article

SCHEMA_MARK = "x-segengine-kind"
SCORES = ("precision", "recall", "iou", "dice", "dice_per_image", "iou_per_image", "pixels", "images")
"""Names of scores from counts, which no metric may have."""


NO_PLUGINS = "SEGENGINE_NO_PLUGINS"
"""Environment variable by which --no-plugins reaches the processes of runs; `1`: built-in components only."""


@cache
def _registries() -> dict[str, Registry]:
    providers = installed_providers(BUILT_INS, plugins=os.environ.get(NO_PLUGINS) != "1")
    return {kind: Registry(kind, providers.get(kind, ())) for kind in KINDS}


def registry(kind: str) -> Registry:
    """The registry of one kind, read once per process from installed packages."""
    return _registries()[kind]


def forget_installed() -> None:
    """Discard the registries, so that the next look-up rereads installed plugins (after an installation in this process)."""
    _registries.cache_clear()
    forget_plugins()


def component_class(kind: str, name: str) -> type[Component]:
    """The class registered under `name`.

    Raises:
        RegistryError: unknown name, a plugin that can't be imported, or an object that is not a component of the kind.
    """
    return checked_class(registry(kind).find(name))


def checked_class(provider: Provider) -> type[Component]:
    """The provider's class, checked to be a component of the provider's kind and name."""
    base, loaded = KINDS[provider.kind], provider.load()
    what = f"{singular(provider.kind)} '{provider.name}' of plugin {provider.owner}"
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise RegistryError(f"{what} is not a subclass of segengine.plugin.{base.__name__}; correct {provider.package}")
    if provider.kind == "metrics" and provider.name in SCORES:
        raise RegistryError(
            f"{what} has the name of a score that segengine computes itself; rename it in {provider.package}"
        )
    declared = loaded.model_fields["name"].default
    if declared != provider.name:
        raise RegistryError(f"{what} declares the name {declared!r}; entry point and class must agree")
    return loaded


def qualified_name(component: Component) -> str:
    """The name that saved specs use: `package/name` for a plugin's component, plain for a built-in."""
    wanted = f"{type(component).__module__}:{type(component).__qualname__}"
    same_name = [p for p in registry(component.kind).providers if p.name == component.name]
    for provider in same_name:
        if provider.entry_point.value.replace(" ", "") == wanted or checked_class(provider) is type(component):
            return provider.qualified
    return component.name


def is_from_plugin(component: Component) -> bool:
    """Whether a component's class is not one of segengine's own."""
    return type(component).__module__.partition(".")[0] != BUILT_IN


def spoken(component: Component) -> str:
    """A component in messages: `backbone 'acme/tiny' of plugin acme 0.2`, `decoder 'unet'`."""
    name = qualified_name(component)
    what = f"{singular(component.kind)} '{name}'"
    package, slash, plain = name.partition("/")
    owners = [p for p in registry(component.kind).providers if slash and (p.package, p.name) == (package, plain)]
    return f"{what} of plugin {owners[0].owner}" if owners else what


class Choice:
    """Annotation of a field that holds any installed component of one kind.

    Accepts a name, a mapping with `name`, or a component; dumps a mapping with the qualified name.
    """

    def __init__(self, base: type[Component]) -> None:
        self.base = base

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate, serialization=core_schema.plain_serializer_function_ser_schema(dump)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {SCHEMA_MARK: self.base.kind}

    def _validate(self, value: Any, info: ValidationInfo) -> Component:
        if isinstance(value, self.base):
            return value
        what = singular(self.base.kind)
        if isinstance(value, str):
            value = {"name": value}
        elif not isinstance(value, Mapping):
            raise PydanticCustomError("component_type", f"{with_article(what)} is a name, or a mapping with `name`")
        name = value.get("name")
        if not isinstance(name, str):
            raise PydanticCustomError("component_name_missing", _without_name(what, value))
        try:
            cls = component_class(self.base.kind, name)
        except RegistryError as error:
            raise _at("name", "component_unknown", str(error), name) from error
        return cls.model_validate({**value, "name": name.rpartition("/")[2]}, context=info.context)


def dump(component: Component) -> dict[str, Any]:
    """A component as plain data, every default written out, the name qualified."""
    return {**component.model_dump(mode="json"), "name": qualified_name(component)}


def _without_name(what: str, block: Mapping[str, Any]) -> str:
    if "name" in block:
        return f"the `name` of {with_article(what)} must be a word"
    near = next((key for key in block if suggest(key, ["name"])), None)
    return f"this {what} has no `name`" + (f"; did you mean 'name' instead of '{near}'?" if near else "; add one")


def _at(key: str, kind: str, message: str, value: Any) -> ValidationError:
    # Curly braces are pydantic's placeholders in custom messages.
    error = PydanticCustomError(kind, "{message}", {"message": message})
    return ValidationError.from_exception_data("component", [InitErrorDetails(type=error, loc=(key,), input=value)])


def described(cls: type[Component]) -> dict[str, FieldInfo]:
    """A component's parameters without `name`."""
    return {name: field for name, field in cls.model_fields.items() if name != "name"}


__all__ = ["Choice", "checked_class", "component_class", "described", "dump", "forget_installed",
           "is_from_plugin", "qualified_name", "registry", "spoken"]  # fmt: skip
