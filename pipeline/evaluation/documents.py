"""The tables and figures of README and cards, written from the reports, so that nobody copies a figure by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.classifiers.base import MODELS
from pipeline.core.errors import UserError
from pipeline.core.io import read_bytes, read_json, write_text
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.compare import (
    interval_text,
    markdown_table,
    scarce_list,
    score_cells,
    teachers_table,
    themes_table,
    three_digits,
)
from pipeline.evaluation.evaluate import FEW_THEMES, EvaluationSettings
from pipeline.labelling.themes import ThemeSettings, display_names, read_labels

START, END = "<!-- {}: written by make docs -->", "<!-- end {} -->"
SUBJECT, RIVALS = "transformer", ("tfidf", "zeroshot", "rules")
"""The model that the verdicts are about, and those that it is compared with."""

Report = dict[str, Any]


def run_docs(documents: Sequence[Path], reports: Path, themes: Path, settings: Path) -> None:
    """Writes every marked block of the documents anew.

    Raises:
        UserError: if a file is missing or broken, or a marker names no block or has no end.
    """
    blocks = document_blocks(reports, themes, settings)
    for document in documents:
        write_text(document, replace_blocks(read_bytes(document).decode(), blocks, document))


def replace_blocks(text: str, blocks: Mapping[str, str], place: Path) -> str:
    """The text with what stands between `<!-- NAME: written by make docs -->` and `<!-- end NAME -->` replaced.

    Raises:
        UserError: naming `place`, if a marker names no block or has no end.
    """
    for name in dict.fromkeys(re.findall(START.format("(.+?)"), text)):
        start, end = START.format(name), END.format(name)
        if name not in blocks or text.count(start) != text.count(end):
            raise UserError(f"{place}: {start}: names none of {', '.join(blocks)}, or lacks its {end}; mend the marker")
        before, *parts = text.split(start)
        text = before + "".join(f"{start}\n\n{blocks[name]}\n\n{end}{part.partition(end)[2]}" for part in parts)
    return text


def document_blocks(reports: Path, themes: Path, settings: Path) -> dict[str, str]:
    """Markdown by the name of its marker; `themes` and `settings` are configs/themes.yaml and configs/pipeline.yaml.

    Raises:
        UserError: if a file is missing or broken.
    """
    configured = load_settings(themes, ThemeSettings)
    names = display_names(configured, read_labels(configured, themes))
    level = load_section(settings, "evaluation", EvaluationSettings).level
    models = [model for model in MODELS if (reports / model / "scores.json").is_file()]
    gold = {model: read_json(reports / model / "scores.json", Report) for model in models}
    challenge = {path.parent.name: read_json(path, Report) for path in sorted(reports.glob("challenge/*/dev.json"))}
    themes_f1 = [f"F1 {name}" for name in names.values()] if len(names) <= FEW_THEMES else []
    languages = {f"macro-F1 {language}": None for report in challenge.values() for language in report["languages"]}
    challenge_heads = ["macro-F1", "interval", *languages, *themes_f1, "macro-AP", "false alarms"]
    return {
        "scores": _scores(gold, names, ["macro-F1", "interval", "± seeds", *themes_f1, "macro-AP"]),
        "teachers": teachers_table(gold),
        "verdicts": _verdicts(read_json(reports / "verdicts.json", list[Report]), level),
        "challenge": _model_table(challenge, names, challenge_heads),
        "exemplars": _exemplars(read_json(reports / "labelling.json", Report)["exemplars"], names),
        "export": _export(read_json(reports / "export.json", dict[str, dict[str, Report]])),
    }


def _scores(gold: Mapping[str, Report], names: Mapping[str, str], heads: Sequence[str]) -> str:
    """The table and, under it, that of many themes, and those that can't be learnt or measured yet."""
    scarce = scarce_list(next(iter(gold.values())).get("scarce", {}), names)
    themes = themes_table(gold, names) if len(names) > FEW_THEMES else ""
    return "\n\n".join(filter(None, (_model_table(gold, names, heads), themes, scarce)))


def _model_table(reports: Mapping[str, Report], names: Mapping[str, str], heads: Sequence[str]) -> str:
    """A row for each model, with the columns of the comparison that `heads` names."""
    cells = {model: score_cells(report, names) for model, report in reports.items()}
    rows = [[model, *(row[head] for head in heads)] for model, row in cells.items()]
    shown = [head.removeprefix("macro-F1 ").removeprefix("F1 ") for head in heads]
    return markdown_table(["model", *shown], rows, left=("model", "interval"))


def _verdicts(pairs: Sequence[Report], level: float) -> str:
    """A sentence for each rival. Where a pair stands the other way round, signs and verdict turn."""
    lines = []
    for rival in RIVALS:
        for pair in (pair for pair in pairs if {pair["first"], pair["second"]} == {SUBJECT, rival}):
            if pair["interval"] is None:
                lines.append(f"- {SUBJECT} against {rival}: not measured.")
                continue
            sign = 1 if pair["first"] == SUBJECT else -1
            low, high = sorted(sign * end for end in pair["interval"])
            verdict = "better beyond noise" if low > 0 else "worse beyond noise" if high < 0 else "within noise"
            span = f"{level:.0%} interval {interval_text((low, high))}"
            lines.append(f"- {SUBJECT} against {rival}: macro-F1 {sign * pair['difference']:+.3f} ({span}), {verdict}.")
    return "\n".join(lines)


def _exemplars(counts: Mapping[str, Mapping[str, Mapping[str, int]]], names: Mapping[str, str]) -> str:
    """Counts by language over all kinds; a paragraph with several themes counts under each of them."""
    rows = []
    for language, kinds in counts.items():
        *themes, none, total = (sum(kind[name] for kind in kinds.values()) for name in (*names, "none", "rows"))
        rows.append([language, *(f"{count:,}" for count in (*themes, total - none, none, total))])
    return markdown_table(["language", *names.values(), "with a theme", "without", "all"], rows, left=("language",))


def _export(tried: Mapping[str, Mapping[str, Report]]) -> str:
    """Forms are tried until one passes, so the last is the one that was taken."""
    form, languages = list(tried.items())[-1]
    rows = [
        [language, f"{result['rows']:,}", f"{result['equal_decisions']:.2%}", three_digits(result["f1_loss"])]
        for language, result in languages.items()
    ]
    table = markdown_table(["language", "paragraphs", "equal decisions", "macro-F1 lost"], rows, left=("language",))
    return f"Form taken: {form}.\n\n{table}"
