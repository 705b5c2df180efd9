"""What training leaves for `explain` in a model folder: the rules, and the paragraphs that the model learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from safetensors.numpy import save_file

from pipeline.classifiers.base import TextClassifier
from pipeline.core.arrays import Array
from pipeline.core.io import write_json, write_jsonl
from pipeline.core.schemas import LabelledRow, Labels, Record
from pipeline.labelling.rules import RuleSettings

FOLDER = "explain"


@runtime_checkable
class HasVectors(Protocol):
    """A model in which texts have a place."""

    def vectors(self, texts: Sequence[str]) -> Array:
        """Unit vectors of shape (texts, width); those of texts that are alike to the model point the same way."""


class TrainingParagraph(Record, frozen=True):
    """A paragraph that the model has learnt from."""

    id: str
    provenance: str
    themes: tuple[str, ...]
    text: str


def save_training_neighbours(
    folder: Path, model: TextClassifier, rows: Sequence[LabelledRow], labels: Labels, rules: RuleSettings
) -> None:
    """Writes explain/: the rules, and for a model in which texts have a place its gold and exemplars with theirs."""
    place = folder / FOLDER
    place.mkdir()
    write_json(place / "rules.json", rules)
    taught = [row for row in rows if row.provenance != "rule" and any(row.weights)]
    if isinstance(model, HasVectors) and taught:
        write_jsonl(place / "taught.jsonl", [_taught(row, labels) for row in taught])
        vectors = model.vectors([row.text for row in taught]).astype(np.float16)  # 384 wide: 0.8 kB a row
        save_file({"vectors": vectors}, place / "vectors.safetensors")


def _taught(row: LabelledRow, labels: Labels) -> TrainingParagraph:
    given = zip(labels.names, row.targets, row.weights, strict=True)
    themes = tuple(name for name, target, weight in given if weight and target >= 0.5)
    return TrainingParagraph(id=row.id, provenance=row.provenance, themes=themes, text=row.text)
