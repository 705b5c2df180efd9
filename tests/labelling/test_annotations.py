"""Annotations stay with their paragraphs, and each way in which one can be wrong is said."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.core.schemas import Labels, Paragraph
from pipeline.labelling.annotations import agreement, bind, to_fill_in
from pipeline.labelling.rules import LabellingRules, Rule, RuleSettings
from tests.conftest import ROOT, THEMES

TEXT = "Мемлекеттік қызмет мектебі ашылды, оған студенттер қабылданады."
PARAGRAPH = Paragraph(id="a-001", article="a", position=1, kind="body", language="kk", text=TEXT)
OTHER = Paragraph(id="a-002", article="a", position=2, kind="body", language="ru", text="Завтра снег.")


def written(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "annotations.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def row(**values: Any) -> dict[str, Any]:
    return {"article": "a", "text": TEXT, "asked": list(THEMES), "themes": ["education"], **values}


def test_the_seeds_are_annotated_throughout(paragraphs: list[Paragraph], labels: Labels) -> None:
    known = bind(ROOT / "seeds/annotations.jsonl", paragraphs, labels)
    assert sorted(known) == sorted(paragraph.id for paragraph in paragraphs)
    assert all(len(themes) == 4 for themes in known.values())


def test_text_that_moved_keeps_its_annotation(tmp_path: Path, labels: Labels) -> None:
    spaced = unicodedata.normalize("NFD", TEXT.replace(" ", " \u00a0 "))
    known = bind(written(tmp_path, row(text=spaced)), [OTHER, PARAGRAPH], labels)
    assert known == {"a-001": {name: name == "education" for name in THEMES}}


def test_a_theme_added_later_is_a_further_row(tmp_path: Path) -> None:
    both = Labels(task="multi-label", names=("education", "housing"))
    first, later = row(asked=["education"]), row(asked=["housing"], themes=["housing"])
    known = bind(written(tmp_path, first, later), [PARAGRAPH, OTHER], both)
    assert known == {"a-001": {"education": True, "housing": True}}
    assert bind(written(tmp_path, first), [PARAGRAPH], both) == {"a-001": {"education": True}}


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([row(themes=None)], ["annotations.jsonl:1", "themes is null"]),
        ([row(), row(themes=["educatoin"])], [":2", "'educatoin' is not one of education", "fix the row"]),
        ([row(asked=["education", "health"])], ["'health' is not one of"]),
        ([row(readings={"a": ["sport"]})], ["'sport' is not one of"]),
        ([row(asked=["prevention"])], ["'education' is given but not asked"]),
        ([row(), row()], [":2", "'education' of this paragraph is annotated already"]),
        ([row(text=TEXT.replace("студенттер", "оқушылар"))], [":1", "nearest:   " + TEXT, "оқушылар", "Read it again"]),
        ([row(article="b")], ["article 'b' is not among the articles", "restore it or remove"]),
    ],
)
def test_each_mistake_is_named(rows: list[dict[str, Any]], parts: list[str], tmp_path: Path, labels: Labels) -> None:
    with pytest.raises(UserError) as error:
        bind(written(tmp_path, *rows), [PARAGRAPH, OTHER], labels)
    for part in parts:
        assert part in str(error.value)


def test_a_single_label_task_takes_exactly_one_theme(tmp_path: Path) -> None:
    labels = Labels(task="single-label", names=THEMES)
    assert bind(written(tmp_path, row()), [PARAGRAPH], labels)["a-001"]["education"]
    for themes in ([], ["education", "prevention"]):
        with pytest.raises(UserError, match="give exactly one"):
            bind(written(tmp_path, row(themes=themes)), [PARAGRAPH], labels)


def test_a_retired_theme_is_neither_known_nor_asked_again(tmp_path: Path) -> None:
    labels = Labels(task="single-label", names=("school", "sport"), retired=("chess",), renamed=(("pupil", "school"),))
    asked = ["pupil", "sport", "chess"]
    rows = [row(asked=asked, themes=["chess"]), row(text=OTHER.text, asked=asked, themes=["pupil"])]
    rows[1]["readings"] = {"one": ["chess"], "two": ["pupil"]}
    path = written(tmp_path, *rows)
    assert bind(path, [PARAGRAPH, OTHER], labels) == {"a-002": {"school": True, "sport": False}}
    rules = LabellingRules(RuleSettings(rules=[]), labels)
    assert [found.asked for found in to_fill_in([PARAGRAPH, OTHER], bind(path, [PARAGRAPH, OTHER], labels), rules)] == [
        ("school", "sport")
    ]


def test_agreement_compares_two_readings(tmp_path: Path) -> None:
    labels = Labels(task="multi-label", names=("education", "prevention"))
    asked = ["education", "prevention"]
    pairs = [(["education"], ["education"]), (["education"], []), ([], []), ([], [])]
    rows = [
        row(text=f"{i}", asked=asked, themes=[], readings={"first": a, "second": b}) for i, (a, b) in enumerate(pairs)
    ]
    assert agreement(written(tmp_path, *rows, row(asked=asked)), labels) == {
        "rows": 4,
        "readers": ["first", "second"],
        "themes": {
            "education": {"f1": 0.6667, "kappa": 0.5, "different": 1},
            "prevention": {"f1": 1.0, "kappa": None, "different": 0},
        },
    }


def test_rows_to_fill_in_ask_what_is_not_known(labels: Labels) -> None:
    school = Rule(name="school", theme="education", votes="for", confidence=0.9, any={"kk": ["мектеб*"]})
    rules = LabellingRules(RuleSettings(rules=[school]), labels)
    known = {"a-001": {"prevention": True}, "a-002": dict.fromkeys(THEMES, False)}
    (asked,) = to_fill_in([PARAGRAPH, OTHER], known, rules)
    assert (asked.asked, asked.themes, asked.suggested) == (
        ("education", "meritocracy", "digitalisation"),
        None,
        ("education",),
    )
