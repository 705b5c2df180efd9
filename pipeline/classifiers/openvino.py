"""A BERT-like encoder with its head as an OpenVINO graph: several times as fast as torch on a CPU, and without torch.

The graph is built when a model is loaded, from the weights in its folder, so that no weight is stored twice. Windows of
like length are computed together, each padded to the next multiple of `WINDOW_MULTIPLE`. Its own length alone decides
how far, so an answer does not depend on the other texts in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops

from pipeline.classifiers.quantization import WORDS, EncoderShape, InputRanges, Tensors
from pipeline.core.arrays import Array
from pipeline.core.settings import Precision

BATCH_TOKENS = 512
"""Padded tokens of the windows computed together: 1,024 are 1% faster and take 60 MB more, 256 are 12% slower."""

WINDOW_MULTIPLE = 16
"""Windows are padded to a multiple of this many tokens: the hardware multiplies 16 rows at a time anyway, and OpenVINO
compiles each new shape of input first. Multiples of 8 are as fast and took 80 MB more."""

PADDING = -1
"""Stands for a token's id behind the end of a window; no id is negative."""

CACHED_SHAPES = 25
"""For so many shapes of input compiled code is kept: with OpenVINO's default of 5,000 memory grows by gigabytes, with
100 by 50 MB, and neither is faster."""


# The instruction sets of an x86 processor under Linux; elsewhere none are known, which is slower but never wrong.
# OpenVINO can't be asked: it lists bfloat16 also where it is emulated.
_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = set(_CPUINFO.read_text().split()) if _CPUINFO.is_file() else set()

HAS_BFLOAT16 = bool(_FLAGS & {"avx512_bf16", "amx_bf16"})
"""Whether the processor multiplies bfloat16. One that emulates it did 14 paragraphs a second, and 270 in float32."""

HAS_VNNI = bool(_FLAGS & {"avx512_vnni", "avx_vnni"})
"""Whether the processor adds products of 8-bit numbers in 32 bits. Without VNNI an x86 one adds two of them in 16, and
2 x 255 x 127 overflows. Then inputs stay in float32: as fast on AVX2, and with half the error of exact int8."""


