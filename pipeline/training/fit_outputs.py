"""Where the outputs of `fit` go, and what it tells people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.io import read_json
from pipeline.core.manifest import MANIFEST
from pipeline.core.schemas import FoldRow, LabelledRow
from pipeline.evaluation.compare import interval_text, scored_on, signed, three_digits
from pipeline.labelling.teaching import rows_by_role

PAGE = "comparison.md"
_SPLIT = {"train": "learnt from", "dev": "for thresholds", "test": "scored"}


def plan_outputs(model: str, out: Path, report: Path | None, overwrite: bool) -> dict[str, Path]:
    """Where each folder goes in the end, by its place among the pipeline's files.

    Raises:
        UserError: if something else is there, or an earlier result that may not be overwritten.
    """
    outputs = {f"models/{model}": out, "reports": report or out.parent / f"{out.name}-report"}
    if model == "transformer":
        outputs["models/compact"] = out.parent / f"{out.name}-compact"
    first, second = out.resolve(), outputs["reports"].resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise UserError(f"{outputs['reports']}: report and {out} lie in each other; name folders side by side")
    for made, place in outputs.items():
        kind, mark = ("report", PAGE) if made == "reports" else ("model folder", MANIFEST)
        if not place.exists() or (place.is_dir() and not any(place.iterdir())):
            continue
        if not (place / mark).is_file():
            raise UserError(f"{place}: exists, and is no {kind}; name another folder")
        if not overwrite:
            raise UserError(f"{place}: exists; name another folder, or give --overwrite")
    return outputs


def by_language(rows: Sequence[LabelledRow]) -> str:
    """How many rows each language has, the largest first."""
    return ", ".join(f"{language} {count:,}" for language, count in Counter(row.language for row in rows).most_common())


def split_line(rows: Sequence[LabelledRow], folds: Sequence[FoldRow]) -> str:
    """What is learnt from and what is scored, in a sentence."""
    if given := rows_by_role(rows, folds):
        return scored_on({"given_split": given}).rstrip(".").replace("Scored", "scored")
    numbers = {place.fold for place in folds if place.fold is not None}
    held_out = sum(place.fold is not None for place in folds)
    return f"{held_out:,} articles in {len(numbers)} folds, each scored by models that learnt the others"


def figures_line(reports: Path, model: str) -> str:
    """A model's macro-F1 and micro-F1 with their intervals, where there are any, and macro-F1 by language."""
    report = read_json(reports / model / "scores.json", dict[str, Any])
    spans, parts = report["intervals"]["all"], []
    for name, shown in (("f1_macro", "macro-F1"), ("f1_micro", "micro-F1")):
        span = f" ({interval_text(spans[name])})" if spans.get(name) else ""
        parts.append(f"{shown} {three_digits(report['figures'].get(name))}{span}")
    languages = [f"{name} {three_digits(part.get('f1_macro'))}" for name, part in report["languages"].items()]
    return ", ".join([*parts, *(languages if len(languages) > 1 else [])])


def fit_summary(
    rows: Sequence[LabelledRow], folds: Sequence[FoldRow], models: Sequence[str], outputs: Mapping[str, Path]
) -> str:
    """Rows by split and language, themes with too few rows, figures, where all lies, and what to do next.

    `outputs` has the place of each folder by its place among the pipeline's files; the model is the first.
    """
    model, reports = next(iter(outputs.values())), outputs["reports"]
    compact = outputs.get("models/compact")
    report = read_json(reports / models[-1] / "scores.json", dict[str, Any])
    lines = ["", *_rows_lines(rows, folds)]
    if report["scarce"]:
        lines.append(f"too few rows: {', '.join(report['scarce'])}")
    lines += [f"{name}: {figures_line(reports, name)}" for name in models]
    for pair in read_json(reports / "verdicts.json", list[dict[str, Any]]):
        span = interval_text(pair["interval"])
        lines.append(
            f"{pair['first']} against {pair['second']}: {signed(pair['difference'])} ({span}), {pair['verdict']}"
        )
    lines += [f"report: {reports}/{PAGE}; worst mistakes: {reports}/{models[-1]}/errors.csv", f"model: {model}"]
    if compact and compact.exists():
        lines[-1] += f"; about four times as fast, and alike in its answers: {compact}"
        model = compact
    lines.append(f"next: taqyryp classify TEXTS.jsonl --unit paragraph --model {model} -o themes.jsonl")
    return "\n".join(lines)


def _rows_lines(rows: Sequence[LabelledRow], folds: Sequence[FoldRow]) -> list[str]:
    """Labelled rows by what they served, each by language."""
    gold = [row for row in rows if row.provenance == "gold"]
    left_out = [f"{len(rows) - len(gold):,} rows without themes"] if len(gold) < len(rows) else []
    if not rows_by_role(rows, folds):
        return [f"rows learnt from, and scored out of fold: {by_language(gold)}", *left_out]
    roles = {place.article: place.role for place in folds}
    parts = {role: [row for row in gold if roles[row.article] == role] for role in _SPLIT}
    return [f"rows {_SPLIT[role]}: {by_language(part)}" for role, part in parts.items()] + left_out
