"""Paragraphs or a labelled table, and exemplars -> training rows with target and weight vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.io import Say, read_jsonl, read_numbered_jsonl, write_json, write_jsonl
from pipeline.core.schemas import Annotation, Exemplar, LabelledRow, Labels, Paragraph, Provenance
from pipeline.core.settings import Probability, Settings, load_section, load_settings
from pipeline.labelling.annotations import agreement, bind
from pipeline.labelling.exemplars import challenge_part, read_exemplars
from pipeline.labelling.report import labelling_report
from pipeline.labelling.rules import LabellingRules, RuleSettings, Vote
from pipeline.labelling.tables import TableRow, numbered_rows, read_table
from pipeline.labelling.teaching import scarce_themes
from pipeline.labelling.themes import ThemeSettings, read_labels
from pipeline.text.normalize import for_scoring, prepare


class LabelSettings(Settings, frozen=True):
    """Section `label` of configs/pipeline.yaml: what a row of each provenance weighs at most.

    `unasked_weight` is that of the rules on a gold row or an exemplar, about a theme that nobody was asked about there.
    """

    gold_weight: Probability
    exemplar_weight: Probability
    rule_weight: Probability
    unasked_weight: Probability


def run_label(
    themes: Path, rules: Path, settings: Path, out: Path, labels: Path, report: Path, say: Say, **files: Path | None
) -> None:
    """The stage `label`: writes the rows of `files`, which are those of `label_rows`, with the labels and the report.

    It says which themes can't be learnt or measured yet, and how often it left out a retired one.

    Raises:
        UserError: if a file is missing or broken, or as `label_rows` says.
    """
    names = read_labels(load_settings(themes, ThemeSettings), themes)
    if files.get("table"):
        names = msgspec.structs.replace(names, unit="paragraph")
    votes, weights = load_settings(rules, RuleSettings), load_section(settings, "label", LabelSettings)
    rows, summary = label_rows(names, LabellingRules(votes, names), weights, **files)
    summary |= {"retired": count_retired(names, votes, files), "scarce": scarce_themes(rows, names)}
    for theme, counts in summary["retired"].items():
        say(f"{theme} is retired, so left out of " + ", ".join(f"{name} ({n:,})" for name, n in counts.items()))
    for theme, why in summary["scarce"].items():
        say(f"{theme} {why}")
    write_jsonl(out, rows)
    write_json(labels, names)
    write_json(report, summary)


def label_rows(
    labels: Labels,
    rules: LabellingRules,
    settings: LabelSettings,
    paragraphs: Path | None = None,
    annotations: Path | None = None,
    table: Path | None = None,
    exemplars: Path | None = None,
    challenge: Path | None = None,
) -> tuple[list[LabelledRow], dict[str, Any]]:
    """The training rows of a table, or of paragraphs and annotations, then of exemplars; and the labelling report.

    Raises:
        UserError: if neither a table alone nor paragraphs and annotations are given, or a file does not fit the others:
            a row's text is in no paragraph, or an exemplar gives a gold or challenge row away.
    """
    agreed: dict[str, object] = {}
    if table and not paragraphs and not annotations:
        rows = label_table(read_table(table, labels), rules, settings)
    elif paragraphs and annotations and not table:
        texts = read_jsonl(paragraphs, Paragraph)
        rows = label_paragraphs(texts, bind(annotations, texts, labels), rules, settings)
        agreed = agreement(annotations, labels)
    else:
        raise UserError("give --table alone, or --paragraphs and --annotations")
    # Each file is checked against what stands before it: what is learnt must not give away what is scored.
    others = {row.id: row.text for row in rows}
    hard = read_exemplars(challenge, labels, others) if challenge else []
    others |= {f"{challenge}: {row.text[:40]}…": row.text for row in hard}
    written = read_exemplars(exemplars, labels, others) if exemplars else []
    rows += label_exemplars(written, rules, settings)
    # Rules are judged on part dev, too; part final is read once, at the end.
    judged = label_exemplars([row for row in hard if challenge_part(row) == "dev"], rules, settings)
    return rows, labelling_report(rows, rules, agreed, written, judged)


def count_retired(labels: Labels, rules: RuleSettings, files: Mapping[str, Path | None]) -> dict[str, dict[str, int]]:
    """By retired theme, how many rows of each file, and how many rules, still speak of it."""
    if not labels.retired:
        return {}
    spoken = {"rules": [{rule.theme} for rule in {rule.name: rule for rule in rules.rules}.values()]}
    for name, path in files.items():
        if path and name == "table":
            spoken[name] = [set(row.themes or ()) for _, row in numbered_rows(path)]
        elif path and name == "annotations":
            spoken[name] = [set(row.asked) for _, row in read_numbered_jsonl(path, Annotation)]
        elif path and name != "paragraphs":
            spoken[name] = [set(row.asked) for _, row in read_numbered_jsonl(path, Exemplar)]
    return {
        theme: {name: sum(theme in row for row in rows) for name, rows in spoken.items()} for theme in labels.retired
    }


def label_paragraphs(
    paragraphs: Sequence[Paragraph], known: dict[str, dict[str, bool]], rules: LabellingRules, settings: LabelSettings
) -> list[LabelledRow]:
    """Gold where annotated, otherwise what the rules say. A theme that nobody was asked about has weight 0.

    `known` holds whether a theme is there, by paragraph id and theme.
    """
    facts = ("id", "article", "language", "kind", "text")
    return [
        _row({name: getattr(row, name) for name in facts}, known.get(row.id), "gold", rules, settings)
        for row in paragraphs
    ]


def label_table(table: Sequence[TableRow], rules: LabellingRules, settings: LabelSettings) -> list[LabelledRow]:
    """The same for a table; its texts are prepared, its languages and splits kept."""
    rows = []
    for row in table:
        facts = {name: getattr(row, name) for name in ("id", "article", "language", "split")}
        known = None if row.themes is None else {theme: theme in row.themes for theme in rules.labels}
        rows.append(_row(facts | {"kind": "body", "text": prepare(row.text)}, known, "gold", rules, settings))
    return rows


def label_exemplars(exemplars: Sequence[Exemplar], rules: LabellingRules, settings: LabelSettings) -> list[LabelledRow]:
    """Exemplars as rows, each an article by itself, weighted by `exemplar_weight` where a theme was asked."""
    rows = []
    for number, exemplar in enumerate(exemplars, start=1):
        name = f"exemplar-{number:04d}"
        facts = {"id": name, "article": name, "language": exemplar.language, "kind": "body"}
        known = {theme: theme in exemplar.themes for theme in exemplar.asked}
        rows.append(_row(facts | {"text": prepare(exemplar.text)}, known, "exemplar", rules, settings))
    return rows


def _row(
    facts: Mapping[str, Any],
    known: Mapping[str, bool] | None,
    provenance: Provenance,
    rules: LabellingRules,
    settings: LabelSettings,
) -> LabelledRow:
    """A row of `provenance` where themes are known, else of the rules. Its text is what models read of it."""
    text = for_scoring(facts["text"], facts["language"].split("-")[:1])
    votes = rules.votes(text)
    said = {name: votes.get(name, Vote(probability=0.0, weight=0.0)) for name in rules.labels}
    unasked = {name for name in rules.labels if known is not None and name not in known}
    targets = rule_targets = tuple(vote.probability for vote in said.values())
    weights = rule_weights = tuple(
        (settings.unasked_weight if name in unasked else settings.rule_weight) * vote.weight
        for name, vote in said.items()
    )
    if known is None:
        provenance = "rule"
    else:
        weight = settings.gold_weight if provenance == "gold" else settings.exemplar_weight
        targets = tuple(float(known.get(name, False)) for name in rules.labels)
        weights = tuple(weight if name in known else 0.0 for name in rules.labels)
    return LabelledRow(
        **{**facts, "text": text},
        targets=targets,
        weights=weights,
        rule_targets=rule_targets,
        rule_weights=rule_weights,
        provenance=provenance,
    )
