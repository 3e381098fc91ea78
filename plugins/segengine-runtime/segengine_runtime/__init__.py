"""Prediction with models exported by segengine; requires numpy, Pillow and onnxruntime, but not torch."""

from segengine_runtime.errors import ModelError
from segengine_runtime.model import OnnxModel, load
from segengine_runtime.prediction import Encoding, Label, Prediction

__all__ = ["Encoding", "Label", "ModelError", "OnnxModel", "Prediction", "load"]
