"""The table of built-in components, registered by entry points like plugins."""

from __future__ import annotations

from importlib.metadata import EntryPoint

_TABLE: dict[str, dict[str, str]] = {
    "backbones": {"vgg": "backbones:Vgg", "timm": "backbones:Timm"},
    "decoders": {
        "unet": "decoders:Unet",
        "unet-plus-plus": "decoders:UnetPlusPlus",
        "fpn": "decoders:Fpn",
        "deeplabv3-plus": "decoders:DeepLabV3Plus",
        "manet": "decoders:Manet",
        "linknet": "decoders:Linknet",
        "pspnet": "decoders:PspNet",
        "upernet": "decoders:UperNet",
        "segformer": "decoders:SegFormer",
    },
    "losses": {
        "cross-entropy": "losses:CrossEntropy",
        "dice": "losses:Dice",
        "focal": "losses:Focal",
        "tversky": "losses:Tversky",
        "lovasz": "losses:Lovasz",
        "jaccard": "losses:Jaccard",
        "ohem": "losses:Ohem",
        "boundary": "losses:Boundary",
        "weighted-sum": "losses:WeightedSum",
    },
    "mask_mappers": {
        "gray-index": "mask_mappers:GrayIndex",
        "palette": "mask_mappers:Palette",
        "rgb": "mask_mappers:Rgb",
        "index": "mask_mappers:Index",
        "foreground": "mask_mappers:Foreground",
    },
    "augmentations": {
        "multi-scale": "augmentations:MultiScale",
        "flip": "augmentations:Flip",
        "rotate": "augmentations:Rotate",
        "crop": "augmentations:Crop",
        "brightness-contrast": "augmentations:BrightnessContrast",
        "albumentations": "augmentations:Albumentations",
        "cutmix": "augmentations:CutMix",
        "copy-paste": "augmentations:CopyPaste",
    },
    "sources": {
        "folders": "sources:Folders",
        "table": "sources:Table",
        "coco": "annotation_sources:Coco",
        "labelme": "annotation_sources:Labelme",
        "yolo": "annotation_sources:Yolo",
        "cvat": "annotation_sources:Cvat",
        "label-studio": "annotation_sources:LabelStudio",
    },
    "readers": {
        "png": "readers:Png",
        "jpg-jpeg": "readers:Jpeg",
        "tif-tiff": "readers:Tiff",
        "bmp": "readers:Bmp",
        "gif": "readers:Gif",
        "webp": "readers:WebP",
        "npy": "readers:Npy",
        "npz": "readers:Npz",
        "nii-nii.gz": "readers:Nifti",
        "dcm": "readers:Dicom",
    },
    "optimizers": {"adamw": "optimizers:AdamW", "adam": "optimizers:Adam", "sgd": "optimizers:Sgd"},
    "schedules": {
        "cosine": "schedules:Cosine",
        "poly": "schedules:Poly",
        "step": "schedules:StepDecay",
        "constant": "schedules:Constant",
        "one-cycle": "schedules:OneCycle",
    },
    "executors": {
        "local": "segengine.study.executors.components:Local",
        "ray": "segengine.study.executors.components:Ray",
    },
    "metrics": {
        "hd95": "metrics:Hd95",
        "hausdorff": "metrics:Hausdorff",
        "assd": "metrics:Assd",
        "nsd": "metrics:Nsd",
        "boundary-iou": "metrics:BoundaryIou",
        "cldice": "metrics:ClDice",
        "ece": "metrics:ExpectedCalibrationError",
    },
    "postprocessors": {
        "largest-component": "postprocessors:LargestComponent",
        "remove-small": "postprocessors:RemoveSmall",
        "fill-holes": "postprocessors:FillHoles",
        "smooth": "postprocessors:Smooth",
        "class-rule": "postprocessors:ClassRule",
    },
    "exporters": {"onnx": "segengine.inference.export.components:Onnx"},
    "trackers": {
        "tensorboard": "segengine.training.trackers.components:TensorBoard",
        "mlflow": "segengine.training.trackers.components:MlFlow",
    },
}

BUILT_INS: tuple[EntryPoint, ...] = tuple(
    EntryPoint(
        name=name,
        value=value if value.startswith("segengine.") else f"segengine.components.{value}",
        group=f"segengine.v1.{kind}",
    )
    for kind, table in _TABLE.items()
    for name, value in table.items()
)
