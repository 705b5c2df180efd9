"""The data behind the plots, and the table of the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve

from pipeline.core.schemas import GOLD, CurvePoint, LabelledRow, Labels
from pipeline.evaluation.metrics import ScoredTable, compute_metrics, reliability

COVERAGES = tuple(round(0.2 + 0.05 * step, 2) for step in range(17))


def plot_data(
    model: str, parts: Mapping[str, ScoredTable], report: Mapping[str, Any], labels: Labels, curve: Sequence[CurvePoint]
) -> dict[str, list[dict[str, Any]]]:
    """The points of every picture by its name, each with the `model`; without epochs there is no loss curve."""
    scored = parts[GOLD]
    pictures: dict[str, list[dict[str, Any]]] = {
        "precision_recall": precision_recall(scored, labels.names),
        "reliability": reliability_points(scored),
        "risk_coverage": risk_coverage(scored, labels.names),
        "themes": theme_bars(report, labels),
        "confusion": confusion(scored, labels.names),
    }
    pictures |= {"loss": loss_curves(curve)} if curve else {}
    return {name: [{"model": model, **point} for point in points] for name, points in pictures.items()}


def precision_recall(scored: ScoredTable, names: Sequence[str]) -> list[dict[str, Any]]:
    """Points of each theme's precision-recall curve, all seeds pooled, precision made not to rise with recall."""
    points = []
    for column, name in enumerate(names):
        known = scored.known[:, column]
        truth = np.tile(scored.targets[known, column], scored.scores.shape[0])
        if not truth.any():
            continue
        precision, recall, _ = precision_recall_curve(truth, scored.scores[:, known, column].ravel())
        highest = np.maximum.accumulate(precision)
        keep = np.r_[True, np.diff(recall) != 0]
        for p, r in zip(highest[keep], recall[keep], strict=True):
            points.append({"theme": name, "recall": round(float(r), 4), "precision": round(float(p), 4)})
    return points


def reliability_points(scored: ScoredTable) -> list[dict[str, Any]]:
    """Bins of the reliability diagram."""
    bins = reliability(scored)
    return [{"probability": round(m, 4), "share": round(s, 4), "cells": size} for m, s, size in bins]


def risk_coverage(scored: ScoredTable, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """How good the answers are if only the surest share of rows (`coverage`) is answered, over all and by language.

    A row is as sure as its answer is probable: the product over themes of p where given, 1 - p where not. `wrong` is
    the share of answered rows with any wrong theme (the risk of El-Yaniv & Wiener 2010), `f1_macro` leaves out themes
    that have no positives among them. Means over seeds.
    """
    given = np.where(scored.known, np.where(scored.decisions, scored.scores, 1 - scored.scores), 1.0)
    sureness = given.prod(axis=2)
    languages = sorted(set(scored.languages.tolist()))
    points = []
    for name in ["all", *languages]:
        rows = np.flatnonzero((scored.languages == name) | (name == "all"))
        for share in COVERAGES:
            kept = [rows[np.argsort(-seed[rows], kind="stable")][: math.ceil(share * len(rows))] for seed in sureness]
            figures = [compute_metrics(scored.seed(number).where(here), names) for number, here in enumerate(kept)]
            means = {"f1_macro": _mean(f.get("f1_macro") for f in figures)}
            means["wrong"] = _mean(1 - f["exact_match"] for f in figures)
            points.append({"slice": name, "coverage": share, **means})
    return points


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return round(float(np.mean(found)), 4) if found else None


def theme_bars(report: Mapping[str, Any], labels: Labels) -> list[dict[str, Any]]:
    """F1 of each theme, over all rows and by language."""
    slices = {"all": report["figures"], **report["languages"]}
    return [
        {"theme": theme, "slice": name, "f1": values[f"f1/{theme}"]}
        for name, values in slices.items()
        for theme in labels.names
        if f"f1/{theme}" in values
    ]


def confusion(scored: ScoredTable, names: Sequence[str]) -> list[dict[str, Any]]:
    """Pairs of theme in gold and theme given, of the first seed.

    Hits stand on the diagonal, each missed theme beside each spurious one of its row, and `none` where one side has
    nothing left (the multi-label confusion matrix of Heydarian et al. 2022).
    """
    pairs = []
    for gold, given, known in zip(scored.targets, scored.decisions[0], scored.known, strict=True):
        hit = [n for n, g, d, k in zip(names, gold, given, known, strict=True) if k and g and d]
        missed = [n for n, g, d, k in zip(names, gold, given, known, strict=True) if k and g and not d]
        spurious = [n for n, g, d, k in zip(names, gold, given, known, strict=True) if k and d and not g]
        pairs += [(n, n) for n in hit]
        if missed or spurious or not hit:
            pairs += [(m, s) for m in missed or ["none"] for s in spurious or ["none"]]
    return [{"actual": actual, "predicted": predicted} for actual, predicted in pairs]


def loss_curves(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """Mean training and held-out loss an epoch, over the folds and seeds of the gold setting."""
    gold = [point for point in points if point.setting == GOLD]
    out = []
    for epoch in sorted({point.epoch for point in gold}):
        here = [point for point in gold if point.epoch == epoch]
        losses: dict[str, list[float | None]] = {}
        losses |= {"training": [p.loss for p in here], "held_out": [p.held_out_loss for p in here]}
        out.append({"epoch": epoch, **{name: _mean(values) for name, values in losses.items()}})
    return out


def worst_errors(
    scored: ScoredTable, rows: Sequence[LabelledRow], names: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """For each theme, language and kind of mistake the `limit` most confident ones, by mean score over seeds."""
    by_id = {row.id: row for row in rows}
    scores, decisions = scored.scores.mean(axis=0), scored.decisions.mean(axis=0) >= 0.5
    out: list[dict[str, Any]] = []
    for column in range(len(names)):
        for language in sorted(set(scored.languages.tolist())):
            for kind, sign in (("missed", 1), ("spurious", -1)):
                wrong = decisions[:, column] != scored.targets[:, column]
                side = scored.targets[:, column] == (kind == "missed")
                here = np.flatnonzero(wrong & side & scored.known[:, column] & (scored.languages == language))
                for index in sorted(here, key=lambda i: sign * scores[i, column])[:limit]:
                    out.append(_mistake(by_id[str(scored.ids[index])], names, column, kind, scores[index, column]))
    return [{"theme": m.pop("theme"), **m} for m in out]


def _mistake(row: LabelledRow, names: Sequence[str], column: int, kind: str, score: float) -> dict[str, Any]:
    votes = row.rule_targets[column] if row.rule_weights[column] else ""
    return {
        "theme": names[column],
        "language": row.language,
        "mistake": kind,
        "score": round(float(score), 3),
        "rules": votes if votes == "" else round(float(votes), 3),
        "gold": ";".join(n for n, t, w in zip(names, row.targets, row.weights, strict=True) if w and t > 0.5),
        "id": row.id,
        "text": row.text,
    }
