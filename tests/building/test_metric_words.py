"""How the means of metrics are put into a line."""

from segengine.building.measuring import sentence


def row(**changes):
    both = {"mean": 2.5, "images": 3, "truth_only": 1, "prediction_only": 0, "neither": 0}
    return {
        "words": "HD95", "better": "lower", "unit": "mm", "by_class": True, "mean": 2.5, "images": 4,
        "classes": {"lesion": both, "vessel": {**both, "mean": None, "images": 0}}, **changes,
    }  # fmt: skip


def test_a_metric_of_classes_names_each_with_its_images():
    assert sentence(row(), "test") == (
        "HD95 of test images, lower is better: 2.500 mm; lesion 2.500 (3 of 4 images; 1 missed), "
        "vessel - (0 of 4 images; 1 missed)"
    )


def test_a_metric_of_whole_images_says_its_mean_once():
    whole = {"mean": 0.235, "images": 4, "truth_only": 0, "prediction_only": 0, "neither": 0}
    said = sentence(row(words="ECE", unit=None, by_class=False, mean=0.235, classes={"image": whole}), "validation")
    assert said == "ECE of validation images, lower is better: 0.235 (4 of 4 images)"
