"""Models side by side: who is better beyond noise, and the table people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.io import read_json, read_jsonl, write_json, write_text
from pipeline.core.schemas import Labels, ScoredRow
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.evaluate import FEW_ARTICLES, EvaluationSettings, headlines
from pipeline.evaluation.metrics import ScoredTable, bootstrap_interval, bootstrap_weights, count_decisions, macro_mean
from pipeline.labelling.themes import ThemeSettings, display_names


def run_compare(
    models: Sequence[str],
    scored: Path,
    reports: Path,
    labels: Path,
    themes: Path,
    settings: Path,
    metrics: Path,
    verdicts: Path,
    table: Path,
) -> None:
    """The stage `compare`: headline figures, the verdict on each pair, and the page that shows both.

    Raises:
        UserError: if a file is missing or broken.
    """
    evaluation, names = load_section(settings, "evaluation", EvaluationSettings), read_json(labels, Labels)
    figures = {name: read_json(reports / name / "scores.json", dict[str, Any]) for name in models}
    tables = {name: ScoredTable.of(read_jsonl(scored / f"{name}.jsonl", ScoredRow)) for name in models}
    pairs = compare_models(tables, evaluation)
    shown = display_names(load_settings(themes, ThemeSettings), names)
    write_json(metrics, {name: headlines(report, names) for name, report in figures.items()})
    write_json(verdicts, pairs)
    write_text(table, comparison_table(figures, pairs, names, shown, evaluation.level))


def compare_models(scored: Mapping[str, ScoredTable], evaluation: EvaluationSettings) -> list[dict[str, Any]]:
    """Every pair of models: the difference in macro-F1 on the same resampled rows, and whether it is beyond noise.

    `better` and `worse` are said of the first model when the interval of the difference excludes 0.
    """
    out = []
    for first, second in combinations(scored, 2):
        one, other = scored[first], scored[second]
        order = [list(other.ids).index(id_) for id_ in one.ids]
        by_article = len(set(one.articles.tolist())) >= FEW_ARTICLES
        weights = bootstrap_weights(one.articles, evaluation.resamples, evaluation.seed, by_article)
        difference = _f1_macro(one, weights) - _f1_macro(other, weights[:, np.argsort(order)])
        low, high = bootstrap_interval(difference, evaluation.level)
        measured = macro_mean(count_decisions(one).f1()).mean() - macro_mean(count_decisions(other).f1()).mean()
        verdict = "better" if low > 0 else "worse" if high < 0 else "within noise"
        out.append(
            {
                "first": first,
                "second": second,
                "difference": round(float(measured), 4),
                "interval": [low, high],
                "too_narrow": not by_article,
                "verdict": verdict,
            }
        )
    return out


def _f1_macro(scored: ScoredTable, weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Macro-F1 of each bootstrap sample, averaged over seeds."""
    return np.asarray(macro_mean(count_decisions(scored, weights).f1()).mean(axis=1))


def comparison_table(
    reports: Mapping[str, Mapping[str, Any]],
    verdicts: list[dict[str, Any]],
    labels: Labels,
    names: Mapping[str, str],
    level: float,
) -> str:
    """The comparison as a Markdown page. `names` are the themes as people see them."""
    any_report = next(iter(reports.values()))
    languages = list(any_report["languages"])
    head = ["model", "macro-F1", "interval", "± seeds", *(f"F1 {names[t]}" for t in labels.names), "macro-AP"]
    head += [f"macro-F1 {language}" for language in languages] + ["exact", "Brier", "ECE"]
    lines = [
        "# Models compared",
        "",
        f"Out-of-fold on {any_report['rows']} gold paragraphs of {any_report['articles']} articles, whole articles "
        f"held out. Intervals at {level:.0%}, resampled by {any_report['intervals']['all']['resampled']}.",
        "",
        "| " + " | ".join(head) + " |",
        "| --- " + "| ---: " * (len(head) - 1) + "|",
        *(_model_line(model, report, labels, languages) for model, report in reports.items()),
        "",
        "| first | second | difference in macro-F1 | interval | first is |",
        "| --- | --- | ---: | --- | --- |",
        *(
            f"| {v['first']} | {v['second']} | {v['difference']:+.3f} | {_span(v['interval'])} | {v['verdict']} |"
            for v in verdicts
        ),
        "",
        "| model | learnt from | macro-F1 | macro-AP |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {model} | {setting} | {_number(values.get('f1_macro'))} | {_number(values.get('ap_macro'))} |"
            for model, report in reports.items()
            for setting, values in report["other_settings"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _model_line(model: str, report: Mapping[str, Any], labels: Labels, languages: list[str]) -> str:
    figures, interval_ = report["figures"], report["intervals"]["all"]
    cells = [model, _number(figures["f1_macro"]), _span(interval_["f1_macro"])]
    cells += [_number(report["seeds"]["std"]) if len(report["seeds"]["f1_macro"]) > 1 else "–"]
    cells += [_number(figures.get(f"f1/{theme}")) for theme in labels.names] + [_number(figures["ap_macro"])]
    cells += [_number(report["languages"][language].get("f1_macro")) for language in languages]
    cells += [_number(figures[name]) for name in ("exact_match", "brier", "ece")]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _span(values: tuple[float, float] | list[float]) -> str:
    return f"{values[0]:.3f} … {values[1]:.3f}"
