"""What rows can teach and what gold can tell: which themes a model can learn, which can be measured, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from pipeline.core.arrays import Mask, targets_and_weights
from pipeline.core.schemas import FoldRow, LabelledRow, Labels

LEAST = 2
"""Positives that it takes to measure a theme, or to ship it: the fold that holds out the only one learns nothing."""
_NAMED = 5
"""So many articles are named, of others the number."""


def taught(row: LabelledRow) -> LabelledRow:
    """The row as models learn it: where nobody was asked about a theme, what the rules say of it."""
    if all(row.weights):
        return row
    gold = zip(row.targets, row.weights, strict=True)
    rules = zip(row.rule_targets, row.rule_weights, strict=True)
    targets, weights = zip(*(asked if asked[1] else said for asked, said in zip(gold, rules, strict=True)), strict=True)
    return msgspec.structs.replace(row, targets=targets, weights=weights)


def learnable(rows: Sequence[LabelledRow], labels: Labels, least: int = 1) -> Mask:
    """Whether rows, as they are taught, can teach each theme: `least` of them have it, and one is known not to."""
    present, absent = _present_and_absent(rows, labels)
    return np.asarray((present.sum(axis=0) >= least) & absent.any(axis=0))


def _present_and_absent(rows: Sequence[LabelledRow], labels: Labels) -> tuple[Mask, Mask]:
    targets, weights = (values.reshape(len(rows), len(labels.names)) for values in targets_and_weights(rows))
    return (targets > 0.5) & (weights > 0), (targets < 0.5) & (weights > 0)


def learnt_by_fold(rows: Sequence[LabelledRow], folds: Sequence[FoldRow], labels: Labels) -> dict[int, Mask]:
    """By fold, which themes its training part can teach."""
    places = {place.article: place for place in folds}
    training = [taught(row) for row in rows if places[row.article].role != "dev"]
    numbers = sorted({place.fold for place in folds if place.fold is not None})
    index: dict[int | None, int] = {fold: number for number, fold in enumerate(numbers)}
    held_out = np.array([index.get(places[row.article].fold, -1) for row in training], dtype=int)
    learnt = np.ones((len(numbers), len(labels.names)), dtype=bool)
    for cells in _present_and_absent(training, labels):
        counts = np.zeros((len(numbers) + 1, len(labels.names)))  # the last is of rows that no fold holds out
        np.add.at(counts, held_out, cells)
        learnt &= counts.sum(axis=0) > counts[:-1]
    return dict(zip(numbers, learnt, strict=True))


def measured_themes(rows: Sequence[LabelledRow], folds: Sequence[FoldRow], labels: Labels) -> Mask:
    """Of each theme whether gold can tell anything: `LEAST` paragraphs have it, one where a model could have learnt it.

    That is the same for all models, so that their figures are about the same themes.
    """
    places, learnt = {place.article: place for place in folds}, learnt_by_fold(rows, folds, labels)
    scored = [row for row in rows if row.provenance == "gold" and places[row.article].role == "test"]
    found = []
    for column in range(len(labels.names)):
        held_out = [places[row.article].fold for row in scored if has_theme(row, column)]
        found.append(len(held_out) >= LEAST and any(fold is not None and learnt[fold][column] for fold in held_out))
    return np.array(found)


def has_theme(row: LabelledRow, column: int) -> bool:
    """Whether someone who was asked said that the theme is there."""
    return row.weights[column] > 0 and row.targets[column] > 0.5


def scarce_themes(
    rows: Sequence[LabelledRow], labels: Labels, folds: Sequence[FoldRow] | None = None
) -> dict[str, str]:
    """Of each theme that can't be learnt or measured yet, why, in a sentence for people.

    Without `folds` each article is held out by itself, as `split` does with few.
    """
    folds = folds or _one_by_one(rows)
    unlearnt, measured = unlearnt_themes(rows, labels), measured_themes(rows, folds, labels)
    lost = {fold: ~themes for fold, themes in learnt_by_fold(rows, folds, labels).items()}
    found = {}
    for column, name in enumerate(labels.names):
        without = sorted(
            place.article
            for place in folds
            if place.role == "test" and place.fold is not None and lost[place.fold][column]
        )
        if name in unlearnt:
            found[name] = f"can't be learnt yet: {_evidence(rows, column)}"
        elif not measured[column]:
            several = sum(row.provenance == "gold" and has_theme(row, column) for row in rows) >= LEAST
            elsewhere = ", too little elsewhere to learn it from" if several else ""
            found[name] = f"can't be measured yet: {_evidence(rows, column)}{elsewhere}"
        elif without:
            found[name] = f"can't be learnt with {_listed(without)} held out: too little elsewhere"
    return found


def unlearnt_themes(rows: Sequence[LabelledRow], labels: Labels) -> tuple[str, ...]:
    """The themes that the model trained on these rows can't learn, and so never gives."""
    learnt = learnable([taught(row) for row in training_rows(rows)], labels, LEAST)
    return tuple(name for name, found in zip(labels.names, learnt, strict=True) if not found)


