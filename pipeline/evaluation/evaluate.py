"""Out-of-fold scores and gold -> what a model is worth, by theme, language and teacher, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.classifiers.decision import DecisionSettings, choose_thresholds, decide_all
from pipeline.core.arrays import Array, Mask, targets_and_weights
from pipeline.core.io import atomic_folder, read_json, read_jsonl, sha256, write_csv, write_json, write_jsonl
from pipeline.core.schemas import GOLD, RULES, TRANSFER, CurvePoint, FoldRow, LabelledRow, Labels, Scores
from pipeline.core.settings import Count, Probability, Settings, load_section
from pipeline.evaluation.metrics import (
    ScoredTable,
    bootstrap_interval,
    bootstrap_weights,
    compute_metrics,
    count_decisions,
    macro_mean,
)
from pipeline.evaluation.plot_data import plot_data, worst_errors

FEW_ARTICLES = 5
"""Below this many articles a bootstrap over articles has too few to draw from."""
HEADLINES = 20


def run_evaluate(
    model: str,
    labelled: Path,
    labels: Path,
    folds: Path,
    scores: Path,
    curves: Path,
    settings: Path,
    scored: Path,
    out: Path,
) -> None:
    """The stage `evaluate`: measures a model's out-of-fold probabilities against gold.

    Raises:
        UserError: if a file is missing or broken.
    """
    evaluation = load_section(settings, "evaluation", EvaluationSettings)
    names, rows, places = read_json(labels, Labels), read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow)
    decision = load_section(settings, "decision", DecisionSettings)
    parts = join_settings(rows, places, read_jsonl(scores, Scores), names, decision)
    report = evaluate_model(parts, names, evaluation)
    plots = plot_data(model, parts, report, names, read_jsonl(curves, CurvePoint))
    worst = worst_errors(parts[GOLD], rows, names.names, evaluation.worst)
    write_jsonl(scored, parts[GOLD].rows({row.id: sha256(row.text.encode()) for row in rows}))
    with atomic_folder(out) as folder:
        write_json(folder / "scores.json", report)
        write_csv(folder / "errors.csv", worst)
        for name, points in plots.items():
            write_csv(folder / "plots" / f"{name}.csv", points)


class EvaluationSettings(Settings, frozen=True):
    """Section `evaluation` of configs/pipeline.yaml."""

    level: Probability
    resamples: Count
    seed: int
    worst: Count


def join_scores(
    rows: Sequence[LabelledRow],
    folds: Sequence[FoldRow],
    scores: Sequence[Scores],
    setting: str,
    labels: Labels,
    decision: DecisionSettings,
) -> tuple[ScoredTable, Mask]:
    """The rows that a setting scored, with decisions whose thresholds were chosen on other articles, and which count.

    The thresholds come from `dev` rows (a given split's, or exemplars) and from the rows of all other folds.
    """
    by_id = {row.id: row for row in rows}
    here = [s for s in scores if s.setting == setting]
    seeds = sorted({s.seed for s in here})
    ids = list(dict.fromkeys(s.id for s in here))
    values = {(s.seed, s.id): s.scores for s in here}
    table = np.array([[values[seed, id_] for id_ in ids] for seed in seeds])
    gold = [by_id[id_] for id_ in ids]
    targets, weights = targets_and_weights(gold)
    truth, known = targets > 0.5, weights > 0
    fold_of = {fold.article: (fold.fold, fold.role) for fold in folds}
    places = [fold_of[row.article] for row in gold]
    decisions = np.stack([_crossfit(seed, truth, known, places, labels, decision) for seed in table])
    scored = ScoredTable(
        ids=np.array(ids),
        articles=np.array([row.article for row in gold]),
        languages=np.array([row.language for row in gold]),
        targets=truth,
        known=known,
        scores=table,
        decisions=decisions,
    )
    return scored, np.array([role == "test" for _, role in places])


def _crossfit(
    scores: Array,
    targets: Mask,
    known: Mask,
    places: Sequence[tuple[int | None, str]],
    labels: Labels,
    settings: DecisionSettings,
) -> Mask:
    dev = np.array([role == "dev" for _, role in places])
    folds = np.array([-1 if fold is None else fold for fold, _ in places])
    decisions = np.zeros(scores.shape, dtype=bool)
    for fold in np.unique(folds):
        choosing = dev | (folds != fold)
        scoring = folds == fold
        thresholds = choose_thresholds(scores[choosing], targets[choosing], known[choosing], settings)
        decisions[scoring] = decide_all(scores[scoring], thresholds, labels)
    return decisions


def join_settings(
    rows: Sequence[LabelledRow],
    folds: Sequence[FoldRow],
    scores: Sequence[Scores],
    labels: Labels,
    decision: DecisionSettings,
) -> dict[str, ScoredTable]:
    """Every setting that was scored, the gold one first. A transfer brings its thresholds from its own language."""
    settings = dict.fromkeys([GOLD, *(s.setting for s in scores)])
    joined = {setting: join_scores(rows, folds, scores, setting, labels, decision) for setting in settings}
    everything, _ = joined[GOLD]
    parts = {setting: part.where(counts) for setting, (part, counts) in joined.items()}
    for setting, part in parts.items():
        if setting.startswith(TRANSFER):
            parts[setting] = _transferred(part, everything, setting.removeprefix(TRANSFER), labels, decision)
    return parts


def _transferred(
    part: ScoredTable, everything: ScoredTable, source: str, labels: Labels, settings: DecisionSettings
) -> ScoredTable:
    """Decisions by thresholds from the source language's out-of-fold scores: the target has no labels to choose on."""
    at_home = everything.where(everything.languages == source)
    if not len(at_home.ids):
        return part
    thresholds = choose_thresholds(at_home.scores[0], at_home.targets, at_home.known, settings)
    return replace(part, decisions=np.stack([decide_all(seed, thresholds, labels) for seed in part.scores]))


def evaluate_model(
    settings: Mapping[str, ScoredTable], labels: Labels, evaluation: EvaluationSettings
) -> dict[str, Any]:
    """All figures of a model: over everything, by language, by teacher and transfer, with intervals and spread."""
    scored = settings[GOLD]
    languages = sorted(set(scored.languages.tolist()))
    slices = {"": scored, **{language: scored.where(scored.languages == language) for language in languages}}
    figures = {name: compute_metrics(part, labels.names) for name, part in slices.items()}
    macros = {name: figures[name]["f1_macro"] for name in languages if "f1_macro" in figures[name]}
    per_seed = macro_mean(count_decisions(scored).f1())
    return {
        "rows": len(scored.ids),
        "articles": len(set(scored.articles.tolist())),
        "figures": figures[""],
        "languages": {name: {"rows": len(slices[name].ids), **figures[name]} for name in languages},
        "gap": round(max(macros.values()) - min(macros.values()), 4) if len(macros) > 1 else None,
        "intervals": {name or "all": _interval(part, labels, evaluation) for name, part in slices.items()},
        "seeds": {"f1_macro": [round(float(v), 4) for v in per_seed], "std": round(float(per_seed.std()), 4)},
        "without_positives": _without_positives(slices, labels),
        "other_settings": {n: compute_metrics(part, labels.names) for n, part in settings.items() if n != GOLD},
    }


def _interval(scored: ScoredTable, labels: Labels, evaluation: EvaluationSettings) -> dict[str, Any]:
    by_article = len(set(scored.articles.tolist())) >= FEW_ARTICLES
    weights = bootstrap_weights(scored.articles, evaluation.resamples, evaluation.seed, by_article)
    f1 = count_decisions(scored, weights).f1().mean(axis=1)
    out: dict[str, Any] = {
        "resampled": "articles, then paragraphs" if by_article else "paragraphs",
        "too_narrow": not by_article,
    }
    if scored.targets.any():
        out["f1_macro"] = bootstrap_interval(macro_mean(f1), evaluation.level)
    for column, name in enumerate(labels.names):
        if (scored.targets & scored.known)[:, column].any():
            out[f"f1/{name}"] = bootstrap_interval(f1[:, column], evaluation.level)
    return out


def _without_positives(slices: Mapping[str, ScoredTable], labels: Labels) -> dict[str, list[str]]:
    """Themes that a slice's macro figures leave out."""
    missing = {}
    for name, part in slices.items():
        positives = (part.targets & part.known).sum(axis=0)
        missing[name or "all"] = [theme for theme, n in zip(labels.names, positives, strict=True) if not n]
    return {name: themes for name, themes in missing.items() if themes}


def headlines(report: Mapping[str, Any], labels: Labels) -> dict[str, float]:
    """At most 20 numbers: the figures people compare runs by. With many themes, those of single themes stay aside."""
    figures, interval_ = report["figures"], report["intervals"]["all"]
    out = {"f1_macro": figures["f1_macro"]}
    out["f1_macro_low"], out["f1_macro_high"] = interval_["f1_macro"]
    out["f1_macro_seed_std"] = report["seeds"]["std"]
    for name in ("f1_micro", "ap_macro", "exact_match", "jaccard", "brier", "ece"):
        out[name] = figures[name]
    for language, values in report["languages"].items():
        if "f1_macro" in values:
            out[f"f1_macro/{language}"] = values["f1_macro"]
    if report["gap"] is not None:
        out["f1_macro_gap"] = report["gap"]
    for setting, values in report["other_settings"].items():
        if "f1_macro" in values:
            name = "rules_as_teacher" if setting == RULES else setting.replace(TRANSFER, "transfer_from_")
            out[f"f1_macro/{name}"] = values["f1_macro"]
    themes = {f"f1/{name}": figures[f"f1/{name}"] for name in labels.names if f"f1/{name}" in figures}
    if len(out) + len(themes) <= HEADLINES:
        out |= themes
    return dict(list(out.items())[:HEADLINES])
