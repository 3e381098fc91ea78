from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segengine.components.lookup import component_class, qualified_name, registry
from segengine.errors import RegistryError
from segengine.registry import suggest

Install = Callable[..., Path]

BLUR = '''
from typing import Literal
from pydantic import Field
from segengine.plugin import Augmentation

class Blur(Augmentation):
    """Blurs."""
    name: Literal["{name}"] = "{name}"
    radius: int = Field(default=1, description="pixels")
'''


def test_an_installed_component_is_found_by_its_plain_name(install: Install) -> None:
    install("acme-blur", {"augmentations": {"blur": "acme_blur:Blur"}}, BLUR.format(name="blur"))
    component = component_class("augmentations", "blur")(radius=2)  # type: ignore[call-arg]
    assert component.model_dump() == {"name": "blur", "radius": 2}
    assert qualified_name(component) == "acme-blur/blur"
    assert component_class("augmentations", "acme_blur/blur") is type(component)


def test_listing_imports_no_plugin(install: Install) -> None:
    install("bomb", {"losses": {"boom": "bomb:Boom"}}, "raise SystemExit('would end the program')")
    assert "boom" in registry("losses").names()
    with pytest.raises(RegistryError, match="did you mean 'boom'"):
        registry("losses").find("bom")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("class Blur: pass", "is not a subclass of segengine.plugin.Augmentation"),
        (BLUR.format(name="smear"), "declares the name 'smear'; entry point and class must agree"),
    ],
)
def test_a_broken_plugin_costs_one_line_where_it_is_named(install: Install, code: str, message: str) -> None:
    install("broken", {"augmentations": {"blur": "broken:Blur"}}, code)
    assert component_class("augmentations", "flip").title()
    with pytest.raises(RegistryError) as caught:
        component_class("augmentations", "blur")
    assert message in str(caught.value)
    assert "broken 1.0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_built_in_keeps_its_plain_name(install: Install) -> None:
    install("other", {"augmentations": {"flip": "other:Blur"}}, BLUR.format(name="flip"))
    assert component_class("augmentations", "flip").__module__ == "segengine.components.augmentations"
    assert component_class("augmentations", "other/flip").__module__ == "other"
    assert {"flip", "other/flip"} <= set(registry("augmentations").names())


def test_two_plugins_with_one_name_are_an_error_only_where_the_plain_name_is_used(install: Install) -> None:
    for package in ("one", "two"):
        install(package, {"augmentations": {"blur": f"{package}:Blur"}}, BLUR.format(name="blur"))
    assert component_class("augmentations", "two/blur").__module__ == "two"
    with pytest.raises(RegistryError) as caught:
        component_class("augmentations", "blur")
    assert str(caught.value) == "augmentation 'blur' is in 2 plugins; write one/blur or two/blur"


def test_a_plugin_for_another_api_version_is_named(install: Install) -> None:
    install("future", {"backbones": {"warp": "future:Warp"}}, api="v2")
    assert "warp" not in registry("backbones").names()
    with pytest.raises(RegistryError, match=r"'warp' of plugin future 1.0 uses plugin API v2"):
        registry("backbones").find("warp")


@pytest.mark.parametrize(
    ("word", "options", "hint"),
    [
        ("resnt", ["resnet", "vgg"], "did you mean 'resnet'?"),
        ("batchsize", ["batch_size", "epochs"], "did you mean 'batch_size'?"),
        ("adamv", ["adam", "adamw", "sgd"], "did you mean 'adam' or 'adamw'?"),
        ("UNET", ["unet", "unet-plus-plus"], "did you mean 'unet'?"),
        ("xyz", ["unet"], ""),
    ],
)
def test_suggestions(word: str, options: list[str], hint: str) -> None:
    assert suggest(word, options) == hint