def rows_by_role(rows: Sequence[LabelledRow], folds: Sequence[FoldRow]) -> dict[str, int]:
    """How many gold rows of a given split are learnt from (`train`), choose thresholds (`dev`) and are scored (`test`).

    `borrowed` of the `dev` rows were given as training rows, for want of others. {} if no split was given.
    """
    if not any(row.split for row in rows):
        return {}
    roles = {place.article: place.role for place in folds}
    gold = [row for row in rows if row.provenance == "gold"]
    counts = Counter(str(roles[row.article]) for row in gold)
    borrowed = sum(roles[row.article] == "dev" and row.split != "dev" for row in gold)
    return {**{role: counts[role] for role in ("train", "dev", "test")}, "borrowed": borrowed}


def training_rows(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """The rows that a model to be shipped learns from: all but those that a given split keeps."""
    return [row for row in rows if row.split in (None, "train")]


def _evidence(rows: Sequence[LabelledRow], column: int) -> str:
    """What people said of a theme, and where; or that nothing says where it is not."""
    cells = [(row.targets[column], row.weights[column]) for row in map(taught, training_rows(rows))]
    if sum(target > 0.5 for target, weight in cells if weight) >= LEAST and all(t > 0.5 for t, w in cells if w):
        return "none is known to be without it; annotate one, or write a rule against it"
    asked = [row for row in rows if row.weights[column] > 0]
    gold, exemplars = ([row for row in asked if row.provenance == kind] for kind in ("gold", "exemplar"))
    count = sum(has_theme(row, column) for row in gold)
    parts = [f"{_counted(count, 'positive')} in {_listed(sorted({row.article for row in gold}))}"] if gold else []
    if exemplars:
        in_exemplars = sum(has_theme(row, column) for row in exemplars)
        parts.append(f"{_counted(in_exemplars, 'positive')} in {_counted(len(exemplars), 'exemplar')}")
    return " and ".join(parts) or "0 positives, nobody was asked"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _listed(articles: Sequence[str]) -> str:
    more = f" and {len(articles) - _NAMED} more" if len(articles) > _NAMED else ""
    return f"article{'s' * (len(articles) != 1)} {', '.join(articles[:_NAMED])}{more}"


def _one_by_one(rows: Sequence[LabelledRow]) -> list[FoldRow]:
    """Folds before there are any: each gold article by itself, or what a given split tests."""
    roles: Mapping[str, str] = {row.article: row.split or "train" for row in rows}
    if any(row.split for row in rows):
        return [
            FoldRow(article=article, fold=None if role == "train" else 0, role=role)  # type: ignore[arg-type]
            for article, role in roles.items()
        ]
    gold = {row.article: None for row in rows if row.provenance == "gold"}
    numbers = {article: number for number, article in enumerate(gold)}
    return [
        FoldRow(article=article, fold=numbers.get(article), role="test" if article in numbers else "train")
        for article in roles
    ]
