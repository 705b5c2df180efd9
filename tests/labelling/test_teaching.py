"""What a theme needs to be learnt and measured, and the sentence that says what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.schemas import FoldRow, LabelledRow, Labels
from pipeline.labelling.teaching import (
    learnable,
    learnt_by_fold,
    measured_themes,
    scarce_themes,
    taught,
    unlearnt_themes,
)

ONE = Labels(task="multi-label", names=("youth",))
UNKNOWN, ABSENT, PRESENT = None, 0.0, 1.0


def row(article: str, target: float | None, rule: float | None = None, **more: Any) -> LabelledRow:
    facts = {"id": f"{article}-{target}-{rule}", "article": article, "language": "kk", "kind": "body", "text": "Жастар"}
    values = {
        "targets": (target or 0.0,),
        "weights": (float(target is not None),),
        "rule_targets": (rule or 0.0,),
        "rule_weights": (0.0 if rule is None else 0.8,),
        "provenance": "gold",
    }
    return LabelledRow(**{**facts, **values, **more})


def test_a_row_is_taught_what_people_said_and_else_what_rules_say() -> None:
    both = row("a", PRESENT, rule=0.1)
    assert taught(both) is both
    told = taught(row("a", UNKNOWN, rule=0.9))
    assert (told.targets, told.weights) == ((0.9,), (0.8,))
    assert taught(row("a", UNKNOWN)).weights == (0.0,)


def test_a_theme_is_learnt_from_rows_with_it_and_without_it() -> None:
    yes, no, unknown = row("a", PRESENT), row("a", ABSENT), row("a", UNKNOWN)
    for rows, least, expected in (
        ([yes, no], 1, True),
        ([yes, no], 2, False),
        ([yes, yes, unknown], 1, False),
        ([no, no, unknown], 1, False),
        ([], 1, False),
    ):
        assert learnable(rows, ONE, least).tolist() == [expected]


def fold(article: str, number: int | None, role: Any = "test") -> FoldRow:
    return FoldRow(article=article, fold=number, role=role)


def test_a_fold_learns_neither_what_it_holds_out_nor_what_chooses_thresholds() -> None:
    rows = [row("a", PRESENT), row("b", ABSENT), row("c", PRESENT, provenance="exemplar")]
    folds = [fold("a", 0), fold("b", 1), fold("c", 1, "dev")]
    assert {number: mask.tolist() for number, mask in learnt_by_fold(rows, folds, ONE).items()} == {
        0: [False],
        1: [False],
    }
    folds[2] = fold("c", None, "train")
    assert {number: mask.tolist() for number, mask in learnt_by_fold(rows, folds, ONE).items()} == {
        0: [True],
        1: [False],
    }


SPLIT = [row("a", PRESENT, split="train"), row("b", ABSENT, split="train")]


@pytest.mark.parametrize(
    ("rows", "unlearnt", "measured", "sentence"),
    [
        (
            [row("a", ABSENT), row("b", ABSENT), row("c", UNKNOWN)],
            True, False, "can't be learnt yet: 0 positives in articles a, b",
        ),
        ([row("a", UNKNOWN)], True, False, "can't be learnt yet: 0 positives, nobody was asked"),
        ([row("a", PRESENT), row("b", ABSENT)], True, False, "can't be learnt yet: 1 positive in articles a, b"),
        (
            [row("a", ABSENT), row("e", PRESENT, provenance="exemplar")],
            True, False, "can't be learnt yet: 0 positives in article a and 1 positive in 1 exemplar",
        ),
        (
            [row("a", UNKNOWN, rule=0.9), row("b", UNKNOWN, rule=0.8)],
            True, False,
            "can't be learnt yet: none is known to be without it; annotate one, or write a rule against it",
        ),
        (
            [row("a", UNKNOWN, rule=0.9), row("b", UNKNOWN, rule=0.8), row("c", UNKNOWN, rule=0.1)],
            False, False, "can't be measured yet: 0 positives, nobody was asked",
        ),
        (
            [row("a", PRESENT), row("a", PRESENT), row("b", ABSENT)],
            False, False, "can't be measured yet: 2 positives in articles a, b, too little elsewhere to learn it from",
        ),
        (
            [row(x, PRESENT, provenance="exemplar") for x in "ef"] + [row("a", PRESENT), row("b", ABSENT)],
            False, False, "can't be measured yet: 1 positive in articles a, b and 2 positives in 2 exemplars",
        ),
        (
            [row("a", PRESENT), row("a", ABSENT), row("b", PRESENT), row("c", ABSENT)],
            False, True, None,
        ),
        (
            [*SPLIT, row("c", PRESENT, split="train"), *[row("d", PRESENT, split="test")] * 2],
            False, True, None,
        ),
        (
            [row(f"a{number}", ABSENT) for number in range(8)],
            True, False, "can't be learnt yet: 0 positives in articles a0, a1, a2, a3, a4 and 3 more",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(rows: list[LabelledRow], unlearnt: bool, measured: bool, sentence: str | None) -> None:
    assert unlearnt_themes(rows, ONE) == (("youth",) if unlearnt else ())
    assert scarce_themes(rows, ONE) == ({"youth": sentence} if sentence else {})
    if not any(each.split for each in rows):
        gold = dict.fromkeys(each.article for each in rows if each.provenance == "gold")
        folds = [fold(article, number) for number, article in enumerate(gold)]
        folds += [fold(each.article, None, "train") for each in rows if each.provenance == "exemplar"]
        assert measured_themes(rows, folds, ONE).tolist() == [measured]


def test_what_one_article_alone_teaches_is_missed_in_it() -> None:
    rows = [row("a", PRESENT), row("a", ABSENT), row("b", PRESENT), row("b", PRESENT), row("c", ABSENT)]
    grouped = [fold("a", 0), fold("b", 1), fold("c", 1)]
    assert scarce_themes([*rows, row("a", UNKNOWN)], ONE, grouped) == {}
    alone = [row("a", ABSENT), row("b", PRESENT), row("b", ABSENT), row("c", PRESENT), row("c", PRESENT)]
    together = [fold("a", 0), fold("b", 1), fold("c", 0)]
    assert scarce_themes(alone, ONE, together) == {}
    without_no = [row("a", PRESENT), row("b", PRESENT), row("b", ABSENT)]
    assert scarce_themes(without_no, ONE) == {"youth": "can't be learnt with article b held out: too little elsewhere"}
