"""The array types of the package, and rows as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.schemas import LabelledRow

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def targets_and_weights(rows: Sequence[LabelledRow]) -> tuple[Array, Array]:
    """Targets and weights of rows, each of shape (rows, themes)."""
    return np.array([row.targets for row in rows]), np.array([row.weights for row in rows])
