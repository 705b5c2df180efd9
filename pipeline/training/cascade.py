"""Out-of-fold scores of TF-IDF and the transformer -> where the first is sure, and what that saves and costs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.classifiers.cascade import (
    CASCADE_FILE,
    OWN_TFIDF,
    SHARED_TFIDF,
    CascadeConfig,
    ConfidenceBand,
    is_confident,
)
from pipeline.classifiers.decision import decide_all, lowest_undecided
from pipeline.classifiers.model_folder import ModelInfo, inspect_model_folder, model_card
from pipeline.classifiers.tfidf_regression import TFIDF_FILES
from pipeline.core.arrays import Array, Mask, targets_and_weights
from pipeline.core.errors import UserError
from pipeline.core.io import atomic_folder, read_jsonl, write_csv, write_json, write_text
from pipeline.core.manifest import MANIFEST, write_manifest
from pipeline.core.schemas import GOLD, SINGLE_LABEL, FoldRow, LabelledRow, Scores
from pipeline.core.settings import Probability, Settings, load_settings
from pipeline.evaluation.metrics import macro_f1

CURVE = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Disagreements that reports/cascade.csv shows: from no row to one in ten."""


class CascadeSettings(Settings, frozen=True):
    """The content of configs/cascade.yaml."""

    disagreement: Probability


@dataclass(frozen=True)
class CascadeEvidence:
    """Rows that both models scored without having seen them, one for each seed of the second.

    `first` are scores, `second` decisions, `truth` gold and `known` where it is: all of shape (rows, themes). `folds`
    and `languages` have one entry a row.
    """

    first: Array
    second: Mask
    truth: Mask
    known: Mask
    folds: NDArray[np.int64]
    languages: NDArray[np.str_]

    @classmethod
    def join(
        cls,
        rows: Sequence[LabelledRow],
        folds: Sequence[FoldRow],
        first: Sequence[Scores],
        second: Sequence[Scores],
        info: ModelInfo,
    ) -> CascadeEvidence:
        """What the scores of the gold setting say of rows that both have.

        Raises:
            UserError: if there is none.
        """
        by_id = {row.id: row for row in rows}
        fold_of = {fold.article: fold.fold for fold in folds}
        first_of = {score.id: score.scores for score in reversed(first) if score.setting == GOLD}  # the first seed's
        both = [score for score in second if score.setting == GOLD and score.id in first_of]
        if not both:
            raise UserError("no paragraph was scored out of fold by both models; run the cross-validation again")
        thresholds = np.array([info.thresholds[name] for name in info.labels.names])
        scored = [by_id[score.id] for score in both]
        targets, weights = targets_and_weights(scored)
        return cls(
            first=np.array([first_of[score.id] for score in both]),
            second=decide_all(np.array([score.scores for score in both]), thresholds, info.labels),
            truth=targets > 0.5,
            known=weights > 0,
            folds=np.array([fold_of[row.article] for row in scored]),
            languages=np.array([row.language for row in scored]),
        )


def run_cascade(
    first: Path,
    second: Path,
    labelled: Path,
    folds: Path,
    first_scores: Path,
    second_scores: Path,
    settings: Path,
    out: Path,
    report: Path,
) -> None:
    """The stage `cascade`: joins the model folders `first` and `second` in `out` and writes the curve `report`.

    Raises:
        UserError: if a file is missing or broken, or the two models don't go together.
    """
    info, _ = inspect_model_folder(second)
    rows, places = read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow)
    scores = read_jsonl(first_scores, Scores), read_jsonl(second_scores, Scores)
    evidence = CascadeEvidence.join(rows, places, *scores, info)
    allowed = load_settings(settings, CascadeSettings).disagreement
    with atomic_folder(out) as folder:
        write_cascade(first, second, folder, fit_bands(evidence.first, evidence.second, info, allowed))
    write_csv(report, tradeoff_curve(evidence, info))


