"""The data behind the plots, and the table of the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve

from pipeline.core.schemas import GOLD, CurvePoint, LabelledRow, Labels
from pipeline.evaluation.metrics import ScoredTable, macro_f1, reliability

COVERAGES = tuple(round(0.2 + 0.05 * step, 2) for step in range(17))
"""From 20% to all rows: a fifth of the 65 gold rows is 13, and fewer would make a jagged line."""

RECALLS = 200
"""So many steps of recall have a point at most: more can't be seen apart."""


def plot_data(
    model: str,
    tables: Mapping[str, ScoredTable],
    report: Mapping[str, Any],
    labels: Labels,
    curve: Sequence[CurvePoint],
) -> dict[str, list[dict[str, Any]]]:
    """The points of every plot by its name, each with the `model`; without epochs there is no loss curve."""
    scored = tables[GOLD]
    plots: dict[str, list[dict[str, Any]]] = {
        "precision_recall": precision_recall(scored, labels.names),
        "reliability": [
            {"probability": round(mean, 4), "share": round(share, 4), "cells": size}
            for mean, share, size in reliability(scored)
        ],
        "risk_coverage": risk_coverage(scored),
        "themes": theme_bars(report, labels),
        "confusion": confusion(scored, labels.names),
    }
    if curve:
        plots["loss"] = loss_curves(curve)
    return {name: [{"model": model, **point} for point in points] for name, points in plots.items()}


def precision_recall(scored: ScoredTable, names: Sequence[str]) -> list[dict[str, Any]]:
    """Points of each theme's precision-recall curve, all seeds pooled.

    The precision at a recall is the best at that recall or a higher one, as usual, so that curves have no teeth.
    """
    points = []
    for column, name in enumerate(names):
        known = scored.known[:, column]
        truth = np.tile(scored.targets[known, column], scored.scores.shape[0])
        if not truth.any():
            continue
        precision, recall, _ = precision_recall_curve(truth, scored.scores[:, known, column].ravel())
        highest = np.maximum.accumulate(precision)
        keep = np.r_[True, np.diff(np.ceil(recall * RECALLS)) != 0]
        for p, r in zip(highest[keep], recall[keep], strict=True):
            points.append({"theme": name, "recall": round(float(r), 4), "precision": round(float(p), 4)})
    return points


def risk_coverage(scored: ScoredTable) -> list[dict[str, Any]]:
    """How good the answers are if only the surest share of rows (`coverage`) is answered, over all and by language.

    A row is as sure as its answer is probable: the product over themes of p where given, 1 - p where not. `wrong` is
    the share of answered rows with any wrong theme (the risk of El-Yaniv & Wiener 2010), `f1_macro` leaves out themes
    that have no positives among them. Means over seeds.
    """
    points = []
    for name, part in scored.slices().items():
        given = np.where(part.known, np.where(part.decisions, part.scores, 1 - part.scores), 1.0)
        right, orders = part.exact(), np.argsort(-given.prod(axis=2), axis=1, kind="stable")
        for share in COVERAGES:
            f1, wrong = [], []
            for seed, kept in enumerate(orders[:, : math.ceil(share * orders.shape[1])]):
                f1.append(round(macro_f1(part.targets[kept], part.decisions[seed, kept], part.known[kept]), 4))
                wrong.append(1 - round(float(right[seed, kept].mean()), 4))
            points.append({"slice": name, "coverage": share, "f1_macro": _mean(f1), "wrong": _mean(wrong)})
    return points


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of those values that there are: neither None nor NaN."""
    found = [value for value in values if value is not None and not math.isnan(value)]
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
    gold, given = scored.targets & scored.known, scored.decisions[0] & scored.known
    columns = np.array(names)
    pairs: list[tuple[str, str]] = []
    for both, only_gold, only_given in zip(gold & given, gold & ~given, given & ~gold, strict=True):
        hits, missed, spurious = (columns[cells].tolist() for cells in (both, only_gold, only_given))
        pairs += [(name, name) for name in hits]
        if missed or spurious or not hits:
            pairs += product(missed or ["none"], spurious or ["none"])
    return [{"actual": actual, "predicted": predicted} for actual, predicted in pairs]


def loss_curves(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """Mean training and held-out loss of each epoch, over the folds and seeds of the gold setting."""
    gold = [point for point in points if point.setting == GOLD]
    rows = []
    for epoch in sorted({point.epoch for point in gold}):
        here = [point for point in gold if point.epoch == epoch]
        training, held_out = _mean(p.loss for p in here), _mean(p.held_out_loss for p in here)
        rows.append({"epoch": epoch, "training": training, "held_out": held_out})
    return rows


def worst_errors(
    scored: ScoredTable, rows: Sequence[LabelledRow], names: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """For each theme, language and kind of mistake the `limit` most confident ones, by mean score over seeds."""
    by_id = {row.id: row for row in rows}
    scores, decisions = scored.scores.mean(axis=0), scored.decisions.mean(axis=0) >= 0.5
    wrong = (decisions != scored.targets) & scored.known
    errors = []
    for column in range(len(names)):
        for language in sorted(set(scored.languages.tolist())):
            # A missed theme is the worse the lower its score, a spurious one the higher.
            for mistake, sign in (("missed", 1), ("spurious", -1)):
                kind = scored.targets[:, column] == (mistake == "missed")
                here = np.flatnonzero(wrong[:, column] & kind & (scored.languages == language))
                for index in sorted(here, key=lambda row: sign * scores[row, column])[:limit]:
                    row = by_id[str(scored.ids[index])]
                    gold = [n for n, t, w in zip(names, row.targets, row.weights, strict=True) if w and t > 0.5]
                    error = {
                        "theme": names[column],
                        "language": language,
                        "mistake": mistake,
                        "score": round(float(scores[index, column]), 3),
                        "rules": round(row.rule_targets[column], 3) if row.rule_weights[column] else "",
                        "gold": ";".join(gold),
                        "id": row.id,
                        "text": row.text,
                    }
                    errors.append(error)
    return errors
