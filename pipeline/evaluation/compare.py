"""Models side by side: who is better beyond noise, and the table people read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.io import read_json, read_jsonl, write_json, write_text
from pipeline.core.schemas import Labels, ScoredRow
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.evaluate import EvaluationSettings, list_themes
from pipeline.evaluation.metrics import ScoredTable, count_decisions


def run_compare(
    models: Sequence[str],
    scored: Path,
    reports: Path,
    labels: Path,
    themes: Path,
    settings: Path,
    verdicts: Path,
    table: Path,
) -> None:
    """The stage `compare`: reads `<model>.jsonl` in `scored` and `<model>/scores.json` in `reports`, writes the rest.

    Raises:
        UserError: if a file is missing or broken.
    """
    # Here, not above: the tracking compares models too, and an edit of how themes are named is none of its business.
    from pipeline.labelling.themes import ThemeSettings, display_names

    evaluation, label_set = load_section(settings, "evaluation", EvaluationSettings), read_json(labels, Labels)
    figures = {model: read_json(reports / model / "scores.json", dict[str, Any]) for model in models}
    tables = {model: ScoredTable.from_rows(read_jsonl(scored / f"{model}.jsonl", ScoredRow)) for model in models}
    pairs = compare_models(tables, evaluation)
    shown = display_names(load_settings(themes, ThemeSettings), label_set)
    write_json(verdicts, pairs)
    write_text(table, comparison_table(figures, pairs, shown, evaluation.level))


def compare_models(scored: Mapping[str, ScoredTable], evaluation: EvaluationSettings) -> list[dict[str, Any]]:
    """Every pair of models: the difference in macro-F1 on the same resampled rows, and whether it is beyond noise.

    `better` and `worse` are said of the first model when the interval of the difference excludes 0. Where no theme can
    be measured there is neither difference nor interval.
    """
    order = next(iter(scored.values()))
    bootstrap = Bootstrap(order.articles, evaluation.resamples, evaluation.seed)
    tables = {model: _in_order(table, order.ids.tolist()) for model, table in scored.items()}
    f1 = {model: count_decisions(table).f1_macro().mean() for model, table in tables.items()}
    sampled = {m: count_decisions(table, bootstrap.weights()).f1_macro().mean(axis=1) for m, table in tables.items()}
    pairs = []
    for first, second in combinations(scored, 2):
        interval = bootstrap.interval(sampled[first] - sampled[second], evaluation.level)
        low, high = interval or (0.0, 0.0)
        verdict = "better" if low > 0 else "worse" if high < 0 else "within noise"
        pairs.append(
            {
                "first": first,
                "second": second,
                "difference": round(float(f1[first] - f1[second]), 4) if interval else None,
                "interval": interval and [low, high],
                "too_narrow": bootstrap.too_narrow,
                "verdict": verdict if interval else "not measured",
            }
        )
    return pairs


def _in_order(scored: ScoredTable, ids: Sequence[str]) -> ScoredTable:
    """The rows with these ids, in their order."""
    row_of = {id_: row for row, id_ in enumerate(scored.ids.tolist())}
    return scored.where(np.array([row_of[id_] for id_ in ids]))


def comparison_table(
    reports: Mapping[str, Mapping[str, Any]],
    verdicts: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    level: float,
) -> str:
    """The comparison as a Markdown page. `names` are the themes as people see them, `level` is that of intervals."""
    report = next(iter(reports.values()))
    cells = {model: score_cells(report, {}) for model, report in reports.items()}
    pairs = [
        (v["first"], v["second"], signed(v["difference"]), interval_text(v["interval"]), v["verdict"]) for v in verdicts
    ]
    sections = [
        "# Models compared",
        f"{scored_on(report)} Intervals at {level:.0%}, resampled by {report['intervals']['all']['resampled']}. "
        f"Macro-F1 is the mean over {list_themes([names[theme] for theme in report['measured']])}.",
        *([scarce_list(report["scarce"], names)] if report["scarce"] else []),
        markdown_table(
            ("model", *next(iter(cells.values()))), [(model, *row.values()) for model, row in cells.items()], ("model",)
        ),
        themes_table(reports, names),
    ]
    if pairs:
        head = ("first", "second", "difference in macro-F1", "interval", "first is")
        sections.append(markdown_table(head, pairs, left=("first", "second", "interval", "first is")))
    if any(report["other_settings"] for report in reports.values()):
        sections.append(teachers_table(reports))
    return "\n\n".join(sections) + "\n"


def scored_on(report: Mapping[str, Any]) -> str:
    """A sentence: which rows were scored, and by models that had learnt which."""
    if given := report.get("given_split"):
        own = f", {given['borrowed']} of them out of the training rows" if given["borrowed"] else ""
        return (
            f"Scored on the {given['test']} test rows of the given split by models that learnt {given['train']} rows; "
            f"thresholds were chosen on {given['dev']} rows{own}."
        )
    return f"Out-of-fold on {report['rows']} gold paragraphs of {report['articles']} articles, whole articles held out."


def score_cells(report: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """A model's figures as text, by the head of their column."""
    figures, languages = report["figures"], report["languages"].items()
    seeds = report.get("seeds", {"f1_macro": []})  # on the challenge set there is one model, so nothing to spread
    return {
        "macro-F1": three_digits(figures.get("f1_macro")),
        "interval": interval_text(report["intervals"]["all"].get("f1_macro")),
        "± seeds": three_digits(seeds["std"] if len(seeds["f1_macro"]) > 1 else None),
        **{f"F1 {shown}": three_digits(figures.get(f"f1/{theme}")) for theme, shown in names.items()},
        "macro-AP": three_digits(figures.get("ap_macro")),
        **{f"macro-F1 {language}": three_digits(values.get("f1_macro")) for language, values in languages},
        "exact": three_digits(figures.get("exact_match")),
        "Brier": three_digits(figures.get("brier")),
        "ECE": three_digits(figures.get("ece")),
        **({"false alarms": three_digits(figures["false_alarms"])} if "false_alarms" in figures else {}),
    }


def themes_table(reports: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """F1 of each theme by each model, a row a theme, so that a hundred of them can be read."""
    rows = [
        (shown, *(three_digits(report["figures"].get(f"f1/{theme}")) for report in reports.values()))
        for theme, shown in names.items()
    ]
    return markdown_table(("F1", *reports), rows, left=("F1",))


def teachers_table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures of models that learnt from something else than gold and exemplars: rules, or one language alone."""
    rows = [
        (model, setting, three_digits(values.get("f1_macro")), three_digits(values.get("ap_macro")))
        for model, report in reports.items()
        for setting, values in report["other_settings"].items()
    ]
    return markdown_table(("model", "learnt from", "macro-F1", "macro-AP"), rows, left=("model", "learnt from"))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str]) -> str:
    """A Markdown table; the columns in `left` are aligned left, the others, numbers, right."""
    lines = [head, ["---" if name in left else "---:" for name in head], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def three_digits(value: float | None) -> str:
    """A figure as people read it; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference as people read it; a dash where there is none."""
    return "–" if value is None else f"{value:+.3f}"


def interval_text(values: Sequence[float] | None) -> str:
    """Both ends of an interval as people read them; a dash where there is none."""
    return f"{values[0]:.3f} … {values[1]:.3f}" if values else "–"


def scarce_list(scarce: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Which themes can't be learnt or measured yet, and why, as a Markdown list."""
    return "\n".join(f"- {names.get(theme, theme)} {why}." for theme, why in scarce.items())
