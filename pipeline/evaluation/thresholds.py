"""Out-of-fold scores -> the thresholds that a model ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.classifiers.decision import DecisionSettings, choose_thresholds
from pipeline.core.arrays import targets_and_weights
from pipeline.core.io import read_json, read_jsonl, write_json
from pipeline.core.schemas import GOLD, FoldRow, LabelledRow, Labels, Scores
from pipeline.core.settings import load_section
from pipeline.labelling.teaching import learnt_by_fold


def run_thresholds(labelled: Path, labels: Path, folds: Path, scores: Path, settings: Path, out: Path) -> None:
    """The stage `thresholds`: reads rows and out-of-fold scores, writes one threshold for each theme.

    Raises:
        UserError: if a file is missing or broken.
    """
    chosen = fit_thresholds(
        read_jsonl(labelled, LabelledRow),
        read_jsonl(folds, FoldRow),
        read_jsonl(scores, Scores),
        read_json(labels, Labels),
        load_section(settings, "decision", DecisionSettings),
    )
    write_json(out, chosen)


def fit_thresholds(
    rows: Sequence[LabelledRow],
    folds: Sequence[FoldRow],
    scores: Sequence[Scores],
    labels: Labels,
    settings: DecisionSettings,
) -> dict[str, float]:
    """A threshold from 0 to 1 for each theme, by all out-of-fold scores of the setting `gold`.

    Of a split that the data came with only the part `dev` is used: its test rows must not choose. Nor does a score of
    a theme by models that could not learn it.
    """
    by_id = {row.id: row for row in rows}
    dev = {row.article for row in folds if row.role == "dev"}
    used = [s for s in scores if s.setting == GOLD and (by_id[s.id].split is None or by_id[s.id].article in dev)]
    targets, weights = targets_and_weights([by_id[s.id] for s in used])
    learnt = learnt_by_fold(rows, folds, labels)
    known = (weights > 0) & np.array([learnt[s.fold] for s in used])
    chosen = choose_thresholds(np.array([s.scores for s in used]), targets > 0.5, known, settings)
    return {name: round(float(value), 4) for name, value in zip(labels.names, chosen, strict=True)}
