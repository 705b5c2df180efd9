"""A BERT-like encoder with its head as an OpenVINO graph: several times as fast as torch on a CPU, and without it.

The graph is built when a model is loaded, from the weights as they lie in its folder, so that no weight stands twice.
Windows of like length go together, each padded to the next multiple of `WINDOW_MULTIPLE`. How far follows from its own
length alone, so that an answer does not depend on what is computed beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops

from pipeline.classifiers.quantization import WORDS, Inputs, Layer, Shape, Tensors, layer
from pipeline.core.arrays import Array
from pipeline.core.settings import Precision

TOKENS_AT_ONCE = 512
"""Of windows in one product: with 1,024 it is 1% faster and takes 60 MB more, with 256 12% slower."""

WINDOW_MULTIPLE = 16
"""Windows are padded to a multiple of so many tokens: products work on 16 rows at a time anyway, and each further shape
of input is compiled first."""

PADDING = -1
"""In place of a token's id, of which none is negative."""

SHAPES = 25
"""Products compiled for one shape of input that are kept: with OpenVINO's 5,000 memory grows by gigabytes, with 100 by
50 MB, and it is no faster."""


class Engine:
    """Token windows -> logits and sentence vectors. `precision` is that of what is not int8.

    The graph is compiled, .4 s without Python's lock, beside what its maker does next; the first answer waits for it.
    """

    def __init__(
        self, tensors: Tensors, shape: Shape, precision: Precision, threads: int, watched: bool = False
    ) -> None:
        graph = _Graph(tensors, shape)
        model = graph.watched() if watched else graph.model()
        settings: dict[str, Any] = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "CPU_RUNTIME_CACHE_CAPACITY": SHAPES,
            "SNIPPETS_MODE": "DISABLE",  # its own attention is 2.2 of 7.1 ms a window, oneDNN's products 1.0 of 5.8
        }
        if precision != "auto":  # without it in hardware bfloat16 is computed in float32
            settings["INFERENCE_PRECISION_HINT"] = {"float32": "f32", "bfloat16": "bf16"}[precision]
        pool = ThreadPoolExecutor(1)
        self._compiled = pool.submit(ov.Core().compile_model, model, "CPU", settings)
        pool.shutdown(wait=False)
        self._inputs, self._sizes, self._threads = list(graph.inputs), tensors["head.weight"].shape, threads

    def __call__(self, windows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Logits (windows, themes) and sentence vectors (windows, width) as the head sees them."""
        themes, width = self._sizes
        logits, vectors = np.zeros((len(windows), themes)), np.zeros((len(windows), width))
        batches = list(_batches([_padded_length(window, WINDOW_MULTIPLE) for window in windows]))
        found = self._computed([[windows[index] for index in batch] for batch in batches], WINDOW_MULTIPLE)
        for batch, (their_logits, their_vectors) in zip(batches, found, strict=True):
            logits[batch], vectors[batch] = their_logits, their_vectors
        return logits, vectors

    def extremes(self, windows: Sequence[Sequence[int]]) -> Inputs:
        """The lowest and highest values of the inputs that a `watched` engine shows, (windows, channels) each."""
        found = list(zip(*self._computed([[window] for window in windows], 1), strict=True))
        ends = [np.array(each) for each in found]
        return {names: (ends[2 * number], ends[2 * number + 1]) for number, names in enumerate(self._inputs)}

    def _computed(self, batches: Sequence[Sequence[Sequence[int]]], width: int) -> Iterator[list[Array]]:
        """The graph's outputs for each batch, in order; windows are padded to a multiple of `width`.

        A thread of ours waits for each stream. OpenVINO's own queue calls back from its threads, and may wait for ever:
        when it is left, it holds Python's lock and waits for a thread that waits for that lock.
        """
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._threads):
            requests.put(self._compiled.result().create_infer_request())

        def compute(batch: Sequence[Sequence[int]]) -> list[Array]:
            request = requests.get()
            try:
                request.infer({0: _padded(batch, width)})
                return [tensor.data.copy() for tensor in request.output_tensors]
            finally:  # or after a failure the batches that are left would wait for it for ever
                requests.put(request)

        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(compute, batches)


def _padded_length(window: Sequence[int], width: int) -> int:
    return -(-len(window) // width) * width


def _padded(windows: Sequence[Sequence[int]], width: int) -> NDArray[np.int32]:
    """Windows as rows as long as the longest, or to the next multiple of `width`, `PADDING` behind each."""
    ids = np.full((len(windows), _padded_length(max(windows, key=len), width)), PADDING, np.int32)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = window
    return ids


def _batches(widths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of windows of one width, the longest first, so that no stream ends long after the others."""
    batch: list[int] = []
    for index in sorted(range(len(widths)), key=lambda index: -widths[index]):
        if batch and (widths[index] != widths[batch[0]] or widths[index] * (len(batch) + 1) > TOKENS_AT_ONCE):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


class _Graph:
    """Post-norm BERT (Devlin et al. 2019) with a linear head on standardised sentence vectors."""

    def __init__(self, tensors: Tensors, shape: Shape) -> None:
        self.tensors, self.shape = tensors, shape
        self.width = tensors["embeddings.LayerNorm.weight"].shape[0]
        self.inputs: dict[tuple[str, ...], Any] = {}

    def watched(self) -> ov.Model:
        """Ids -> the lowest and the highest value of each channel, for each input of layers that int8 suits."""
        (ids,) = self.model().get_parameters()
        ends = [end(i, _i([0, 1])) for i in self.inputs.values() for end in (ops.reduce_min, ops.reduce_max)]
        return ov.Model(ends, [ids], "watched")

    def model(self) -> ov.Model:
        """Ids of shape (windows, tokens) -> logits and sentence vectors."""
        ids = ops.parameter([-1, -1], np.int32, name="ids")
        real = ops.greater_equal(ids, _i(0))
        # Arithmetic on `real` in place of select would pass for the decoding of an int8 and be moved through the sum.
        self.unseen = ops.unsqueeze(ops.select(real, _f(0), _f(-1e4)), _i([1, 2]))
        hidden = self._embedded(ops.maximum(ids, _i(0)))
        for number in range(self.shape.layers):
            hidden = self._layer(hidden, layer(number))
        pooled = ops.gather(hidden, _i(0), _i(1)) if self.shape.pooling == "cls" else self._mean(hidden, real)
        placed = ops.divide(ops.subtract(pooled, self._get("head.centre")), self._get("head.scale"))
        logits = ops.add(ops.matmul(placed, self._get("head.weight"), False, True), self._get("head.bias"))
        return ov.Model([logits, placed], [ids], "encoder")

    def _mean(self, hidden: Any, real: Any) -> Any:
        """Over what is no padding."""
        total = ops.reduce_sum(ops.select(ops.unsqueeze(real, _i(2)), hidden, _f(0)), _i([1]))
        return ops.divide(total, ops.reduce_sum(ops.select(real, _f(1), _f(0)), _i([1]), True))

    def _get(self, name: str) -> Any:
        return _wide(self.tensors[name])

    def _embedded(self, ids: Any) -> Any:
        words = ops.convert(ops.gather(_const(self.tensors[WORDS]), ids, _i(0)), np.float32)
        if f"{WORDS}_scale" in self.tensors:
            words = ops.multiply(words, ops.gather(self._get(f"{WORDS}_scale"), ids, _i(0)))
        length = ops.gather(ops.shape_of(ids, "i32"), _i(1), _i(0))
        first = self.shape.first_position
        numbers = ops.range(_i(first), ops.add(length, _i(first)), _i(1), "i32")
        positions = self._get("embeddings.position_embeddings.weight")
        last = self.tensors["embeddings.position_embeddings.weight"].shape[0] - 1  # padding may lie behind it
        places = ops.gather(positions, ops.minimum(numbers, _i(last)), _i(0))
        places = ops.add(places, ops.gather(self._get("embeddings.token_type_embeddings.weight"), _i([0]), _i(0)))
        return self._norm(ops.add(words, ops.unsqueeze(places, _i(0))), "embeddings.LayerNorm")

    def _layer(self, hidden: Any, of: Layer) -> Any:
        heads, width = self.shape.heads, self.width
        joined = ops.reshape(self._linear(hidden, of.attention), _i([0, 0, 3, heads, width // heads]), True)
        parts = ops.split(joined, _i(2), 3).outputs()
        query, key, value = (ops.transpose(ops.squeeze(part, _i([2])), _i([0, 2, 1, 3])) for part in parts)
        likeness = ops.matmul(ops.multiply(query, _f((width // heads) ** -0.5)), key, False, True)
        shares = ops.softmax(ops.add(likeness, self.unseen), -1)
        seen = ops.transpose(ops.matmul(shares, value, False, False), _i([0, 2, 1, 3]))
        attended = self._linear(ops.reshape(seen, _i([0, 0, width]), True), (of.attended,))
        hidden = self._norm(ops.add(hidden, attended), of.attended_norm)
        inner = ops.gelu(self._linear(hidden, (of.inner,)), "erf")
        outer = self._linear(inner, (of.outer,), suits_int8=False)  # what comes out of gelu spreads too widely
        return self._norm(ops.add(hidden, outer), of.norm)

    def _linear(self, hidden: Any, names: Sequence[str], suits_int8: bool = True) -> Any:
        """Linear layers on the same input, their outputs side by side; in int8 if their weights are."""
        if suits_int8:
            self.inputs[tuple(names)] = hidden
        weights = _wide(np.concatenate([self.tensors[f"{name}.weight"] for name in names]))
        bias = np.concatenate([self.tensors[f"{name}.bias"] for name in names])
        if f"{names[0]}.input_range" in self.tensors:
            hidden = ops.divide(hidden, self._get(f"{names[0]}.input_scale"))
            low, high = (_const(bound) for bound in self.tensors[f"{names[0]}.input_range"])
            hidden = ops.fake_quantize(hidden, low, high, low, high, 256)
            scale = np.concatenate([self.tensors[f"{name}.weight_scale"] for name in names])
            weights = ops.multiply(weights, _const(scale))
        return ops.add(ops.matmul(hidden, weights, False, True), _const(bias))

    def _norm(self, hidden: Any, name: str) -> Any:
        normed = ops.mvn(hidden, _i([-1]), True, self.shape.epsilon, "inside_sqrt")
        return ops.add(ops.multiply(normed, self._get(f"{name}.weight")), self._get(f"{name}.bias"))


def _const(values: Any) -> Any:
    return ops.constant(np.array(values, order="C"))


def _wide(tensor: Any) -> Any:
    """A constant, in float32 whatever it is kept in."""
    return _const(tensor) if tensor.dtype == np.float32 else ops.convert(_const(tensor), np.float32)


def _f(value: float) -> Any:
    return _const(np.float32(value))


def _i(values: Any) -> Any:
    return _const(np.array(values, np.int64 if isinstance(values, list) else np.int32))
