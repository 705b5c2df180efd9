"""An encoder with its head as an OpenVINO graph: several times as fast as torch on a CPU, and without torch.

Windows of like length are computed together, each padded to the next multiple of `WINDOW_MULTIPLE`. Its own length
alone decides how far, so an answer does not depend on the other texts in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pipeline.core.arrays import Array
from pipeline.core.processor import HAS_BFLOAT16, HAS_VNNI

GRAPH_FILE = "openvino_model.xml"
"""The graph of a model folder, as Optimum Intel names it, too; the weights are in the .bin file beside it."""

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

_ALONE = Lock()


class Engine:
    """Token windows of at most `max_tokens` -> logits and sentence vectors, by the graph in a file.

    Reading and compiling take .5 s and do not hold Python's lock, so they go on while the caller loads the rest; the
    first answer waits for them.
    """

    def __init__(self, graph: Path, max_tokens: int, threads: int, *, bfloat16: bool) -> None:
        settings: dict[str, Any] = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "CPU_RUNTIME_CACHE_CAPACITY": CACHED_SHAPES,
            "SNIPPETS_MODE": "DISABLE",  # OpenVINO's own attention takes 2.2 of 7.1 ms a window, oneDNN's 1.0 of 5.8
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 and HAS_BFLOAT16 else "f32",
        }
        pool = ThreadPoolExecutor(1)
        self._compiled = pool.submit(_compile, graph, settings)
        pool.shutdown(wait=False)
        self._max_tokens, self._threads = max_tokens, threads

    def __call__(self, windows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Logits (windows, themes) and sentence vectors (windows, width) as the head sees them."""
        lengths = [min(-(-len(window) // WINDOW_MULTIPLE) * WINDOW_MULTIPLE, self._max_tokens) for window in windows]
        batches = list(_batches(lengths))
        padded = [_padded([windows[index] for index in batch], lengths[batch[0]]) for batch in batches]
        computed = [np.concatenate(values) for values in zip(*self._run(padded), strict=True)]
        logits, vectors = (np.empty_like(values) for values in computed)
        logits[np.concatenate(batches)], vectors[np.concatenate(batches)] = computed
        return logits, vectors

    def _run(self, batches: Sequence[NDArray[np.int32]]) -> Iterator[list[Array]]:
        """The graph's outputs for each batch, in order.

        Each stream has a thread of ours that waits for it. OpenVINO's own queue calls back from its threads and may
        hang: when it is closed it holds Python's lock and waits for a thread that waits for that lock.
        """
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._threads):
            requests.put(self._compiled.result().create_infer_request())

        def compute(batch: NDArray[np.int32]) -> list[Array]:
            request = requests.get()
            try:
                request.infer({0: batch})
                return [tensor.data.astype(float) for tensor in request.output_tensors]
            finally:  # after a failure, too, or the remaining batches would wait for it for ever
                requests.put(request)

        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(compute, batches)


def _compile(path: Path, settings: dict[str, Any]) -> Any:
    """The graph, ready for several threads."""
    compiled = ov.Core().compile_model(_read_graph(path), "CPU", settings)
    with _ALONE:
        _run_once(compiled)
    return compiled


def _run_once(compiled: Any) -> None:
    """Computes a shortest window, so that threads find OpenVINO's tables of types filled.

    The first use of a tensor's `data` fills them under a lock in C++ and asks for Python's lock meanwhile. Of two
    threads that come first, one holds the first lock and one the second, for ever: 1 start in 12 beside other work.
    """
    request = compiled.create_infer_request()
    request.infer({0: np.zeros((1, WINDOW_MULTIPLE), np.int32)})
    for tensor in request.output_tensors:
        tensor.data.astype(float)


def _read_graph(path: Path) -> ov.Model:
    """The graph; without VNNI the inputs of int8 layers are not rounded, so that their products are float32.

    That is as fast on AVX2, and has half the error of exact int8.
    """
    graph = ov.Core().read_model(path)
    for node in [] if HAS_VNNI else graph.get_ops():
        if node.get_type_name() == "FakeQuantize":
            node.output(0).replace(node.input_value(0))
    return graph


def _padded(windows: Sequence[Sequence[int]], length: int) -> NDArray[np.int32]:
    """Windows as rows of one length, `PADDING` behind the shorter ones."""
    ids = np.full((len(windows), length), PADDING, np.int32)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = window
    return ids


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of windows of one length, the longest first, so that no stream ends long after the others."""
    longest_first = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    for length, group in groupby(longest_first, key=lambda index: lengths[index]):
        indices, size = list(group), max(1, BATCH_TOKENS // length)
        yield from (indices[start : start + size] for start in range(0, len(indices), size))
