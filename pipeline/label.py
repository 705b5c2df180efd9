"""Paragraphs or a labelled table -> training rows with target and weight vectors, and what labelled them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import UserError
from pipeline.records import Exemplar, LabelledRow, Labels, Paragraph
from pipeline.rules import SIGN, Rules, Vote
from pipeline.settings import Probability, Settings
from pipeline.storage import read_numbered_jsonl
from pipeline.tables import TableRow
from pipeline.text import prepare
from pipeline.themes import check_themes


class LabelSettings(Settings, frozen=True):
    """Section `label` of configs/pipeline.yaml: what a row of each provenance weighs at most."""

    gold_weight: Probability
    exemplar_weight: Probability
    rule_weight: Probability


EXEMPLARS = "exemplars"
"""The article that exemplars are taken to stand in: it has no gold row, so it is never held out."""
RUN = 6
"""Words in a row that two texts may not share: shorter runs are idioms and names of institutions."""


def label_paragraphs(
    paragraphs: Sequence[Paragraph],
    known: Mapping[str, Mapping[str, bool]],
    labels: Labels,
    rules: Rules,
    settings: LabelSettings,
) -> list[LabelledRow]:
    """Gold where annotated, otherwise what the rules say. A theme that nobody was asked about has weight 0."""
    rows = []
    for paragraph in paragraphs:
        rows.append(
            _row(
                {field: getattr(paragraph, field) for field in ("id", "article", "language", "kind", "text")},
                known.get(paragraph.id),
                rules.votes(paragraph.text),
                labels,
                settings,
            )
        )
    return rows


def label_exemplars(
    exemplars: Sequence[Exemplar], labels: Labels, rules: Rules, settings: LabelSettings
) -> list[LabelledRow]:
    """Exemplars as rows of an article of their own, weighted by `exemplar_weight` where a theme was asked."""
    rows = []
    for number, exemplar in enumerate(exemplars, start=1):
        text = prepare(exemplar.text)
        facts = {"id": f"{EXEMPLARS}-{number:04d}", "article": EXEMPLARS, "kind": "body", "text": text}
        known = {theme: theme in exemplar.themes for theme in exemplar.asked}
        row = _row({**facts, "language": exemplar.language}, known, rules.votes(text), labels, settings)
        weights = tuple(settings.exemplar_weight * (weight > 0) for weight in row.weights)
        rows.append(msgspec.structs.replace(row, provenance="exemplar", weights=weights))
    return rows


def read_exemplars(path: Path, labels: Labels, others: Mapping[str, str]) -> list[Exemplar]:
    """Exemplars, or the challenge set, each checked.

    Raises:
        UserError: naming the line, if a theme is not a label or was not asked, or a run of six words stands in another
            line or in one of the `others`, texts by name (gold and challenge rows that such a line would give away).
    """
    seen = {run: name for name, text in others.items() for run in _runs(text)}
    exemplars = []
    for number, exemplar in read_numbered_jsonl(path, Exemplar):
        place = f"{path}:{number}"
        check_themes(exemplar.themes, exemplar.asked, labels, place)
        runs = _runs(exemplar.text)
        for run in sorted(runs & seen.keys()):
            raise UserError(f"{place}: shares {' '.join(run)!r} with {seen[run]}; write it in other words")
        seen |= dict.fromkeys(runs, place)
        exemplars.append(exemplar)
    return exemplars


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", prepare(text).lower())
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def label_table(table: Sequence[TableRow], labels: Labels, rules: Rules, settings: LabelSettings) -> list[LabelledRow]:
    """The same for a table; its texts are prepared, its languages and splits kept."""
    rows = []
    for entry in table:
        text = prepare(entry.text)
        known = None if entry.themes is None else {theme: theme in entry.themes for theme in labels.names}
        facts = {"id": entry.id, "article": entry.article, "language": entry.language, "kind": "body", "text": text}
        rows.append(_row({**facts, "split": entry.split}, known, rules.votes(text), labels, settings))
    return rows


def _row(
    facts: Mapping[str, Any],
    known: Mapping[str, bool] | None,
    votes: Mapping[str, Vote],
    labels: Labels,
    settings: LabelSettings,
) -> LabelledRow:
    rule_targets = tuple(votes[name].probability if name in votes else 0.0 for name in labels.names)
    rule_weights = tuple(settings.rule_weight * votes[name].weight if name in votes else 0.0 for name in labels.names)
    gold = known is not None
    return LabelledRow(
        **facts,
        targets=tuple(float(known.get(name, False)) for name in labels.names) if known is not None else rule_targets,
        weights=(
            tuple(settings.gold_weight if name in known else 0.0 for name in labels.names)
            if known is not None
            else rule_weights
        ),
        rule_targets=rule_targets,
        rule_weights=rule_weights,
        provenance="gold" if gold else "rule",
    )


def report(rows: Sequence[LabelledRow], labels: Labels, rules: Rules, agreement: Mapping[str, Any]) -> dict[str, Any]:
    """What labelled the rows: counts, positives by theme and language, what awaits annotation, how each rule does."""
    gold = [row for row in rows if row.provenance == "gold"]
    languages = sorted({row.language for row in rows})
    return {
        "rows": dict(sorted(Counter(row.provenance for row in rows).items())),
        "positives": {
            name: {lang: sum(_is(row, column) for row in gold if row.language == lang) for lang in languages}
            for column, name in enumerate(labels.names)
        },
        "without_theme": sum(not any(_is(row, column) for column in range(len(labels.names))) for row in gold),
        "awaiting": {
            name: sum(row.provenance == "rule" or row.weights[column] == 0 for row in rows)
            for column, name in enumerate(labels.names)
        },
        "agreement": dict(agreement),
        "rules": _rule_report(rows, labels, rules),
    }


def _is(row: LabelledRow, column: int) -> bool:
    return row.weights[column] > 0 and row.targets[column] > 0.5


def _rule_report(rows: Sequence[LabelledRow], labels: Labels, rules: Rules) -> list[dict[str, Any]]:
    """How each rule does.

    Overlap and conflict are the shares of its hits where another rule votes the same or the other way on the theme;
    precision is the share of right votes among its hits on gold, by language.
    """
    hits = [rules.hits(row.text) for row in rows]
    out = []
    for rule in rules.settings:
        column = labels.names.index(rule.theme)
        where = [index for index, fired in enumerate(hits) if rule in fired]
        others = [
            [other for other in hits[index] if other is not rule and other.theme == rule.theme] for index in where
        ]
        right: dict[str, list[bool]] = {}
        for index in where:
            row = rows[index]
            if row.provenance == "gold" and row.weights[column] > 0:
                right.setdefault(row.language, []).append((row.targets[column] > 0.5) == (SIGN[rule.votes] > 0))
        out.append(
            {
                "rule": rule.name,
                "theme": rule.theme,
                "votes": rule.votes,
                "hits": len(where),
                "coverage": _share(len(where), len(rows)),
                "overlap": _share(sum(any(o.votes == rule.votes for o in several) for several in others), len(where)),
                "conflict": _share(sum(any(o.votes != rule.votes for o in several) for several in others), len(where)),
                "precision": {
                    language: {"right": sum(values), "of": len(values), "share": _share(sum(values), len(values))}
                    for language, values in sorted(right.items())
                },
            }
        )
    return out


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
