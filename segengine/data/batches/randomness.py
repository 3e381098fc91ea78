"""Random generators keyed by seed, epoch, image and purpose; independent of workers, processes and resumption."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt


def generator(seed: int, epoch: int, image_id: str, purpose: str = "augment") -> np.random.Generator:
    """The random generator (Philox, keyed by BLAKE2b) of one image in one pass over the data."""
    text = "\0".join((str(seed), str(epoch), purpose, image_id))
    key = int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def permutation(seed: int, cycle: int, n: int) -> npt.NDArray[np.int64]:
    """The random order, int64 [n], of `n` images in pass number `cycle`."""
    return generator(seed, cycle, "", "order").permutation(n).astype(np.int64, copy=False)
