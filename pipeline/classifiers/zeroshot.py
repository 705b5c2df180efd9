"""Reference: cosine similarity of a paragraph to the descriptions of the themes, by the frozen encoder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import torch

from pipeline.classifiers.base import Epoch, Setup
from pipeline.classifiers.encoder import FrozenLayers, computes_bfloat16, load_body, pool
from pipeline.classifiers.windows import WindowTokenizer
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.io import sha256
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings

SHARPNESS = 8.0
"""Maps centred cosines of -0.5 ... 0.5 to 0.02 ... 0.98; thresholds are chosen afterwards, so the order matters."""
CENTRE_ROWS = 500
"""So many are averaged: embedding thousands takes minutes and moves the mean by a twentieth of the spread."""


class Descriptions(msgspec.Struct, frozen=True):
    """What this model reads of configs/themes.yaml: sentences by theme, then by language."""

    descriptions: dict[str, dict[str, str]]


@functools.cache
def _frozen(folder: Path, pad: int) -> FrozenLayers:
    """The whole encoder, read once a process: the folds of a cross-validation then embed each text once."""
    return FrozenLayers(load_body(folder), pad, torch.device("cpu"), remembers=True)


class ZeroShot:
    """Embeddings are centred on the training texts (not their labels): raw cosines crowd at 0.75-0.95."""

    learns: ClassVar[bool] = False
    seeded: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        folder, facts = setup.checked_encoder()
        self.tokenizer = WindowTokenizer(folder, facts["prefix"], facts["max_tokens"])
        self.half = computes_bfloat16(torch.device("cpu"))
        self.lower = _frozen(folder, self.tokenizer.pad)
        self.pooling: str = facts["pooling"]
        descriptions = load_settings(setup.config, Descriptions).descriptions
        missing = [name for name in setup.labels.names if not descriptions.get(name)]
        if missing:
            raise UserError(f"{setup.config}: descriptions: none of {', '.join(missing)}; write a sentence for each")
        self.themes = [self._embed(list(descriptions[name].values())).mean(0) for name in setup.labels.names]
        self.centre = np.mean(self.themes, axis=0)

    @property
    def hardware(self) -> dict[str, str]:
        """The device, and the precision that was found."""
        return {"device": "cpu", "precision": "bfloat16" if self.half else "float32"}

    def _embed(self, texts: Sequence[str]) -> Array:
        windows = self.tokenizer(texts)
        states = self.lower.states(windows.ids, self.half)
        pooled = np.array([pool(s[None], torch.ones(1, len(s)), self.pooling)[0].numpy() for s in states], dtype=float)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        owner = np.array(windows.owner)
        return np.array([pooled[owner == index].mean(0) for index in range(len(texts))])

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Takes the mean embedding of training texts as the centre: of much the same ones in every fold."""
        drawn = sorted((row.text for row in rows), key=lambda text: sha256(text.encode()))[:CENTRE_ROWS]
        self.centre = self._embed(drawn).mean(0)
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes): comparable within a theme, not calibrated."""
        vectors, themes = self._embed(texts) - self.centre, np.array(self.themes) - np.mean(self.themes, axis=0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        themes /= np.linalg.norm(themes, axis=1, keepdims=True)
        scores: Array = 1 / (1 + np.exp(-SHARPNESS * vectors @ themes.T))
        return scores

    def save(self, folder: Path) -> None:
        """References are measured, not shipped."""
        raise UserError("zeroshot is a reference; train tfidf or transformer")

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> ZeroShot:
        """References are measured, not shipped."""
        raise UserError("zeroshot is a reference; load tfidf or transformer")
