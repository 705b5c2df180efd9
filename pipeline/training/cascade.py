"""Out-of-fold scores of TF-IDF and the transformer -> where the first is sure, and what that saves and costs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipeline.classifiers.cascade import (
    CASCADE_FILE,
    OWN_TFIDF,
    SHARED_TFIDF,
    CascadeConfig,
    ConfidenceBand,
    is_confident,
)
from pipeline.classifiers.decision import decide_all
from pipeline.classifiers.model_folder import ModelInfo, model_card
from pipeline.classifiers.tfidf_regression import TFIDF_FILES
from pipeline.core.arrays import Array, Mask, targets_and_weights
from pipeline.core.errors import UserError
from pipeline.core.io import write_json, write_text
from pipeline.core.manifest import MANIFEST, check_manifest, write_manifest
from pipeline.core.schemas import GOLD, SINGLE_LABEL, FoldRow, LabelledRow, Scores
from pipeline.core.settings import Probability, Settings
from pipeline.evaluation.metrics import ConfusionCounts, macro_mean

CURVE = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


class CascadeSettings(Settings, frozen=True):
    """The content of configs/cascade.yaml."""

    disagreement: Probability


@dataclass(frozen=True)
class CascadeEvidence:
    """Rows that both models scored without having seen them, one for each seed of the second.

    `first` are scores, `second` decisions, `truth` gold and `known` where it is: all of shape (rows, themes).
    """

    first: Array
    second: Mask
    truth: Mask
    known: Mask
    folds: Array
    languages: Array

    @classmethod
    def join(
        cls,
        rows: Sequence[LabelledRow],
        folds: Sequence[FoldRow],
        first: Sequence[Scores],
        second: Sequence[Scores],
        facts: ModelInfo,
    ) -> CascadeEvidence:
        """What the scores of the gold setting say of rows that both have.

        Raises:
            UserError: if there is none.
        """
        by_id = {row.id: row for row in rows}
        fold_of = {fold.article: fold.fold for fold in folds}
        cheap = {score.id: score.scores for score in reversed(first) if score.setting == GOLD}
        both = [score for score in second if score.setting == GOLD and score.id in cheap]
        if not both:
            raise UserError("no paragraph was scored out of fold by both models; run the cross-validation again")
        limits = np.array([facts.thresholds[name] for name in facts.labels.names])
        targets, weights = targets_and_weights([by_id[score.id] for score in both])
        return cls(
            first=np.array([cheap[score.id] for score in both]),
            second=decide_all(np.array([score.scores for score in both]), limits, facts.labels),
            truth=targets > 0.5,
            known=weights > 0,
            folds=np.array([fold_of[by_id[score.id].article] for score in both]),
            languages=np.array([by_id[score.id].language for score in both]),
        )

    def where(self, mask: Mask) -> CascadeEvidence:
        """Only the rows of the mask."""
        return CascadeEvidence(**{name: getattr(self, name)[mask] for name in self.__dataclass_fields__})


def fit_bands(evidence: CascadeEvidence, facts: ModelInfo, disagreement: float) -> tuple[ConfidenceBand, ...]:
    """The widest zone of each theme in which the second model says otherwise in at most that share of rows.

    A score in it comes to the same theme by the thresholds that the cascade ships, those of the second model.
    """
    found = []
    for column, name in enumerate(facts.labels.names):
        scores, given = evidence.first[:, column], evidence.second[:, column]
        lowest, highest = np.inf, -np.inf
        if facts.labels.task != SINGLE_LABEL:
            highest = facts.thresholds[name]
            lowest = np.nextafter(highest - facts.abstain_band, -1)
        low, high = _reach(scores, given, disagreement, lowest), -_reach(-scores, ~given, disagreement, -highest)
        found.append(ConfidenceBand(low=max(low, -1.0), high=min(high, 2.0)))  # out of reach where there is none
    return tuple(found)


def _reach(scores: Array, wrong: Mask, share: float, most: float) -> float:
    """The highest score up to `most` such that of the rows at or below it at most that share is wrong, or -inf."""
    order = np.argsort(scores, kind="stable")
    values = scores[order]
    last = np.append(values[1:] != values[:-1], True)  # rows of one score stand together
    good = last & (values <= most) & (np.cumsum(wrong[order]) <= share * np.arange(1, len(order) + 1))
    return float(values[good].max(initial=-np.inf))


def tradeoff_curve(evidence: CascadeEvidence, facts: ModelInfo) -> list[dict[str, Any]]:
    """For each disagreement and language what the first model answers, how often as the second would, and macro-F1.

    The zones of a fold's rows come from the rows of all others.
    """
    rows = []
    for disagreement in CURVE:
        answered, given = np.zeros(len(evidence.folds), bool), evidence.second.copy()
        for fold in np.unique(evidence.folds):
            here = evidence.folds == fold
            chosen = fit_bands(evidence.where(~here), facts, disagreement)
            answered[here] = is_confident(evidence.first[here], chosen, facts.labels.task)
            present = evidence.first[here] >= np.array([zone.high for zone in chosen])
            given[here] = np.where(answered[here][:, None], present, given[here])
        for language in np.unique(evidence.languages):
            rows.append(_point(evidence, evidence.languages == language, answered, given, disagreement))
    return rows


def _point(evidence: CascadeEvidence, here: Mask, answered: Mask, given: Mask, disagreement: float) -> dict[str, Any]:
    truth, known = evidence.truth[here], evidence.known[here]
    share = float(answered[here].mean())
    return {
        "language": str(evidence.languages[here][0]),
        "disagreement": disagreement,
        "rows": int(here.sum()),
        "answered_by_first": round(share, 4),
        "times_fewer_for_second": round(1 / max(1e-3, 1 - share), 2),
        "equal_decisions": round(float((given[here] == evidence.second[here]).mean()), 5),
        "f1_macro": round(_macro_f1(truth, given[here], known), 4),
        "f1_macro_second": round(_macro_f1(truth, evidence.second[here], known), 4),
    }


def _macro_f1(truth: Mask, given: Mask, known: Mask) -> float:
    gold, told = truth & known, given & known
    cells = (told & gold, told & ~gold, ~told & gold)
    return float(macro_mean(ConfusionCounts(*(cell.sum(axis=0).astype(float) for cell in cells)).f1()))


def write_cascade(first: Path, second: Path, folder: Path, chosen: Sequence[ConfidenceBand]) -> None:
    """Makes `folder`, which is empty, a model folder of the two; equal TF-IDF files are kept once.

    Raises:
        UserError: if one of them is damaged or of another kind, or they are for different labels.
    """
    facts, other = _facts(second, "compact"), _facts(first, "tfidf")
    if facts.labels != other.labels:
        raise UserError(f"{first} and {second}: models for different labels; train both again")
    shutil.copytree(second, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    here = folder / SHARED_TFIDF
    same = all(
        (here / name).is_file() and (here / name).read_bytes() == (first / name).read_bytes() for name in TFIDF_FILES
    )
    if not same:
        (folder / OWN_TFIDF).mkdir()
        for name in TFIDF_FILES:
            shutil.copy(first / name, folder / OWN_TFIDF / name)
    write_json(folder / CASCADE_FILE, CascadeConfig(zones=tuple(chosen), first=SHARED_TFIDF if same else OWN_TFIDF))
    described = msgspec.structs.replace(facts, model="cascade")
    write_text(folder / "README.md", model_card(described))
    write_manifest(folder, "model", msgspec.to_builtins(described))


def _facts(folder: Path, kind: str) -> ModelInfo:
    facts = msgspec.convert(check_manifest(folder, "model").facts, ModelInfo)
    if facts.model != kind:
        raise UserError(f"{folder}: a {facts.model} model, expected {kind}; name another folder")
    return facts
