"""The network as a program of torch.export."""

from __future__ import annotations

import json
from pathlib import Path

from segengine.errors import RunError
from segengine.inference.export.job import ExportJob

_EXAMPLE = (2, 97, 70)
_LARGEST = 65536


def write_program(job: ExportJob, path: Path) -> None:
    """Write `path` (.pt2); its extra file `segengine.json` holds the metadata.

    Raises:
        RunError: torch can't trace the network with images of any size.
    """
    import torch

    channels, windows = int(job.trained.run["data"]["channels"]), job.windows
    example = torch.zeros(*_EXAMPLE, channels, dtype=torch.uint8 if windows is None else torch.float32)
    sizes = {
        axis: torch.export.Dim(name, min=1, max=_LARGEST) for axis, name in enumerate(("batch", "height", "width"))
    }
    try:
        with torch.no_grad():
            program = torch.export.export(job.network(), (example,), dynamic_shapes={"image": sizes})
        torch.export.save(program, path, extra_files={"segengine.json": json.dumps(job.facts())})
    except Exception as error:  # torch.export raises many types
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{job.trained.folder.path}: torch can't trace this network with images of any size ({reason})"
        ) from error
