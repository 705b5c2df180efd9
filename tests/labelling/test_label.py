"""Gold where annotated, rules elsewhere, unknown where neither speaks; tables from anywhere by the same road."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow, Labels, Paragraph
from pipeline.core.settings import load_settings
from pipeline.labelling.exemplars import read_exemplars
from pipeline.labelling.label import (
    LabelSettings,
    count_retired,
    label_exemplars,
    label_paragraphs,
    label_rows,
    label_table,
)
from pipeline.labelling.report import labelling_report
from pipeline.labelling.rules import LabellingRules, Rule, RuleSettings
from pipeline.labelling.tables import read_table
from pipeline.labelling.teaching import taught
from pipeline.labelling.themes import ThemeSettings, display_names, read_labels
from tests.conftest import ROOT, THEMES

LABELS = Labels(task="multi-label", names=("school", "sport"))
WEIGHTS = LabelSettings(gold_weight=1.0, exemplar_weight=0.8, rule_weight=0.5, unasked_weight=0.5)
RULES = LabellingRules(
    RuleSettings(
        rules=[
            Rule(name="school", theme="school", votes="for", confidence=0.9, any={"kk": ["мектеп*"], "ru": ["школ*"]}),
            Rule(name="pupils", theme="school", votes="for", confidence=0.75, any={"ru": ["ученик*"]}),
            Rule(name="no-school", theme="school", votes="against", confidence=0.8, unless={"ru": ["школ*", "учен*"]}),
        ]
    ),
    LABELS,
)


def paragraph(number: int, text: str, article: str = "a") -> Paragraph:
    return Paragraph(id=f"{article}-{number}", article=article, position=number, kind="body", language="ru", text=text)


def labelled(text: str, known: dict[str, bool] | None = None) -> LabelledRow:
    found = {"a-1": known} if known is not None else {}
    return label_paragraphs([paragraph(1, text)], found, RULES, WEIGHTS)[0]


def test_gold_is_taken_as_it_is() -> None:
    row = labelled("Школа открылась.", {"school": False, "sport": True})
    assert (row.targets, row.weights, row.provenance) == ((0.0, 1.0), (1.0, 1.0), "gold")
    assert row.rule_targets == pytest.approx((0.9, 0.0))
    assert row.rule_weights == pytest.approx((0.4, 0.0))


def test_a_theme_nobody_was_asked_about_weighs_nothing() -> None:
    row = labelled("Школа открылась.", {"sport": True})
    assert (row.targets, row.weights) == ((0.0, 1.0), (0.0, 1.0))


def test_what_rules_say_where_nobody_was_asked_is_kept_with_a_weight_of_its_own() -> None:
    """Gold stays what people said (weight 0 here); training takes the rules' word instead."""
    half = msgspec.structs.replace(WEIGHTS, unasked_weight=0.25)
    found = {"a-1": {"sport": True}}
    (row,) = label_paragraphs([paragraph(1, "Школа открылась.")], found, RULES, half)
    assert (row.weights, row.provenance) == ((0.0, 1.0), "gold")
    assert row.rule_weights == pytest.approx((0.25 * 0.8, 0.0))
    assert taught(row).targets == pytest.approx((0.9, 1.0))
    assert taught(row).weights == pytest.approx((0.2, 1.0))
    silent = msgspec.structs.replace(WEIGHTS, unasked_weight=0.0)
    (row,) = label_paragraphs([paragraph(1, "Школа открылась.")], found, RULES, silent)
    assert taught(row).weights == (0.0, 1.0)


def test_rules_speak_where_nobody_annotated() -> None:
    row = labelled("Школа открылась.")
    assert (row.targets, row.weights, row.provenance) == (row.rule_targets, row.rule_weights, "rule")
    assert labelled("Завтра снег.").targets == pytest.approx((0.2, 0.0))
    assert labelled("Завтра снег.").weights == pytest.approx((0.3, 0.0))