class Engine:
    """Token windows -> logits and sentence vectors.

    `precision` is that of what is not int8; bfloat16 is computed in float32 where the processor lacks it. A
    `calibrating` engine computes `input_ranges` instead.

    Compiling takes .4 s and does not hold Python's lock, so it goes on while the caller loads the rest; the first
    answer waits for it.
    """

    def __init__(
        self, tensors: Tensors, shape: EncoderShape, precision: Precision, threads: int, calibrating: bool = False
    ) -> None:
        graph = _Graph(tensors, shape)
        model = graph.calibrating_model() if calibrating else graph.model()
        settings: dict[str, Any] = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "CPU_RUNTIME_CACHE_CAPACITY": CACHED_SHAPES,
            "SNIPPETS_MODE": "DISABLE",  # OpenVINO's own attention takes 2.2 of 7.1 ms a window, oneDNN's 1.0 of 5.8
            "INFERENCE_PRECISION_HINT": "bf16" if precision != "float32" and HAS_BFLOAT16 else "f32",
        }
        pool = ThreadPoolExecutor(1)
        self._compiled = pool.submit(ov.Core().compile_model, model, "CPU", settings)
        pool.shutdown(wait=False)
        self._inputs, self._sizes, self._threads = list(graph.inputs), tensors["head.weight"].shape, threads

    def __call__(self, windows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Logits (windows, themes) and sentence vectors (windows, width) as the head sees them."""
        themes, width = self._sizes
        logits, vectors = np.zeros((len(windows), themes)), np.zeros((len(windows), width))
        batches = list(_batches([_padded_length(window, WINDOW_MULTIPLE) for window in windows]))
        results = self._run([[windows[index] for index in batch] for batch in batches], WINDOW_MULTIPLE)
        for batch, (batch_logits, batch_vectors) in zip(batches, results, strict=True):
            logits[batch], vectors[batch] = batch_logits, batch_vectors
        return logits, vectors

    def input_ranges(self, windows: Sequence[Sequence[int]]) -> InputRanges:
        """The lowest and highest values of the inputs of layers that int8 suits; of a `calibrating` engine alone."""
        results = zip(*self._run([[window] for window in windows], 1), strict=True)  # no padding, it would count
        ends = [np.array(values) for values in results]
        return {names: (ends[2 * number], ends[2 * number + 1]) for number, names in enumerate(self._inputs)}

    def _run(self, batches: Sequence[Sequence[Sequence[int]]], multiple: int) -> Iterator[list[Array]]:
        """The graph's outputs for each batch, in order; windows are padded to a multiple of `multiple` tokens.

        Each stream has a thread of ours that waits for it. OpenVINO's own queue calls back from its threads and may
        hang: when it is closed it holds Python's lock and waits for a thread that waits for that lock.
        """
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._threads):
            requests.put(self._compiled.result().create_infer_request())

        def compute(batch: Sequence[Sequence[int]]) -> list[Array]:
            request = requests.get()
            try:
                request.infer({0: _padded(batch, multiple)})
                return [tensor.data.copy() for tensor in request.output_tensors]
            finally:  # after a failure, too, or the remaining batches would wait for it for ever
                requests.put(request)

        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(compute, batches)


def _padded_length(window: Sequence[int], multiple: int) -> int:
    return -(-len(window) // multiple) * multiple


def _padded(windows: Sequence[Sequence[int]], multiple: int) -> NDArray[np.int32]:
    """Windows as rows of one length, `PADDING` behind the shorter ones."""
    ids = np.full((len(windows), _padded_length(max(windows, key=len), multiple)), PADDING, np.int32)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = window
    return ids


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of windows of one length, the longest first, so that no stream ends long after the others."""
    longest_first = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for length, group in groupby(longest_first, key=lambda index: lengths[index]):
        indices, size = list(group), max(1, BATCH_TOKENS // length)
        yield from (indices[start : start + size] for start in range(0, len(indices), size))


class _Graph:
    """Post-norm BERT (Devlin et al. 2019) with a linear head on standardised sentence vectors."""

    def __init__(self, tensors: Tensors, shape: EncoderShape) -> None:
        self.tensors, self.shape = tensors, shape
        self.width = tensors["embeddings.LayerNorm.weight"].shape[0]
        self.inputs: dict[tuple[str, ...], Any] = {}

    def calibrating_model(self) -> ov.Model:
        """Ids -> the lowest and the highest value of each channel, for each input of layers that int8 suits."""
        (ids,) = self.model().get_parameters()
        ends = [end(node, [0, 1]) for node in self.inputs.values() for end in (ops.reduce_min, ops.reduce_max)]
        return ov.Model(ends, [ids], "calibrating")

    def model(self) -> ov.Model:
        """Ids of shape (windows, tokens) -> logits and sentence vectors."""
        ids = ops.parameter([-1, -1], np.int32, name="ids")
        is_token = ops.greater_equal(ids, np.int32(0))
        # Computed as (is_token - 1) * 1e4 this would look like the decoding of an int8 number to OpenVINO, be moved
        # through the sum, and make attention uniform.
        self.mask = ops.unsqueeze(ops.select(is_token, np.float32(0), np.float32(-1e4)), [1, 2])
        hidden = self._embeddings(ops.maximum(ids, np.int32(0)))
        for number in range(self.shape.layers):
            hidden = self._layer(hidden, f"encoder.layer.{number}")
        pooled = ops.gather(hidden, 0, 1) if self.shape.pooling == "cls" else _mean(hidden, is_token)
        vectors = (pooled - self._get("head.centre")) / self._get("head.scale")
        logits = ops.matmul(vectors, self._get("head.weight"), False, True) + self._get("head.bias")
        return ov.Model([logits, vectors], [ids], "encoder")

    def _get(self, name: str) -> Any:
        return _float32(self.tensors[name])

    def _embeddings(self, ids: Any) -> Any:
        words = ops.convert(ops.gather(_constant(self.tensors[WORDS]), ids, 0), np.float32)
        if f"{WORDS}_scale" in self.tensors:
            words = words * ops.gather(self._get(f"{WORDS}_scale"), ids, 0)
        table = self.tensors["embeddings.position_embeddings.weight"][self.shape.first_position :]
        numbers = ops.range(np.int32(0), ops.gather(ops.shape_of(ids, "i32"), 1, 0), np.int32(1), "i32")
        numbers = ops.minimum(numbers, np.int32(len(table) - 1))  # padding may go on behind the last position
        positions = ops.gather(_float32(table), numbers, 0)
        positions = positions + ops.gather(self._get("embeddings.token_type_embeddings.weight"), [0], 0)
        return self._norm(words + ops.unsqueeze(positions, 0), "embeddings.LayerNorm")

    def _layer(self, hidden: Any, name: str) -> Any:
        """One layer, under the names that Hugging Face gives its parts."""
        heads, width = self.shape.heads, self.width
        joined = self._linear(hidden, *(f"{name}.attention.self.{part}" for part in ("query", "key", "value")))
        parts = ops.split(ops.reshape(joined, [0, 0, 3, heads, width // heads], True), 2, 3).outputs()
        query, key, value = (ops.transpose(ops.squeeze(part, [2]), [0, 2, 1, 3]) for part in parts)
        likeness = ops.matmul(ops.multiply(query, np.float32((width // heads) ** -0.5)), key, False, True)
        shares = ops.softmax(likeness + self.mask, -1)
        mixed = ops.transpose(ops.matmul(shares, value, False, False), [0, 2, 1, 3])
        attended = self._linear(ops.reshape(mixed, [0, 0, width], True), f"{name}.attention.output.dense")
        hidden = self._norm(hidden + attended, f"{name}.attention.output.LayerNorm")
        inner = ops.gelu(self._linear(hidden, f"{name}.intermediate.dense"), "erf")
        # In int8 these layers, a third of the arithmetic, cause nearly all change: gelu's values spread too widely.
        outer = self._linear(inner, f"{name}.output.dense", suits_int8=False)
        return self._norm(hidden + outer, f"{name}.output.LayerNorm")

    def _linear(self, hidden: Any, *names: str, suits_int8: bool = True) -> Any:
        """Linear layers on the same input, their outputs side by side; int8 weights make the product int8 with VNNI."""
        if suits_int8:
            self.inputs[names] = hidden
        weights, bias = self._joined(names, "weight"), _constant(self._joined(names, "bias"))
        if f"{names[0]}.input_range" not in self.tensors:
            return ops.matmul(hidden, _float32(weights), False, True) + bias
        scale = self._joined(names, "weight_scale")
        hidden = hidden / self._get(f"{names[0]}.input_scale")
        if HAS_VNNI:
            low, high = (_constant(bound) for bound in self.tensors[f"{names[0]}.input_range"])
            hidden = ops.fake_quantize(hidden, low, high, low, high, 256)
        return ops.matmul(hidden, _float32(weights) * _constant(scale), False, True) + bias

    def _joined(self, names: Sequence[str], part: str) -> NDArray[Any]:
        return np.concatenate([self.tensors[f"{name}.{part}"] for name in names])

    def _norm(self, hidden: Any, name: str) -> Any:
        normed = ops.mvn(hidden, [-1], True, self.shape.epsilon, "inside_sqrt")
        return normed * self._get(f"{name}.weight") + self._get(f"{name}.bias")


def _mean(hidden: Any, is_token: Any) -> Any:
    """Over tokens that are no padding."""
    zero, one = np.float32(0), np.float32(1)
    total = ops.reduce_sum(ops.select(ops.unsqueeze(is_token, 2), hidden, zero), [1])
    return total / ops.reduce_sum(ops.select(is_token, one, zero), [1], True)


def _constant(values: Any) -> Any:
    return ops.constant(np.array(values, order="C"))


def _float32(tensor: NDArray[Any]) -> Any:
    """A constant, converted to float32 in the graph, so that int8 and float16 stay small in memory."""
    return _constant(tensor) if tensor.dtype == np.float32 else ops.convert(_constant(tensor), np.float32)
