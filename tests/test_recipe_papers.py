"""Each part of the training recipe is a component or a setting, and says where it comes from."""

import pytest

from segengine.components.lookup import registry
from segengine.specs.sections import ModelSection, TrainingSection

COMPONENTS = [
    ("schedules", "cosine", "Loshchilov & Hutter, 2017"),
    ("schedules", "poly", "Chen et al., DeepLab, 2017"),
    ("schedules", "one-cycle", "Smith & Topin, 2019"),
    ("augmentations", "cutmix", "Yun et al., 2019"),
    ("augmentations", "copy-paste", "Ghiasi et al., 2021"),
    ("losses", "focal", "Lin et al., 2017"),
    ("losses", "dice", "Milletari et al., 2016"),
    ("losses", "tversky", "Salehi et al., 2017"),
    ("losses", "jaccard", "Rahman & Wang, 2016"),
    ("losses", "lovasz", "Berman et al., 2018"),
    ("losses", "ohem", "Shrivastava et al., 2016"),
    ("losses", "boundary", "Kervadec et al., 2019"),
    ("optimizers", "adamw", "Loshchilov & Hutter, 2019"),
    ("optimizers", "adam", "Kingma & Ba, 2015"),
    ("optimizers", "sgd", "Sutskever et al., 2013"),
]
FIELDS = [
    ("schedules", "poly", "warmup", "Goyal et al., 2017"),
    ("schedules", "cosine", "warmup", "Goyal et al., 2017"),
    ("losses", "cross-entropy", "label_smoothing", "Szegedy et al., 2016"),
    ("augmentations", "crop", "rare_share", "nnU-Net, Isensee et al., 2021"),
    ("augmentations", "multi-scale", "rare_share", "nnU-Net, Isensee et al., 2021"),
    ("backbones", "timm", "drop_path", "Huang et al., 2016"),
]
SETTINGS = [
    (TrainingSection, "ema", "Polyak & Juditsky, 1992; Tarvainen & Valpola, 2017"),
    (TrainingSection, "backbone_learning_rate_factor", "Howard & Ruder, 2018"),
    (TrainingSection, "clip_norm", "Pascanu et al., 2013"),
    (TrainingSection, "sync_batch_norm", "Peng et al., 2018"),
    (ModelSection, "freeze_backbone", "Yosinski et al., 2014"),
    (ModelSection, "auxiliary_weight", "Zhou et al., 2018"),
    (ModelSection, "auxiliary_weight", "Zhao et al., PSPNet, 2017"),
]


@pytest.mark.parametrize(("kind", "name", "paper"), COMPONENTS)
def test_a_component_names_its_paper(kind, name, paper):
    assert paper in registry(kind).find(name).load().__doc__


@pytest.mark.parametrize(("kind", "name", "field", "paper"), FIELDS)
def test_a_setting_of_a_component_names_its_paper(kind, name, field, paper):
    assert paper in registry(kind).find(name).load().model_fields[field].description


@pytest.mark.parametrize(("section", "field", "paper"), SETTINGS)
def test_a_setting_of_training_or_model_names_its_paper(section, field, paper):
    assert paper in section.model_fields[field].description