def test_where_no_rule_speaks_a_theme_is_unknown() -> None:
    assert labelled("Учение прошло.").weights == (0.0, 0.0)


def test_the_report_measures_each_rule() -> None:
    texts = ["Школа и ученики.", "Школа закрыта.", "Ученики гуляли.", "Завтра снег."]
    known = {"a-1": {"school": True, "sport": False}, "a-2": {"school": False}, "a-4": {"school": False, "sport": True}}
    paragraphs = [paragraph(number, text) for number, text in enumerate(texts, start=1)]
    rows = label_paragraphs(paragraphs, known, RULES, WEIGHTS)
    found = labelling_report(rows, RULES, {})
    assert found["rows"] == {"gold": 3, "rule": 1}
    assert found["positives"] == {"school": {"ru": 1}, "sport": {"ru": 1}}
    assert found["without_theme"] == 1
    assert found["awaiting"] == {"school": 1, "sport": 2}
    school, pupils, none = found["rules"]
    assert (school["hits"], school["coverage"], school["overlap"], school["conflict"]) == (2, 0.5, 0.5, 0.0)
    assert school["precision"] == {"ru": {"right": 1, "of": 2, "share": 0.5}}
    assert (pupils["hits"], pupils["precision"]["ru"]["of"]) == (2, 1)
    assert (none["hits"], none["precision"]) == (1, {"ru": {"right": 1, "of": 1, "share": 1.0}})


EXEMPLAR = {
    "language": "kk",
    "asked": ["school", "sport"],
    "themes": ["school"],
    "kind": "k",
    "register": "r",
    "by": "b",
}


def exemplars(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "exemplars.jsonl"
    path.write_text("".join(json.dumps({**EXEMPLAR, **row}, ensure_ascii=False) + "\n" for row in rows))
    return path


def test_the_report_counts_exemplars_and_judges_rules_on_the_challenge_set(tmp_path: Path) -> None:
    several = read_exemplars(
        exemplars(
            tmp_path,
            {"text": "Жаңа мектеп ашылды.", "kind": "positive"},
            {"text": "Мектеп туралы ән шырқалды.", "themes": [], "kind": "near-miss"},
            {"text": "Балалар доп ойнады.", "themes": ["school", "sport"], "kind": "positive"},
        ),
        LABELS,
        {},
    )
    rows = label_exemplars(several, RULES, WEIGHTS)
    found = labelling_report([], RULES, {}, several, rows)
    assert found["exemplars"] == {
        "kk": {
            "near-miss": {"rows": 1, "school": 0, "sport": 0, "none": 1},
            "positive": {"rows": 2, "school": 2, "sport": 1, "none": 0},
        }
    }
    assert found["rules_on_challenge"] == {"kk": {"rows": 3, "f1_macro": 0.25, "f1/school": 0.5, "f1/sport": 0.0}}
    assert found["rules"][0]["precision"] == {"kk": {"right": 1, "of": 2, "share": 0.5}}


def test_exemplars_train_and_are_never_held_out(tmp_path: Path) -> None:
    path = exemplars(
        tmp_path, {"text": "Жаңа мектеп ашылды."}, {"text": "Қар жауды.", "themes": [], "asked": ["sport"]}
    )
    first, second = label_exemplars(read_exemplars(path, LABELS, {}), RULES, WEIGHTS)
    assert (first.id, first.article, first.provenance) == ("exemplar-0001", "exemplar-0001", "exemplar")
    assert (first.targets, first.weights) == ((1.0, 0.0), (0.8, 0.8))
    assert second.weights == (0.0, 0.8)


RUN = "бір екі үш төрт бес алты"


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([{"text": "т", "themes": ["chess"]}], ":1: theme 'chess' is not one of"),
        ([{"text": "т", "asked": ["sport"]}], "'school' is given but not asked"),
        ([{"text": f"Сол {RUN}."}, {"text": f"Бұл {RUN} жеті"}], ":2: shares 'бір екі үш төрт бес алты' with"),
        ([{"text": "Алтын: ЖЕТІ, сегіз тоғыз он жүз мың."}], "with gold-1"),
    ],
)
def test_exemplars_that_do_not_fit_are_refused(rows: list[dict[str, Any]], part: str, tmp_path: Path) -> None:
    gold = msgspec.structs.replace(labelled("жеті сегіз тоғыз он жүз мың"), id="gold-1")
    with pytest.raises(UserError) as error:
        read_exemplars(exemplars(tmp_path, *rows), LABELS, {gold.id: gold.text})
    assert part in str(error.value)