def fit_bands(first: Array, second: Mask, info: ModelInfo, disagreement: float) -> tuple[ConfidenceBand, ...]:
    """The widest band of each theme in which the second model says otherwise in at most that share of rows.

    `first` are scores, `second` decisions of shape (rows, themes). A score in a band comes to the same theme by the
    thresholds that the cascade ships, those of the second model, and is never undecided. A theme that was not learnt is
    surely absent.
    """
    bands = []
    for scores, given, name in zip(first.T, second.T, info.labels.names, strict=True):
        if name in info.unlearnt:
            bands.append(ConfidenceBand(low=2.0, high=2.0))  # no probability reaches 2
            continue
        lowest, highest = np.inf, -np.inf
        if info.labels.task != SINGLE_LABEL:
            highest = info.thresholds[name]
            lowest = np.nextafter(lowest_undecided(highest, info.abstain_log_odds), -1)
        low, high = _reach(scores, given, disagreement, lowest), -_reach(-scores, ~given, disagreement, -highest)
        bands.append(ConfidenceBand(low=max(low, -1.0), high=min(high, 2.0)))  # nor -1
    return tuple(bands)


def _reach(scores: Array, wrong: Mask, share: float, most: float) -> float:
    """The highest score up to `most` such that of the rows at or below it at most that share is wrong, or -inf."""
    order = np.argsort(scores, kind="stable")
    values = scores[order]
    last = np.append(values[1:] != values[:-1], True)  # rows of one score stand together
    good = last & (values <= most) & (np.cumsum(wrong[order]) <= share * np.arange(1, len(order) + 1))
    return float(values[good].max(initial=-np.inf))


def tradeoff_curve(evidence: CascadeEvidence, info: ModelInfo) -> list[dict[str, Any]]:
    """For each disagreement and language what the first model answers, how often as the second would, and macro-F1.

    The bands of a fold's rows come from the rows of all others.
    """
    points = []
    for disagreement in CURVE:
        answered, given = np.zeros(len(evidence.folds), bool), evidence.second.copy()
        for fold in np.unique(evidence.folds):
            here, others = evidence.folds == fold, evidence.folds != fold
            bands = fit_bands(evidence.first[others], evidence.second[others], info, disagreement)
            answered[here] = is_confident(evidence.first[here], bands, info.labels.task)
            present = evidence.first[here] >= np.array([band.high for band in bands])
            given[here] = np.where(answered[here][:, None], present, given[here])
        for language in np.unique(evidence.languages).tolist():
            here = evidence.languages == language
            truth, second, known = evidence.truth[here], evidence.second[here], evidence.known[here]
            share = float(answered[here].mean())
            point = {
                "language": language,
                "disagreement": disagreement,
                "rows": int(here.sum()),
                "answered_by_first": round(share, 4),
                "times_fewer_for_second": round(1 / max(1e-3, 1 - share), 2),  # at most a thousand, not infinitely
                "equal_decisions": round(float((given[here] == second).mean()), 5),
                "f1_macro": round(macro_f1(truth, given[here], known), 4),
                "f1_macro_second": round(macro_f1(truth, second, known), 4),
            }
            points.append(point)
    return points


def write_cascade(first: Path, second: Path, folder: Path, bands: Sequence[ConfidenceBand]) -> None:
    """Makes `folder`, which is empty, a model folder of the two; equal TF-IDF files are kept once.

    Raises:
        UserError: if one of them is damaged or of another kind, or they are for different labels.
    """
    tfidf, compact = _info(first, "tfidf"), _info(second, "compact")
    if compact.labels != tfidf.labels:
        raise UserError(f"{first} and {second}: models for different labels; train both again")
    shutil.copytree(second, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    pairs = [(first / name, folder / SHARED_TFIDF / name) for name in TFIDF_FILES]
    shared = all(copy.is_file() and copy.read_bytes() == source.read_bytes() for source, copy in pairs)
    if not shared:
        (folder / OWN_TFIDF).mkdir()
        for source, _ in pairs:
            shutil.copy(source, folder / OWN_TFIDF)
    config = CascadeConfig(zones=tuple(bands), first=SHARED_TFIDF if shared else OWN_TFIDF)
    write_json(folder / CASCADE_FILE, config)
    described = msgspec.structs.replace(compact, model="cascade")
    write_text(folder / "README.md", model_card(described))
    write_manifest(folder, "model", msgspec.to_builtins(described))


def _info(folder: Path, kind: str) -> ModelInfo:
    info, _ = inspect_model_folder(folder)
    if info.model != kind:
        raise UserError(f"{folder}: a {info.model} model, expected {kind}; name another folder")
    return info
