"""What labelled the rows, and how each rule does: the content of reports/labelling.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.metrics import f1_score

from pipeline.core.schemas import Exemplar, LabelledRow
from pipeline.labelling.rules import LabellingRules, Rule
from pipeline.labelling.teaching import has_theme


def labelling_report(
    rows: Sequence[LabelledRow],
    rules: LabellingRules,
    agreement: Mapping[str, Any],
    exemplars: Sequence[Exemplar] = (),
    challenge: Sequence[LabelledRow] = (),
) -> dict[str, Any]:
    """What labelled the rows: counts, positives by theme and language, what awaits annotation, how each rule does.

    `challenge` are rows of the challenge set's `dev`, on which rules are judged beside gold.
    """
    labels = rules.labels
    gold = [row for row in rows if row.provenance == "gold"]
    languages = sorted({row.language for row in rows})
    return {
        "rows": dict(sorted(Counter(row.provenance for row in rows).items())),
        "positives": {
            name: {lang: sum(has_theme(row, column) for row in gold if row.language == lang) for lang in languages}
            for column, name in enumerate(labels)
        },
        "without_theme": sum(not any(has_theme(row, column) for column in range(len(labels))) for row in gold),
        "awaiting": {
            name: sum(row.provenance == "rule" or row.weights[column] == 0 for row in rows)
            for column, name in enumerate(labels)
        },
        "agreement": dict(agreement),
        "exemplars": _exemplar_counts(exemplars, labels),
        "rules_on_challenge": {
            lang: _f1_of_rules([row for row in challenge if row.language == lang], labels)
            for lang in sorted({row.language for row in challenge})
        },
        "rules": _rule_report(rows, [*gold, *challenge], rules),
    }


def _exemplar_counts(exemplars: Sequence[Exemplar], labels: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    """How many exemplars have each theme, or none, by language and kind."""
    groups: dict[tuple[str, str], list[Exemplar]] = defaultdict(list)
    for exemplar in exemplars:
        groups[exemplar.language, exemplar.kind].append(exemplar)
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (language, kind), group in sorted(groups.items()):
        themes = {name: sum(name in exemplar.themes for exemplar in group) for name in labels}
        none = sum(not exemplar.themes for exemplar in group)
        counts.setdefault(language, {})[kind] = {"rows": len(group), **themes, "none": none}
    return counts


def _f1_of_rules(rows: Sequence[LabelledRow], labels: Sequence[str]) -> dict[str, float]:
    """F1 of each theme, and their mean, if it is given where the rules' votes make it more likely than not."""
    figures = {}
    for column, name in enumerate(labels):
        given = [row.rule_weights[column] > 0 and row.rule_targets[column] > 0.5 for row in rows]
        right = [has_theme(row, column) for row in rows]
        figures[f"f1/{name}"] = round(float(f1_score(right, given, zero_division=0.0)), 4)
    return {"rows": len(rows), "f1_macro": round(sum(figures.values()) / len(figures), 4), **figures}


def _rule_report(
    rows: Sequence[LabelledRow], judged: Sequence[LabelledRow], rules: LabellingRules
) -> list[dict[str, Any]]:
    """How each rule does.

    Overlap and conflict are the shares of its hits where another rule votes the same or the other way on the theme;
    precision is the share of right votes among its hits on `judged`, by language.
    """
    hits = [rules.hits(row.text) for row in rows]
    hits_on_judged = [(row, rules.hits(row.text)) for row in judged]
    report = []
    for rule in rules.settings:
        # Of each row on which the rule fires: what the other rules on its theme vote.
        others = [
            {other.votes for other in fired if other.theme == rule.theme and other is not rule}
            for fired in hits
            if rule in fired
        ]
        report.append(
            {
                "rule": rule.name,
                "theme": rule.theme,
                "votes": rule.votes,
                "hits": len(others),
                "coverage": _share(len(others), len(rows)),
                "overlap": _share(sum(rule.votes in votes for votes in others), len(others)),
                "conflict": _share(sum(bool(votes - {rule.votes}) for votes in others), len(others)),
                "precision": _precision(rule, [row for row, fired in hits_on_judged if rule in fired], rules.labels),
            }
        )
    return report


def _precision(rule: Rule, rows: Sequence[LabelledRow], labels: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """By language, how many of a rule's votes on rows where its theme is known are right."""
    column = labels.index(rule.theme)
    right: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row.weights[column] > 0:
            right[row.language].append(has_theme(row, column) == (rule.votes == "for"))
    return {
        language: {"right": sum(votes), "of": len(votes), "share": _share(sum(votes), len(votes))}
        for language, votes in sorted(right.items())
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
