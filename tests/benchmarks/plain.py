"""Training as a careful user writes it by hand: smp.Unet, albumentations, DataLoader, autocast on a GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader, Dataset

from tests.benchmarks.material import CLASSES, ENCODERS, Material

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Images(Dataset[Any]):
    """Files, decoded and changed in __getitem__."""

    def __init__(self, pairs: list[tuple[Path, Path]], window: int | None, repeat: int = 1) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import albumentations as A

        self.pairs = pairs * repeat
        changes = [
            A.RandomScale(scale_limit=0.5, p=1),
            A.HorizontalFlip(p=0.5),
            A.PadIfNeeded(window, window, fill_mask=255),
            A.RandomCrop(window, window),
            A.Rotate(limit=15, fill_mask=255, border_mode=cv2.BORDER_CONSTANT, p=1),
            A.RandomBrightnessContrast(0.2, 0.2, p=1),
        ] if window else [
            A.PadIfNeeded(None, None, pad_height_divisor=32, pad_width_divisor=32, fill_mask=255),
        ]  # fmt: skip
        self.compose = A.Compose([*changes, A.Normalize(MEAN, STD), A.ToTensorV2()])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = (str(path) for path in self.pairs[index])
        pixels = cv2.cvtColor(cv2.imread(image), cv2.COLOR_BGR2RGB)
        changed = self.compose(image=pixels, mask=cv2.imread(mask, cv2.IMREAD_GRAYSCALE))
        return changed["image"], changed["mask"].long()


def loader(
    pairs: list[tuple[Path, Path]], window: int | None, batch: int, workers: int, *, pin: bool, repeat: int = 1
) -> DataLoader[Any]:
    """Batches float32 [B, 3, h, w] and int64 [B, h, w]; shuffled where `window` says that they train."""
    settings: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    data = Images(pairs, window, repeat)
    training = window is not None
    return DataLoader(
        data, batch, shuffle=training, drop_last=training, num_workers=workers, pin_memory=pin, worker_init_fn=_calm,
        **settings,
    )  # fmt: skip


def _calm(_: int) -> None:
    cv2.setNumThreads(0)


class Loop:
    """Network, optimizer, and a step: eager, channels first, bf16 autocast on a GPU and float32 on a CPU."""

    def __init__(self, model: str, device: torch.device, network: torch.nn.Module | None = None) -> None:
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = device.type == "cuda"
        self.device = device
        self.model = (network or smp.Unet(ENCODERS[model], encoder_weights=None, classes=CLASSES)).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.01)
        self.loss = torch.nn.CrossEntropyLoss(ignore_index=255)

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits: torch.Tensor = self.model(images)
        return logits.float()

    def step(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """One optimizer step; the loss, on the device."""
        images, masks = images.to(self.device, non_blocking=True), masks.to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self._logits(images), masks)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def validate(self, batches: DataLoader[Any]) -> float:
        """Mean over images and classes of Dice, by arg-max and smp's counts."""
        self.model.eval()
        scores = []
        for images, truth in batches:
            predicted = self._logits(images.to(self.device, non_blocking=True)).argmax(1)
            masks = truth.to(self.device)
            tp, fp, fn, _ = smp.metrics.get_stats(
                predicted, masks, mode="multiclass", num_classes=CLASSES, ignore_index=255
            )
            scores.append((2 * tp / (2 * tp + fp + fn).clamp(min=1)).float().cpu())
        self.model.train()
        return float(torch.cat(scores).mean())


def epochs(
    loop: Loop, material: Material, *, window: int, batch: int, count: int, workers: int, folder: Path
) -> Iterator[float]:
    """Trains; after each epoch the time when it was over, validation and checkpoint included."""
    best, pin = -1.0, loop.device.type == "cuda"
    train = loader(material.pairs("train"), window, batch, workers, pin=pin)
    validation = loader(material.pairs("validation"), None, 8 if pin else 1, workers, pin=pin)
    for epoch in range(count):
        total = 0.0
        for images, masks in train:
            total += loop.step(images, masks).item()
        score = loop.validate(validation)
        state = {
            "model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict(), "epoch": epoch,
            "loss": total / len(train),
        }  # fmt: skip
        torch.save(state, folder / "last.pt")
        if np.isfinite(score) and score > best:
            best = score
            torch.save(loop.model.state_dict(), folder / "best.pt")
        yield time.time()
