"""Comparing the runs below a folder, and what is said where that is refused."""

import pytest

from segengine.comparison.load import candidates
from segengine.comparison.summary import compare
from segengine.errors import ComparisonError

POLICY = {"averaged": ["liver", "spleen"], "left_out": ["background"], "undefined": "left out"}


def compared(root, split=None):
    (found,) = candidates([], root)
    return compare(found, split)


def refused(root, split=None):
    with pytest.raises(ComparisonError) as error:
        compared(root, split)
    return str(error.value)


def only(root, *paths):
    (found,) = candidates([], root)
    return compare(found, None, paths)
