"""Whole articles are held out; a given split is respected."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow
from pipeline.labelling.folds import SplitSettings, assign_folds

SETTINGS = SplitSettings(folds=3, leave_one_out_up_to=4, seed=0, exemplars=0.2)


def row(article: str, number: int = 0, provenance: str = "gold", split: str | None = None) -> LabelledRow:
    facts: dict[str, Any] = {"targets": (1.0,), "weights": (1.0,), "rule_targets": (0.0,), "rule_weights": (0.0,)}
    facts |= {"language": "kk", "kind": "body", "text": "т", "provenance": provenance, "split": split}
    return LabelledRow(id=f"{article}-{number}", article=article, **facts)


def test_few_articles_are_held_out_one_by_one() -> None:
    folds = assign_folds([row("b"), row("a"), row("c", provenance="rule"), row("d"), row("a", 1)], SETTINGS)
    assert [(f.article, f.fold, f.role) for f in folds] == [
        ("a", 0, "test"),
        ("b", 1, "test"),
        ("c", None, "train"),
        ("d", 2, "test"),
    ]


@given(st.lists(st.integers(0, 30), min_size=20, max_size=60))
def test_each_gold_article_is_held_out_once(articles: list[int]) -> None:
    rows = [row(f"{article:02}", number) for number, article in enumerate(articles)]
    distinct = {r.article for r in rows}
    if len(distinct) < 2:
        return
    folds = assign_folds(rows, SETTINGS)
    assert {f.article for f in folds} == distinct
    assert all(f.fold is not None for f in folds)
    assert len({f.fold for f in folds}) == (len(distinct) if len(distinct) <= 4 else 3)


def test_a_fifth_of_the_exemplars_is_set_aside_wherever_the_others_stand() -> None:
    gold = [row("a"), row("b"), row("c")]
    texts = [f"Мысал {number}" for number in range(300)]
    exemplars = [msgspec.structs.replace(row(text, provenance="exemplar"), text=text) for text in texts]
    folds = {f.article: f for f in assign_folds([*gold, *exemplars], SETTINGS)}
    aside = [text for text in texts if folds[text].role == "dev"]
    assert 40 <= len(aside) <= 80
    assert {folds[text].fold for text in aside} == {0, 1, 2}
    assert all(folds[text].fold is None for text in texts if text not in aside)
    fewer = {f.article: f for f in assign_folds([*gold, *exemplars[150:]], SETTINGS)}
    assert all(fewer[text] == folds[text] for text in texts[150:])


def test_groups_are_of_like_size() -> None:
    rows = [row(f"{article:02}", number) for article in range(12) for number in range(5)]
    sizes: dict[int | None, int] = defaultdict(int)
    for fold in assign_folds(rows, SETTINGS):
        sizes[fold.fold] += 5
    assert sorted(sizes.values()) == [20, 20, 20]


def test_a_given_split_is_respected() -> None:
    rows = [row("a", split="train"), row("b", split="dev"), row("c", split="test"), row("d", provenance="rule")]
    assert [(f.article, f.fold, f.role) for f in assign_folds(rows, SETTINGS)] == [
        ("a", None, "train"),
        ("b", 0, "dev"),
        ("c", 0, "test"),
        ("d", None, "train"),
    ]


def test_without_dev_some_training_articles_choose_the_thresholds() -> None:
    rows = [row(f"{n:02}", split="train") for n in range(10)] + [row("test", split="test")]
    folds = assign_folds(rows, SETTINGS)
    assert sum(f.role == "dev" for f in folds) == 2
    assert assign_folds(rows, SETTINGS) == folds


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([row("a"), row("b", provenance="rule")], "1 annotated article"),
        ([row("a", 0, split="train"), row("a", 1, split="test"), row("b", split="test")], "same split"),
        ([row("a", split="train"), row("b", split="dev")], "no test rows"),
        ([row("a", split="test"), row("b", split="dev")], "no training rows"),
    ],
)
def test_what_cannot_be_split_is_refused(rows: list[LabelledRow], part: str) -> None:
    with pytest.raises(UserError, match=part):
        assign_folds(rows, SETTINGS)
