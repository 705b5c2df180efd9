"""Weights of a BERT-like encoder made small: how each is kept in eight bits or sixteen.

A layer in int8 has a scale for each output and one fixed range for its input, so that an answer does not depend on the
other texts in its batch. In BERT-like encoders a few channels have values a hundred times as large as the others. Part
of that excess is first moved into the weights (SmoothQuant, Xiao et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
InputRanges = dict[tuple[str, ...], tuple[NDArray[Any], NDArray[Any]]]
"""By the layers that share an input: the lowest and highest values of its channels, each of shape (texts, channels)."""

WORDS = "embeddings.word_embeddings.weight"
SMOOTHQUANT_ALPHA = 0.6
"""How much of the excess goes into the weights. Mean change of a log-odds at .5: .48, at .7: .10; at .6, with the
layers behind gelu in 16 bits: .04."""
TINY = 1e-6  # keeps a channel that is zero everywhere from dividing by zero


@dataclass(frozen=True)
class EncoderShape:
    """What the weights don't say: how many layers and heads, where positions begin, how vectors are pooled."""

    layers: int
    heads: int
    first_position: int
    epsilon: float
    pooling: str


def to_float16(tensors: Tensors) -> Tensors:
    """The encoder's float32 matrices in float16, the rest as it is; the head is small and decides, so it stays."""
    return {
        name: tensor.astype(np.float16)
        if name.endswith(".weight") and not name.startswith("head.") and tensor.ndim > 1 and tensor.dtype == np.float32
        else tensor
        for name, tensor in tensors.items()
    }


def to_int8(tensors: Tensors, ranges: InputRanges) -> Tensors:
    """Word vectors and the linear layers whose inputs' ranges are known in int8, other matrices in float16."""
    small = to_float16(smoothquant_int8(tensors, ranges))
    small[WORDS], small[f"{WORDS}_scale"] = rows_in_int8(tensors[WORDS])
    return small


def rows_in_int8(matrix: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix as int8 from -127 to 127 and a scale for each row, shape (rows, 1)."""
    scale = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127
    return np.rint(matrix / scale).astype(np.int8), scale


def smoothquant_int8(tensors: Tensors, ranges: InputRanges) -> Tensors:
    """The same with those layers in int8 whose inputs' ranges are known."""
    small = dict(tensors)
    for layers, (lowest, highest) in ranges.items():
        weights = np.concatenate([tensors[f"{name}.weight"] for name in layers])
        largest = np.maximum(np.abs(lowest), np.abs(highest)).max(axis=0) + TINY
        shift = largest**SMOOTHQUANT_ALPHA / (np.abs(weights).max(axis=0) + TINY) ** (1 - SMOOTHQUANT_ALPHA)
        shift = (shift / np.exp(np.log(shift).mean())).astype(np.float32)
        small[f"{layers[0]}.input_scale"] = shift
        ends = (lowest / shift).min(), (highest / shift).max()
        small[f"{layers[0]}.input_range"] = np.array(ends, dtype=np.float32)
        for name in layers:
            small[f"{name}.weight"], small[f"{name}.weight_scale"] = rows_in_int8(tensors[f"{name}.weight"] * shift)
    return small
