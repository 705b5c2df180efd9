"""Paragraphs or a labelled table -> training rows with target and weight vectors, and what labelled them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.io import read_jsonl, read_numbered_jsonl, sha256, write_json, write_jsonl
from pipeline.core.schemas import Exemplar, LabelledRow, Labels, Paragraph
from pipeline.core.settings import Probability, Settings, load_section, load_settings
from pipeline.labelling.annotations import agreement as annotator_agreement
from pipeline.labelling.annotations import bind
from pipeline.labelling.rules import SIGN, LabellingRules, RuleSettings, Vote
from pipeline.labelling.tables import TableRow, read_table
from pipeline.labelling.themes import ThemeSettings, check_themes, read_labels
from pipeline.text.normalize import prepare


class LabelSettings(Settings, frozen=True):
    """Section `label` of configs/pipeline.yaml: what a row of each provenance weighs at most."""

    gold_weight: Probability
    exemplar_weight: Probability
    rule_weight: Probability


ChallengePart = Literal["dev", "final"]
CHALLENGE_PARTS: tuple[ChallengePart, ChallengePart] = ("dev", "final")
SHARED_RUN = 6
"""Words in a row that two texts may not share: shorter runs are idioms and names of institutions."""


def run_label(
    paragraphs: Path | None,
    annotations: Path | None,
    exemplars: Path | None,
    challenge: Path | None,
    table: Path | None,
    themes: Path,
    rules: Path,
    settings: Path,
    out: Path,
    labels: Path,
    report: Path,
) -> None:
    """The stage `label`: rows from `table`, or else from `paragraphs` and `annotations`, and from exemplars.

    Raises:
        UserError: if a file is missing or broken, or an exemplar gives a gold or challenge row away.
    """
    weights = load_section(settings, "label", LabelSettings)
    names = read_labels(load_settings(themes, ThemeSettings), themes)
    voters = LabellingRules(load_settings(rules, RuleSettings), names.names)
    agreement: dict[str, Any] = {}
    if paragraphs and annotations:
        texts = read_jsonl(paragraphs, Paragraph)
        rows = label_paragraphs(texts, bind(annotations, texts, names), names, voters, weights)
        agreement = annotator_agreement(annotations, names)
    else:
        rows = label_table(read_table(table, names) if table else [], names, voters, weights)
    others = {row.id: row.text for row in rows}
    hard = read_exemplars(challenge, names, others) if challenge else []
    others |= {f"{challenge}: {row.text[:40]}…": row.text for row in hard}
    written = read_exemplars(exemplars, names, others) if exemplars else []
    rows += label_exemplars(written, names, voters, weights)
    judges = label_exemplars([row for row in hard if challenge_part(row) == "dev"], names, voters, weights)
    write_jsonl(out, rows)
    write_json(labels, names)
    write_json(report, labelling_report(rows, names, voters, agreement, written, judges))


def label_paragraphs(
    paragraphs: Sequence[Paragraph],
    known: Mapping[str, Mapping[str, bool]],
    labels: Labels,
    rules: LabellingRules,
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
    exemplars: Sequence[Exemplar], labels: Labels, rules: LabellingRules, settings: LabelSettings
) -> list[LabelledRow]:
    """Exemplars as rows, each an article by itself, weighted by `exemplar_weight` where a theme was asked."""
    rows = []
    for number, exemplar in enumerate(exemplars, start=1):
        text = prepare(exemplar.text)
        name = f"exemplar-{number:04d}"
        facts = {"id": name, "article": name, "kind": "body", "text": text}
        known = {theme: theme in exemplar.themes for theme in exemplar.asked}
        row = _row({**facts, "language": exemplar.language}, known, rules.votes(text), labels, settings)
        weights = tuple(settings.exemplar_weight * (weight > 0) for weight in row.weights)
        rows.append(msgspec.structs.replace(row, provenance="exemplar", weights=weights))
    return rows


def challenge_part(row: Exemplar) -> ChallengePart:
    """`dev`, which may choose between recipes, or `final`, which is read once: half of each author's by a digest."""
    return CHALLENGE_PARTS[int(sha256(f"{row.by}\n{row.text}".encode())[:8], 16) % 2]


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
    return {tuple(words[start : start + SHARED_RUN]) for start in range(len(words) - SHARED_RUN + 1)}


def label_table(
    table: Sequence[TableRow], labels: Labels, rules: LabellingRules, settings: LabelSettings
) -> list[LabelledRow]:
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


def labelling_report(
    rows: Sequence[LabelledRow],
    labels: Labels,
    rules: LabellingRules,
    agreement: Mapping[str, Any],
    exemplars: Sequence[Exemplar] = (),
    challenge: Sequence[LabelledRow] = (),
) -> dict[str, Any]:
    """What labelled the rows: counts, positives by theme and language, what awaits annotation, how each rule does.

    `challenge` are rows of the challenge set's `dev`, on which rules are judged beside gold.
    """
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
        "exemplars": _coverage(exemplars, labels),
        "rules_on_challenge": {
            lang: _rules_alone([row for row in challenge if row.language == lang], labels)
            for lang in sorted({row.language for row in challenge})
        },
        "rules": _rule_report(rows, [*gold, *challenge], labels, rules),
    }


def _coverage(exemplars: Sequence[Exemplar], labels: Labels) -> dict[str, dict[str, dict[str, int]]]:
    """How many exemplars have each theme, or none, by language and kind."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for exemplar in exemplars:
        counts.update((exemplar.language, exemplar.kind, name) for name in ("rows", *exemplar.themes))
        counts[exemplar.language, exemplar.kind, "none"] += not exemplar.themes
    return {
        language: {
            kind: {name: counts[language, kind, name] for name in ("rows", *labels.names, "none")}
            for kind in sorted({kind for lang, kind, _ in counts if lang == language})
        }
        for language in sorted({language for language, _, _ in counts})
    }


def _rules_alone(rows: Sequence[LabelledRow], labels: Labels) -> dict[str, float]:
    """F1 of each theme, and their mean, if it is given where the rules' votes make it more likely than not."""
    out = {}
    for column, name in enumerate(labels.names):
        given = [row.rule_weights[column] > 0 and row.rule_targets[column] > 0.5 for row in rows]
        right = sum(g and _is(row, column) for g, row in zip(given, rows, strict=True))
        total = sum(given) + sum(_is(row, column) for row in rows)
        out[f"f1/{name}"] = round(2 * right / total, 4) if total else 0.0
    return {"rows": len(rows), "f1_macro": round(sum(out.values()) / len(out), 4), **out}


def _is(row: LabelledRow, column: int) -> bool:
    return row.weights[column] > 0 and row.targets[column] > 0.5


def _rule_report(
    rows: Sequence[LabelledRow], judged: Sequence[LabelledRow], labels: Labels, rules: LabellingRules
) -> list[dict[str, Any]]:
    """How each rule does.

    Overlap and conflict are the shares of its hits where another rule votes the same or the other way on the theme;
    precision is the share of right votes among its hits on `judged`, by language.
    """
    verdicts = [(row, rules.hits(row.text)) for row in judged]
    hits = [rules.hits(row.text) for row in rows]
    out = []
    for rule in rules.settings:
        column = labels.names.index(rule.theme)
        where = [index for index, fired in enumerate(hits) if rule in fired]
        others = [
            [other for other in hits[index] if other is not rule and other.theme == rule.theme] for index in where
        ]
        right: dict[str, list[bool]] = {}
        for row, fired in verdicts:
            if rule in fired and row.weights[column] > 0:
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
