"""Weights of a BERT-like encoder made small: which layers there are, and how each is kept in eight bits or sixteen.

A layer in int8 has a scale for each output, and one range for its input, so that an answer hangs on no neighbour in its
batch. Before that, what single inputs have in excess is shifted into the weights (SmoothQuant, Xiao et al. 2023): the
activations of BERT-like encoders have a few channels a hundred times as large as the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
Inputs = dict[tuple[str, ...], tuple[NDArray[Any], NDArray[Any]]]
"""By the layers that share an input the lowest and highest values of its channels, each of shape (texts, channels)."""

SMOOTHQUANT_ALPHA = 0.6
"""How much of the excess goes into the weights: at 0.5 and at 0.7 answers change more (docs/LOG.md)."""
WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class Shape:
    """What the weights don't tell: how many layers and heads, where positions begin, how vectors are pooled."""

    layers: int
    heads: int
    first_position: int
    epsilon: float
    pooling: str


@dataclass(frozen=True)
class Layer:
    """Names of the linear layers that share an input, and of the normalisations, of one layer."""

    attention: tuple[str, str, str]
    attended: str
    attended_norm: str
    inner: str
    outer: str
    norm: str


def layer(number: int) -> Layer:
    """The names that Hugging Face gives."""
    base = f"encoder.layer.{number}"
    query, key, value = (f"{base}.attention.self.{part}" for part in ("query", "key", "value"))
    return Layer(
        attention=(query, key, value),
        attended=f"{base}.attention.output.dense",
        attended_norm=f"{base}.attention.output.LayerNorm",
        inner=f"{base}.intermediate.dense",
        outer=f"{base}.output.dense",
        norm=f"{base}.output.LayerNorm",
    )


def to_float16(tensors: Tensors) -> Tensors:
    """The encoder's float32 matrices in float16, the rest as it is."""
    return {
        name: tensor.astype(np.float16) if name.endswith(".weight") and _wide(name, tensor) else tensor
        for name, tensor in tensors.items()
    }


def _wide(name: str, tensor: NDArray[Any]) -> bool:
    return tensor.ndim > 1 and tensor.dtype == np.float32 and not name.startswith("head.")


def rows_in_int8(matrix: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix as int8 and a scale for each row, shape (rows, 1)."""
    scale = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127
    return np.rint(matrix / scale).astype(np.int8), scale


def smoothquant_int8(tensors: Tensors, inputs: Inputs) -> Tensors:
    """The same with those layers in int8 whose inputs are known."""
    small = dict(tensors)
    for layers, (lowest, highest) in inputs.items():
        weights = np.concatenate([tensors[f"{name}.weight"] for name in layers])
        largest = np.maximum(np.abs(lowest), np.abs(highest)).max(axis=0) + 1e-6
        shift = largest**SMOOTHQUANT_ALPHA / (np.abs(weights).max(axis=0) + 1e-6) ** (1 - SMOOTHQUANT_ALPHA)
        shift = (shift / np.exp(np.log(shift).mean())).astype(np.float32)
        small[f"{layers[0]}.input_scale"] = shift
        small[f"{layers[0]}.input_range"] = np.array(
            [(lowest / shift).min(), (highest / shift).max()], dtype=np.float32
        )
        for name in layers:
            small[f"{name}.weight"], small[f"{name}.weight_scale"] = rows_in_int8(tensors[f"{name}.weight"] * shift)
    return small


def to_float32(tensors: Tensors, layers: int) -> Tensors:
    """All in float32 under Hugging Face's names, what was moved between inputs and weights back in its place."""
    wide = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    for number in range(layers):
        of = layer(number)
        for names in (of.attention, (of.attended,), (of.inner,)):
            shift = wide.pop(f"{names[0]}.input_scale", None)
            wide.pop(f"{names[0]}.input_range", None)
            if shift is not None:
                for name in names:
                    wide[f"{name}.weight"] /= shift
    for name in [name for name in wide if name.endswith(".weight_scale")]:
        wide[name.removesuffix("_scale")] *= wide.pop(name)
    return wide
