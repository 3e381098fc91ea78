"""What `init` makes of DICOM slices in the published layout of CHAOS, and of NumPy arrays."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segengine.cli.main import main
from tests.data.files.medical import MR, dicom, labels


def spec_of(tmp_path: Path, data: Path) -> dict:
    with pytest.raises(SystemExit) as ended:
        main(["init", str(data), "-o", str(tmp_path / "x.yaml")])
    assert not ended.value.code
    return yaml.safe_load((tmp_path / "x.yaml").read_text())


def test_the_published_layout_of_chaos_works_by_init_alone(tmp_path: Path) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for patient in (1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32):
        truth = np.minimum(labels(patient, (32, 32, 3)) * 2, 4)
        for s in range(3):
            name, base = f"IMG-{patient * 4:04d}-{s + 1:05d}", data / f"MR/{patient}"
            image = np.clip(rng.normal(300, 30, (32, 32)) + 100 * truth[:, :, s], 0, None).astype(np.uint16)
            elements = {"position": (0, 0, -6.0 * s), "spacing": (1.6, 1.5), "sop": MR, "BitsStored": 12, "HighBit": 11}
            dicom(base / f"T2SPIR/DICOM_anon/{name}.dcm", image, **elements)
            for phase in ("InPhase", "OutPhase"):
                dicom(base / f"T1DUAL/DICOM_anon/{phase}/{name}.dcm", 2000 - image, **elements)
            for kind in ("T2SPIR", "T1DUAL"):
                (base / kind / "Ground").mkdir(parents=True, exist_ok=True)
                Image.fromarray(truth[:, :, s] * np.uint8(63)).save(base / kind / f"Ground/{name}.png")
    spec = spec_of(tmp_path, data)
    assert spec["data"]["source"]["images"] == "MR/{group}/T2SPIR/DICOM_anon/*.dcm"
    assert spec["data"]["source"]["masks"] == "MR/{group}/T2SPIR/Ground/*.png"
    assert spec["data"]["window"] == "per-image"
    assert spec["evaluation"] == {"spacing": "auto"}
    assert set(spec["data"]["classes"]) <= {"background", "liver", "right kidney", "left kidney", "spleen"}


def test_arrays_work_by_init_alone(tmp_path: Path) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for i in range(8):
        truth = labels(i, (32, 32, 3))[:, :, 1]
        for name, values in (("images", rng.normal(0, 1, (32, 32, 4)) + truth[..., None]), ("masks", truth)):
            (data / name).mkdir(parents=True, exist_ok=True)
            np.save(data / name / f"a{i}.npy", values.astype(np.float32 if name == "images" else np.uint8))
    spec = spec_of(tmp_path, data)
    assert spec["data"]["source"]["images"] == "images/*.npy"
