"""Out-of-fold scores and gold -> what a model is worth, by theme, language and teacher, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.classifiers.decision import DecisionSettings, choose_thresholds, decide_all
from pipeline.core.arrays import Array, Mask, targets_and_weights
from pipeline.core.io import Say, atomic_folder, read_json, read_jsonl, sha256, write_csv, write_json, write_jsonl
from pipeline.core.schemas import GOLD, RULES, TRANSFER, CurvePoint, FoldRow, LabelledRow, Labels, Scores
from pipeline.core.settings import Count, Probability, Settings, load_section
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.metrics import ScoredTable, compute_metrics, count_decisions, macro_mean
from pipeline.evaluation.plot_data import plot_data, worst_errors
from pipeline.labelling.teaching import learnt_by_fold, measured_themes, rows_by_role, scarce_themes

MEASURED = "measured"
"""The entry of a report, of reports/metrics and of a run that names the themes of macro-F1."""
FEW_THEMES = 8
"""So many themes are named in a sentence or have columns of their own; more are counted, and have rows."""
HEADLINES = 20
"""At most so many numbers of each model stand in reports/metrics, which `dvc metrics show` puts side by side."""


class EvaluationSettings(Settings, frozen=True):
    """Section `evaluation` of configs/pipeline.yaml."""

    level: Probability
    resamples: Count
    seed: int
    worst: Count


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
    metrics: Path | None,
    say: Say,
) -> None:
    """The stage `evaluate`: reads rows and out-of-fold scores, writes `scored`, the folder `out`, and headlines.

    Themes that can't be measured count in no figure, and it says which they are.

    Raises:
        UserError: if a file is missing or broken.
    """
    evaluation = load_section(settings, "evaluation", EvaluationSettings)
    decision = load_section(settings, "decision", DecisionSettings)
    label_set, rows, places = read_json(labels, Labels), read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow)
    tables = join_settings(rows, places, read_jsonl(scores, Scores), label_set, decision)
    errors = worst_errors(tables[GOLD], rows, label_set.names, evaluation.worst)  # of themes not measured, too
    measured = measured_themes(rows, places, label_set)
    tables = {setting: table.only(measured) for setting, table in tables.items()}
    report = evaluate_model(tables, label_set, evaluation) | {"scarce": scarce_themes(rows, label_set, places)}
    report |= {"given_split": given} if (given := rows_by_role(rows, places)) else {}
    for theme, why in report["scarce"].items():
        say(f"{theme} {why}")
    plots = plot_data(model, tables, report, label_set, read_jsonl(curves, CurvePoint))
    write_jsonl(scored, tables[GOLD].to_rows())
    with atomic_folder(out) as folder:
        write_json(folder / "scores.json", report)
        write_csv(folder / "errors.csv", errors)
        for name, points in plots.items():
            write_csv(folder / "plots" / f"{name}.csv", points)
    if metrics:
        write_json(metrics, {model: headlines(report, label_set) | {MEASURED: list_themes(report[MEASURED])}})


def join_settings(
    rows: Sequence[LabelledRow],
    folds: Sequence[FoldRow],
    scores: Sequence[Scores],
    labels: Labels,
    decision: DecisionSettings,
) -> dict[str, ScoredTable]:
    """The gold rows of every setting that was scored, the setting `gold` first.

    Thresholds come from `dev` rows (a given split's, or exemplars) and from the rows of all other folds. Those of a
    transfer come from its own language, since the other has no labels to choose on. `dev` rows are left out then.
    """
    by_id = {row.id: row for row in rows}
    fold_of, learnt = {fold.article: fold for fold in folds}, learnt_by_fold(rows, folds, labels)
    joined: dict[str, ScoredTable] = {}
    tested: dict[str, Mask] = {}
    for setting in dict.fromkeys([GOLD, *(score.setting for score in scores)]):
        here = [score for score in scores if score.setting == setting]
        gold = [by_id[id_] for id_ in dict.fromkeys(score.id for score in here)]
        places = [fold_of[row.article] for row in gold]
        taught = np.array([learnt[place.fold] for place in places if place.fold is not None])
        table = _crossfit(_tabulate(here, gold), taught, places, labels, decision)
        if setting.startswith(TRANSFER):
            source = joined[GOLD].where(joined[GOLD].languages == setting.removeprefix(TRANSFER))
            if len(source.ids):
                table = replace(table, decisions=_decide_seeds(table.scores, source, labels, decision))
        joined[setting] = table
        tested[setting] = np.array([place.role == "test" for place in places])
    return {setting: table.where(tested[setting]) for setting, table in joined.items()}


def _tabulate(scores: Sequence[Scores], gold: Sequence[LabelledRow]) -> ScoredTable:
    """The scores of one setting beside gold, with no theme decided yet."""
    values = {(score.seed, score.id): score.scores for score in scores}
    seeds = sorted({seed for seed, _ in values})
    table = np.array([[values[seed, row.id] for row in gold] for seed in seeds])
    targets, weights = targets_and_weights(gold)
    return ScoredTable(
        ids=np.array([row.id for row in gold]),
        texts=np.array([sha256(row.text.encode()) for row in gold]),
        articles=np.array([row.article for row in gold]),
        languages=np.array([row.language for row in gold]),
        targets=targets > 0.5,
        known=weights > 0,
        scores=table,
        decisions=np.zeros(table.shape, dtype=bool),
    )


def _crossfit(
    table: ScoredTable, learnt: Mask, places: Sequence[FoldRow], labels: Labels, settings: DecisionSettings
) -> ScoredTable:
    """Decisions by thresholds that were chosen for each fold on the rows of all others and on `dev` rows.

    Cells (rows, themes) that are not `learnt` choose none.
    """
    candidates = replace(table, known=table.known & learnt)
    dev = np.array([place.role == "dev" for place in places])
    folds = np.array([place.fold for place in places])
    decisions = table.decisions.copy()
    for fold in np.unique(folds):
        choosing = candidates.where(dev | (folds != fold))
        decisions[:, folds == fold] = _decide_seeds(table.scores[:, folds == fold], choosing, labels, settings)
    return replace(table, decisions=decisions)


def _decide_seeds(scores: Array, choosing: ScoredTable, labels: Labels, settings: DecisionSettings) -> Mask:
    """Decisions of shape (seeds, rows, themes), each seed by thresholds that its own scores in `choosing` chose."""
    decisions = []
    for own, others in zip(scores, choosing.scores, strict=False):  # a transfer has the first seed alone
        thresholds = choose_thresholds(others, choosing.targets, choosing.known, settings)
        decisions.append(decide_all(own, thresholds, labels))
    return np.stack(decisions)


def evaluate_model(tables: Mapping[str, ScoredTable], labels: Labels, evaluation: EvaluationSettings) -> dict[str, Any]:
    """All figures of a model: over everything, by language, by teacher and transfer, with intervals and spread.

    A slice in which a theme has no positives has no figures of that theme; `without_positives` names them, `measured`
    those that macro-F1 is the mean of.
    """
    scored = tables[GOLD]
    slices = scored.slices()
    figures = {name: compute_metrics(part, labels.names) for name, part in slices.items()}
    languages = {name: {"rows": len(slices[name].ids), **figures[name]} for name in slices if name != "all"}
    missing = {name: [t for t in labels.names if f"f1/{t}" not in values] for name, values in figures.items()}
    macros = [values["f1_macro"] for values in languages.values() if "f1_macro" in values]
    per_seed = count_decisions(scored).f1_macro()
    return {
        "rows": len(scored.ids),
        "articles": len(set(scored.articles.tolist())),
        MEASURED: [name for name in labels.names if name not in missing["all"]],
        "figures": figures["all"],
        "languages": languages,
        "gap": round(max(macros) - min(macros), 4) if len(macros) > 1 else None,
        "intervals": {name: _intervals(part, figures[name], labels, evaluation) for name, part in slices.items()},
        "seeds": {"f1_macro": [_rounded(value) for value in per_seed], "std": _rounded(per_seed.std())},
        "without_positives": {name: themes for name, themes in missing.items() if themes},
        "other_settings": {n: compute_metrics(table, labels.names) for n, table in tables.items() if n != GOLD},
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _intervals(
    scored: ScoredTable, figures: Mapping[str, float], labels: Labels, evaluation: EvaluationSettings
) -> dict[str, Any]:
    """The interval of each F1 that is among the figures."""
    bootstrap = Bootstrap(scored.articles, evaluation.resamples, evaluation.seed)
    per_theme = count_decisions(scored, bootstrap.weights()).f1().mean(axis=1)
    sampled = {"f1_macro": macro_mean(per_theme)}
    sampled |= {f"f1/{name}": per_theme[:, column] for column, name in enumerate(labels.names)}
    return {
        "resampled": "paragraphs" if bootstrap.too_narrow else "articles, then paragraphs",
        "too_narrow": bootstrap.too_narrow,
        **{name: bootstrap.interval(f1, evaluation.level) for name, f1 in sampled.items() if name in figures},
    }


def list_themes(names: Sequence[str]) -> str:
    """The themes by name, or how many they are."""
    return ", ".join(names) or "no theme" if len(names) <= FEW_THEMES else f"{len(names)} themes"


def headlines(report: Mapping[str, Any], labels: Labels) -> dict[str, float]:
    """At most 20 numbers: the figures people compare runs by. With many themes, those of single themes are left out."""
    figures = report["figures"]
    low, high = report["intervals"]["all"].get("f1_macro", (None, None))
    found = {"f1_macro": figures.get("f1_macro"), "f1_macro_low": low, "f1_macro_high": high}
    found["f1_macro_seed_std"] = report["seeds"]["std"]
    found |= {name: figures.get(name) for name in ("f1_micro", "ap_macro", "exact_match", "jaccard", "brier", "ece")}
    found |= {f"f1_macro/{language}": values.get("f1_macro") for language, values in report["languages"].items()}
    found["f1_macro_gap"] = report["gap"]
    for setting, values in report["other_settings"].items():
        name = "rules_as_teacher" if setting == RULES else setting.replace(TRANSFER, "transfer_from_")
        found[f"f1_macro/{name}"] = values.get("f1_macro")
    found = {name: value for name, value in found.items() if value is not None}
    themes = {f"f1/{name}": figures[f"f1/{name}"] for name in labels.names if f"f1/{name}" in figures}
    if len(found) + len(themes) <= HEADLINES:
        found |= themes
    return dict(list(found.items())[:HEADLINES])