TABLE = 'id,article,language,text,themes,split\n1,a,kk,"Мектеп, ашылды",school;sport,train\n2,b,kk,Қар жауды,,test\n'


def test_a_table_is_labelled_by_the_same_road(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    first, second = label_table(read_table(path, LABELS), RULES, WEIGHTS)
    assert (first.text, first.targets, first.split, first.language) == ("Мектеп, ашылды", (1.0, 1.0), "train", "kk")
    assert (second.targets, second.weights, second.provenance) == ((0.0, 0.0), (1.0, 1.0), "gold")


def test_a_table_may_have_other_columns_and_names_in_capitals(tmp_path: Path) -> None:
    """What is not there is made up: the line for an id, the id for an article, and the language that the text has."""
    (tmp_path / "t.csv").write_text("Note;TEXT;Themes\nа;Мектеп ашылды;school\nб;В школе ремонт;school\n")
    rows = [
        {"note": 1, "Text": "Мектеп ашылды", "themes": ["school"], "language": "kaz_Cyrl", "id": 7, "split": "Train"},
        {"Text": "В школе ремонт", "themes": "school; sport"},
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_table(tmp_path / "t.csv", LABELS)
    assert (first.id, first.article, first.language, first.text, first.themes) == (
        ("2", "2", "kk", "Мектеп ашылды", ("school",))
    )
    assert (second.id, second.language, second.split) == ("3", "ru", None)
    first, second = read_table(tmp_path / "t.jsonl", LABELS)
    assert (first.id, first.article, first.language, first.split) == ("7", "7", "kk", "train")
    assert (second.id, second.language, second.themes) == ("2", "ru", ("school", "sport"))


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ('{"text": "Мектеп", "themes": 3}', "t.jsonl:1: themes: is 3, expected a list of themes, or text such as a;b"),
        ('{"text": ["Мектеп"], "themes": []}', "t.jsonl:1: text is ['Мектеп'], expected text"),
        ('{"themes": []}', "t.jsonl:1: no column text; there are themes"),
        ("", "t.jsonl: no rows; give a table with text and themes"),
    ],
)
def test_a_jsonl_table_of_other_values_is_refused(row: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(row)
    with pytest.raises(UserError) as error:
        read_table(tmp_path / "t.jsonl", LABELS)
    assert part in str(error.value)


def test_a_jsonl_table_may_hold_rows_that_nobody_annotated(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"id":"1","article":"a","language":"ru","text":"Школа"}\n')
    (row,) = label_table(read_table(path, LABELS), RULES, WEIGHTS)
    assert row.provenance == "rule"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TABLE.replace("themes", "topics"), ["table.csv:1", "no column themes", "there are id, article"]),
        (
            'id,text,topics,annotator,annotation_id,lead_time\n1,Мектеп ашылды,"{""choices"":[""school""]}",1,7,3.2\n',
            ["table.csv:1", "no column themes; there are id, text", "of a Label Studio export rename the column"],
        ),
        ('[\n {"id": 1, "text": "Мектеп ашылды", "topics": "school"}\n]', ["table.csv: a JSON array", "on its line"]),
        (TABLE.replace("school;sport", "school;chess"), ["table.csv:2", "'chess' is not one of school, sport"]),
        (TABLE.replace("school;sport", "school;sprot"), ["table.csv:2", "did you mean 'sport'?", "the themes' file"]),
        (TABLE.replace("2,b", "1,b"), ["table.csv:3", "id '1' stands twice, in line 2, too"]),
        (TABLE.replace("Қар жауды", "\u200b "), ["table.csv:3", "text is empty in line 3"]),
        (TABLE.replace(",test", ",exam"), ["split 'exam' is not train, dev or test"]),
        (TABLE.replace("Қар жауды", '"Қар жауды'), ["table.csv:", "mend the quoting"]),
    ],
)
def test_a_broken_table_is_refused(text: str, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_table(path, LABELS)
    for part in parts:
        assert part in str(error.value)


def test_a_single_label_table_has_one_theme_a_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    with pytest.raises(UserError, match="2 themes, but the task is single-label"):
        read_table(path, Labels(task="single-label", names=LABELS.names))


def test_the_rows_of_all_files_come_with_their_report(tmp_path: Path) -> None:
    (tmp_path / "paragraphs.jsonl").write_bytes(msgspec.json.encode(paragraph(1, "Школа открылась.")) + b"\n")
    annotation = {"article": "a", "text": "Школа открылась.", "asked": ["school"], "themes": ["school"]}
    (tmp_path / "annotations.jsonl").write_text(json.dumps(annotation) + "\n")
    challenge = exemplars(tmp_path, *({"text": f"Мектеп {number}"} for number in range(8, 12)))
    challenge.rename(tmp_path / "challenge.jsonl")
    names = ("paragraphs", "annotations", "exemplars", "challenge")
    files = {name: tmp_path / f"{name}.jsonl" for name in names}
    exemplars(tmp_path, {"text": "Жаңа мектеп ашылды."})
    rows, report = label_rows(LABELS, RULES, WEIGHTS, **files)
    assert [(row.id, row.provenance) for row in rows] == [("a-1", "gold"), ("exemplar-0001", "exemplar")]
    assert report["rows"] == {"exemplar": 1, "gold": 1}
    assert report["rules_on_challenge"]["kk"]["rows"] == 2  # part dev
    exemplars(tmp_path, {"text": RUN})
    (tmp_path / "challenge.jsonl").write_text((tmp_path / "exemplars.jsonl").read_text())
    with pytest.raises(UserError, match=rf"exemplars\.jsonl:1: shares '{RUN}' with .*challenge\.jsonl: {RUN}…"):
        label_rows(LABELS, RULES, WEIGHTS, **files)


def test_a_table_takes_the_place_of_paragraphs_and_annotations(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    rows, report = label_rows(LABELS, RULES, WEIGHTS, table=tmp_path / "table.csv")
    assert [row.id for row in rows] == ["1", "2"]
    assert report["agreement"] == {}
    for files in ({}, {"table": tmp_path / "table.csv", "paragraphs": tmp_path}, {"paragraphs": tmp_path}):
        with pytest.raises(UserError, match="give --table alone, or --paragraphs and --annotations"):
            label_rows(LABELS, RULES, WEIGHTS, **files)


OLD = '{"article":"a","text":"Школа открылась.","asked":["pupil","chess"],"themes":["pupil"]}'
LATER = Labels(task="multi-label", names=("school", "sport"), retired=("chess",), renamed=(("pupil", "school"),))


def test_old_names_are_read_as_new_ones_and_retired_themes_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "paragraphs.jsonl").write_bytes(msgspec.json.encode(paragraph(1, "Школа открылась.")) + b"\n")
    gone = OLD.replace("открылась", "закрылась").replace('"pupil",', "").replace('"pupil"', '"chess"')
    (tmp_path / "annotations.jsonl").write_text(f"{OLD}\n{gone}\n")
    exemplars(
        tmp_path, {"text": "Жаңа мектеп ашылды.", "asked": ["pupil", "sport", "chess"], "themes": ["pupil", "chess"]}
    )
    files = {name: tmp_path / f"{name}.jsonl" for name in ("paragraphs", "annotations", "exemplars")}
    case = {"votes": "for", "confidence": 0.9}
    votes = RuleSettings(
        rules=[
            Rule(name="pupils", theme="pupil", any={"ru": ["школ*"]}, **case),  # type: ignore[arg-type]
            Rule(name="chess", theme="chess", any={"ru": ["шахмат*"]}, **case),  # type: ignore[arg-type]
        ]
    )
    rules = LabellingRules(votes, LATER)
    assert [(rule.name, rule.theme) for rule in rules.settings] == [("pupils", "school")]
    gold, exemplar = label_rows(LATER, rules, WEIGHTS, **files)[0]
    assert (gold.targets, gold.weights, gold.rule_targets[0]) == ((1.0, 0.0), (1.0, 0.0), pytest.approx(0.9))
    assert (exemplar.targets, exemplar.weights) == ((1.0, 0.0), (0.8, 0.8))
    assert count_retired(LATER, votes, files) == {"chess": {"rules": 1, "annotations": 2, "exemplars": 1}}
    assert count_retired(LABELS, votes, files) == {}


def test_a_table_under_old_names(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE.replace("school;sport", "pupil;chess"))
    assert [row.themes for row in read_table(path, LATER)] == [("school",), ()]
    assert count_retired(LATER, RuleSettings(rules=[]), {"table": path}) == {"chess": {"rules": 0, "table": 1}}
    path.write_text(TABLE.replace("school;sport", "chess").replace("жауды,,", "жауды,pupil,"))
    single = msgspec.structs.replace(LATER, task="single-label")
    assert [row.themes for row in read_table(path, single)] == [None, ("school",)]


def settings(**values: Any) -> ThemeSettings:
    return ThemeSettings(**{"task": "multi-label", "labels": ["school", "sport"], **values})


def test_the_shipped_themes() -> None:
    themes = load_settings(ROOT / "configs/themes.yaml", ThemeSettings)
    labels = read_labels(themes, Path("themes.yaml"))
    assert labels == Labels(task="multi-label", names=THEMES)
    assert display_names(themes, labels)["education"] == "Education"


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"labels": []}, "labels: empty"),
        ({"labels": ["a", "a"]}, "'a' stands twice"),
        ({"labels": ["a;b"]}, "holds ';'"),
        ({"names": {"chess": {"en": "Chess"}}}, "names.chess: not one of labels"),
        ({"descriptions": {"chess": {"en": "Chess"}}}, "descriptions.chess: not one of labels"),
        ({"retired": ["sport"]}, "retired, was: 'sport' is one of labels, too"),
        ({"was": {"school": ["sport"]}}, "retired, was: 'sport' is one of labels, too"),
        (
            {"was": {"school": ["old"]}, "retired": ["old"]},
            "'old' is one of labels, too, or stands twice; keep one",
        ),
        ({"was": {"old": ["pupil"]}}, "was.old: not one of labels (school, sport); write {new: [old]}"),
    ],
)
def test_broken_themes_are_refused(values: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError) as error:
        read_labels(settings(**values), Path("themes.yaml"))
    assert part in str(error.value)


def test_a_retired_theme_may_keep_its_names_and_rules() -> None:
    themes = settings(retired=["chess"], names={"chess": {"kk": "Шахмат"}}, was={"sport": ["game", "play"]})
    labels = read_labels(themes, Path("themes.yaml"))
    assert labels == msgspec.structs.replace(LABELS, retired=("chess",), renamed=(("game", "sport"), ("play", "sport")))
    assert labels.present(["play", "chess", "game", "draughts"]) == ("sport", "draughts")
    assert msgspec.json.encode(LABELS) == b'{"task":"multi-label","names":["school","sport"]}'


def test_a_theme_without_an_english_name_shows_another() -> None:
    shown = display_names(settings(names={"school": {"kk": "Мектеп"}}), LABELS)
    assert shown == {"school": "Мектеп", "sport": "sport"}
