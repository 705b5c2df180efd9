"""Reference: cosine similarity of a paragraph to the descriptions of the themes, by the untrained encoder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import torch

from pipeline.classifiers.base import Epoch, Reference, Setup
from pipeline.classifiers.encoder import FrozenLayers, load_body, pool
from pipeline.classifiers.windows import WindowTokenizer, unit_vectors
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.io import sha256
from pipeline.core.schemas import LabelledRow
from pipeline.core.settings import load_settings

CPU = torch.device("cpu")
SHARPNESS = 8.0
"""Maps centred cosines of -0.5 … 0.5 to 0.02 … 0.98; thresholds are chosen afterwards, so only the order matters."""
CENTRE_ROWS = 500
"""So many texts are averaged: to embed thousands takes minutes and moves the mean by a twentieth of the spread."""


class Descriptions(msgspec.Struct, frozen=True):
    """What this model reads of configs/themes.yaml: sentences by theme, then by language."""

    descriptions: dict[str, dict[str, str]]


@functools.cache
def _frozen(folder: Path, pad: int) -> FrozenLayers:
    """The whole encoder, read once a process: the folds of a cross-validation then embed each text once."""
    return FrozenLayers(load_body(folder), pad, CPU, remembers=True)


class ZeroShot(Reference):
    """Vectors are centred on the training texts (not their labels): raw cosines are all between .75 and .95."""

    name: ClassVar[str] = "zeroshot"

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        folder, facts = setup.checked_encoder()
        self.tokenizer = WindowTokenizer(folder, facts["prefix"], facts["max_tokens"])
        self.encoder, self.pooling = _frozen(folder, self.tokenizer.pad), str(facts["pooling"])
        self.hardware = {"device": "cpu", "precision": "float32"}  # bfloat16 moves scores by .005, and macro-F1 by .02
        descriptions = load_settings(setup.config, Descriptions).descriptions
        missing = [name for name in setup.labels.names if not descriptions.get(name)]
        if missing:
            raise UserError(f"{setup.config}: descriptions: none of {', '.join(missing)}; write a sentence for each")
        themes = [self._embed(list(descriptions[name].values())).mean(0) for name in setup.labels.names]
        self.centre = np.mean(themes, axis=0)
        self.themes = unit_vectors(themes - self.centre)

    def _embed(self, texts: Sequence[str]) -> Array:
        """Vectors of shape (texts, width), each the mean over the text's windows of unit vectors."""
        windows = self.tokenizer(texts)
        states = self.encoder.states(windows.ids)
        pooled = [pool(state[None], torch.ones(1, len(state)), self.pooling)[0].numpy() for state in states]
        vectors, owner = unit_vectors(np.array(pooled, dtype=float)), np.array(windows.owner)
        return np.array([vectors[owner == index].mean(0) for index in range(len(texts))])

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """Takes the mean vector of some training texts as the centre.

        They are those with the lowest digests, so that the folds, which share most texts, embed much the same ones.
        """
        drawn = sorted((row.text for row in rows), key=lambda text: sha256(text.encode()))[:CENTRE_ROWS]
        self.centre = self._embed(drawn).mean(0)
        return []

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes): comparable within a theme, not calibrated."""
        cosines = unit_vectors(self._embed(texts) - self.centre) @ self.themes.T
        scores: Array = 1 / (1 + np.exp(-SHARPNESS * cosines))
        return scores
