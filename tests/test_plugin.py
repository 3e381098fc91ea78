"""The surface that plugin authors rely on."""

import ast
import dataclasses
import inspect
import subprocess
import sys
import textwrap
import typing

import numpy as np
import pytest
import torch

import segengine.plugin
from segengine.components.base import KINDS
from segengine.plugin import SpecError, build_timm_backbone, check_timm_model, load_backbone_weights

HEAVY = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "albumentations", "cv2", "matplotlib")


def test_all_is_sorted_without_repetition_and_importable():
    names = segengine.plugin.__all__
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(segengine.plugin, name)] == []


def test_the_base_class_of_every_kind_is_there():
    assert {base.__name__ for base in KINDS.values()} <= set(segengine.plugin.__all__)


def test_everything_public_has_a_docstring():
    public = [getattr(segengine.plugin, name) for name in segengine.plugin.__all__]
    public = [item for item in public if typing.get_origin(item) is None]  # types of arrays and callables
    assert [item for item in public if (isinstance(item, type) or callable(item)) and not item.__doc__] == []


def test_importing_it_loads_nothing_heavy():
    code = f"import segengine.plugin, sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_transform_of_levels_can_be_written_with_what_is_exported():
    class Darker:
        size = None

        def draw_levels(self, rng):
            return segengine.plugin.Levels(shift=-0.1 * rng.random(), stretch=0.0)

        def apply(self, image, mask, rng):
            return self.draw_levels(rng)(image), mask

    assert isinstance(Darker(), segengine.plugin.LevelTransform)
    image, mask = np.full((4, 5, 3), 100, np.uint8), np.zeros((4, 5), np.uint8)
    shift = -0.1 * np.random.default_rng(3).random()
    changed, _ = Darker().apply(image, mask, np.random.default_rng(3))
    assert (changed == round(100 + 255 * shift)).all()


def test_a_timm_backbone_can_be_built_by_name():
    backbone = build_timm_backbone("resnet18", in_channels=2, output_stride=16)
    assert backbone.strides == (2, 4, 8, 16, 16)
    assert len(backbone.mean) == 2
    with pytest.raises(SpecError, match="has no model 'resnet1x'; did you mean"):
        check_timm_model("resnet1x")


def test_weights_of_a_file_can_be_loaded_into_any_backbone(tmp_path):
    source, target = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3))
    torch.save(source.state_dict(), tmp_path / "w.pth")
    load_backbone_weights(target, tmp_path / "w.pth", in_channels=1)
    torch.testing.assert_close(target[0].weight, source[0].weight.sum(1, keepdim=True))


def bound_in_segengine(module):
    """Names that a module defines, or imports from segengine, also for type checkers only."""
    names = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segengine"):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def names_in_annotations(item):
    """Names in the annotations of a class's fields and public methods, or of a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(item)))
    annotations = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (
            not node.name.startswith("_") or node.name in ("__init__", "__call__")
        ):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            annotations += [node.returns, *(argument.annotation for argument in given)]
        elif isinstance(node, ast.AnnAssign):
            annotations.append(node.annotation)
    return {part.id for part in annotations if part for part in ast.walk(part) if isinstance(part, ast.Name)}


def test_every_type_in_the_surface_is_public():
    public = set(segengine.plugin.__all__)
    hidden = {}
    for name in sorted(public):
        item = getattr(segengine.plugin, name)
        if inspect.isclass(item) or inspect.isfunction(item):
            used = names_in_annotations(item) & bound_in_segengine(inspect.getmodule(item))
            if missing := sorted(used - public - {"T"}):
                hidden[name] = missing
    assert hidden == {}


def test_former_names_of_the_executors_interface_still_work():
    from segengine.plugin import Desk, ExecutorContext, Job, JobEnded, JobPlacement, Place

    assert (Desk, Place) == (ExecutorContext, JobPlacement)
    job = Job("a", {}, lambda: lambda placement, send: 0)
    for ended in (
        JobEnded(job, 1, said="last words"),
        JobEnded(job, 1, output="last words"),
        JobEnded(job, 1, "last words"),
    ):
        assert (ended.output, ended.said, ended.message, ended.exit_code) == ("last words", "last words", "", 1)
    assert JobEnded(job, 1, said="x", message="y") == JobEnded(job, 1, "x", "y")
    for placement in (JobPlacement("cpu", share=3), JobPlacement("cpu", 3), JobPlacement("cpu", concurrent_jobs=3)):
        assert (placement.share, placement.concurrent_jobs, placement.gpu_part) == (3, 3, 1.0)
    assert dataclasses.replace(JobEnded(job, 1, said="x"), message="z").output == "x"
