"""Texts -> windows of tokens, and results of windows -> results of texts; without torch, for training and serving."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from pipeline.classifiers.base import probabilities
from pipeline.core.arrays import Array
from pipeline.core.schemas import SINGLE_LABEL, Task

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
STRIDE = 64
"""Tokens that neighbouring windows of a long text share, so that a sentence up to this long is whole in one of them."""


@dataclass(frozen=True)
class Windows:
    """Token ids of every window, special tokens included, and the index of the text that it was cut from."""

    ids: list[list[int]]
    owner: list[int]

    @property
    def starts(self) -> list[int]:
        """The index of each text's first window."""
        return np.flatnonzero(np.diff(self.owner, prepend=-1)).tolist()


class WindowTokenizer:
    """Cuts prepared texts into windows of at most `max_tokens` tokens; nothing is dropped.

    `folder` is in Hugging Face layout, with a tokenizer.json.
    """

    def __init__(self, folder: Path, prefix: str, max_tokens: int) -> None:
        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.pad = int(json.loads((folder / "config.json").read_bytes()).get("pad_token_id") or 0)
        self._first, self._last = self._tokenizer.encode("").ids
        self._prefix = self._tokenizer.encode(prefix.strip(), add_special_tokens=False).ids
        self.room = max_tokens - len(self._prefix) - 2  # two special tokens, at the start and at the end

    def __call__(self, texts: Sequence[str]) -> Windows:
        """The windows of all texts in order; a text without a single token still has one window."""
        ids, owner = [], []
        for index, encoding in enumerate(self._tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            tokens = encoding.ids
            starts = range(0, max(1, len(tokens) - STRIDE), self.room - STRIDE) if len(tokens) > self.room else (0,)
            for start in starts:
                ids.append([self._first, *self._prefix, *tokens[start : start + self.room], self._last])
                owner.append(index)
        return Windows(ids=ids, owner=owner)

    def save(self, folder: Path) -> None:
        """Copies the tokenizer's files."""
        for name in TOKENIZER_FILES:
            if (self._folder / name).is_file():
                (folder / name).write_bytes((self._folder / name).read_bytes())


def pool_windows(logits: Array, windows: Windows, task: Task) -> Array:
    """Logits of windows (windows, themes) -> of texts: the highest; single-label: the log of their mean probability."""
    if task == SINGLE_LABEL:
        sums = np.add.reduceat(probabilities(logits, task), windows.starts)
        mean_logs: Array = np.log(sums / np.bincount(windows.owner)[:, None] + 1e-12)  # never the log of 0
        return mean_logs
    highest: Array = np.maximum.reduceat(logits, windows.starts)
    return highest


def mean_direction(vectors: Array, windows: Windows) -> Array:
    """Vectors of windows (windows, width) -> unit vectors of texts, the mean of their windows."""
    return unit_vectors(np.add.reduceat(vectors, windows.starts))


def unit_vectors(vectors: Array) -> Array:
    """Vectors (rows, width), each divided by its length."""
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
