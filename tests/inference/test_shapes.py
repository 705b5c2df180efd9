"""Shapes of a record that people's exports have: each gives the rows that its text would give in plain form."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline import Classifier
from pipeline.core.errors import RecordError
from pipeline.inference.batch.rows import BatchOptions, classify_batch, classify_records
from pipeline.inference.batch.summary import BatchCounts
from pipeline.inference.readers.fragments import TAGS_LEFT, text_of_fragment
from pipeline.inference.readers.schema import Fields, InputRecord
from pipeline.inference.readers.sources import ReadMeter
from pipeline.inference.readers.values import TWICE
from pipeline.text.language_names import bcp47
from tests.inference.test_batch import classify
from tests.inference.test_batch import read as rows_of
from tests.inference.test_containers import KAZAKH, RUSSIAN, TITLE, dumped, lines_of, read, written


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Classifier:
    return Classifier.load(folder)


def jsonl(folder: Path, *rows: Any) -> Path:
    return written(folder, "n.jsonl", "".join(dumped(row) + "\n" for row in rows))


def test_a_column_without_a_name_is_no_title(classifier: Classifier, tmp_path: Path) -> None:
    index = f",id,text\n0,a,{KAZAKH.replace(',', '')}\n1,b,{RUSSIAN.replace(',', '')}\n"
    found = read(written(tmp_path, "n.csv", index)) + read(jsonl(tmp_path, {"": "Тақырып", "id": "c", "text": RUSSIAN}))
    assert [(e.id, e.title, e.carried) for e in found] == [
        ("a", "", {"": "0"}),
        ("b", "", {"": "1"}),
        ("c", "", {"": "Тақырып"}),
    ]
    assert [text for _, text, _ in lines_of(found, classifier)] == [
        KAZAKH.replace(",", ""),
        RUSSIAN.replace(",", ""),
        RUSSIAN,
    ]


def test_columns_that_excel_adds_at_the_right(tmp_path: Path) -> None:
    found = read(written(tmp_path, "n.csv", f"id;text;;\n1;{KAZAKH};;\n2;{RUSSIAN};;x;\n"))
    assert [(e.id, e.text, e.carried) for e in found] == [("1", KAZAKH, {}), ("2", RUSSIAN, {"column 4": "x"})]


def test_paths_with_dots(tmp_path: Path) -> None:
    row = {"_id": {"$oid": "1f"}, "doc": {"head": {"title": TITLE}, "body": KAZAKH, "n": 1}, "a.b": "x"}
    path = jsonl(tmp_path, row, {"_id": 2, "doc": {"head": None}})
    found = read(path, Fields("doc.body", "_id", "doc.head.title"))
    assert [(e.id, e.title, e.text) for e in found] == [("1f", TITLE, KAZAKH), ("n-2", "", "")]
    assert found[0].carried == {"doc": {"head": {}, "n": 1}, "a.b": "x"}
    assert found[1].reason == "line 2: no field 'doc.body'; there are _id, doc.head; --text-field names the text"
    assert read(path, Fields("a.b"))[0].text == "x"
    blocks = [{"type": "p", "text": KAZAKH}, {"type": "img"}, {"type": "p", "text": RUSSIAN}]
    assert read(jsonl(tmp_path, {"blocks": blocks}), Fields("blocks.text"))[0].text == f"{KAZAKH}\n{RUSSIAN}"


def test_a_list_of_paragraphs(classifier: Classifier, tmp_path: Path) -> None:
    first, second = read(jsonl(tmp_path, {"text": [KAZAKH, None, "", RUSSIAN]}, {"text": ["a", 5]}))
    assert lines_of([first], classifier) == [("kk", KAZAKH, ""), ("ru", RUSSIAN, "")]
    assert second.reason == "line 2: field 'text' is no text but list"
    (row,) = classify_records([{"text": [KAZAKH, RUSSIAN]}], classifier, BatchOptions(unit="paragraph"))
    assert row["text"] == f"{KAZAKH} {RUSSIAN}"


HTML = [
    f"<p>{KAZAKH}</p>\n<p><b>Тағы оқыңыз:</b> <a href='/x'>Жаңа заң</a></p>"
    f"<p>&laquo;{RUSSIAN}&raquo;&nbsp;&mdash; сказал он.</p>"
    "<figure><img src='a.jpg'/><figcaption>Фото: a.kz</figcaption></figure><script>var a = 1;</script>",
    f"{KAZAKH}<br><br/>{RUSSIAN}<br />Толығырақ оқу",
    f"{KAZAKH} R&amp;D",
]


def test_html_in_a_field(classifier: Classifier, tmp_path: Path) -> None:
    found = read(
        jsonl(tmp_path, *({"text": text, "title": f"{TITLE} &mdash; 2"} for text in HTML)), Fields(title="title")
    )
    assert lines_of(found, classifier) == [
        ("kk", f"{TITLE} — 2", ""),
        ("kk", KAZAKH, ""),
        ("ru", f"«{RUSSIAN}» — сказал он.", ""),
        ("", "Тағы оқыңыз: Жаңа заң", "read-also"),
        ("", "Фото: a.kz", "caption"),
        ("kk", f"{TITLE} — 2", ""),
        ("kk", KAZAKH, ""),
        ("ru", RUSSIAN, ""),
        ("", "Толығырақ оқу", "button"),
        ("kk", f"{TITLE} — 2", ""),
        ("kk", f"{KAZAKH} R&D", ""),
    ]


def test_html_is_found_from_the_first_records_or_forced(tmp_path: Path) -> None:
    plain = [{"text": f"{n} < 30 & {RUSSIAN}"} for n in range(25)]
    path, meter = jsonl(tmp_path, *plain, {"text": HTML[0]}), ReadMeter()
    assert {e.markup for e in read(path, meter=meter)} == {""}
    assert meter.notes == {TAGS_LEFT: 1}
    assert {e.markup for e in read(path, Fields(markup="html"))} == {"fragment"}
    mixed = jsonl(tmp_path, *plain[:5], {"text": HTML[0]}, {"body": "x"}, *plain)
    assert Counter(e.markup for e in read(mixed)) == {"fragment": 31, "": 1}
    assert {e.markup for e in read(mixed, Fields(markup="text"))} == {""}


FRAGMENTS = {
    "5 < 6 & 7 > 3": "5 < 6 & 7 > 3",
    "<p>Бір\nжол</p>\n\n<p>екі<br>үш</p>": "Бір жол\nекі\nүш",
    "Бірінші\nЕкінші <b>жол</b>\n\nҮшінші": "Бірінші\nЕкінші жол\nҮшінші",
    "<!-- wp:paragraph --><p>а</p><!-- /wp:paragraph -->б": "а\nб",
    "<ul><li>раз</li><li>два</li></ul>": "- раз\n- два",
    "<table><tr><td>1</td><td>2</td></tr></table>": "1 2",
    "<style>p {}</style>т<script>x</script>екст": "текст",
    "&lt;b&gt; &#1178;ала &nbsp;мен": "<b> Қала мен",
    "<p></p>": "",
}


@pytest.mark.parametrize("markup", FRAGMENTS)
def test_text_of_a_fragment(markup: str) -> None:
    assert text_of_fragment(markup) == FRAGMENTS[markup]


def test_html_in_records_from_python(classifier: Classifier) -> None:
    records = [{"text": f"<p>{KAZAKH}</p>"}, {"text": 5}, {"text": f"{RUSSIAN}&nbsp;"}]
    rows = list(classify_records(records, classifier))
    assert [(row["status"], row.get("text")) for row in rows] == [
        ("classified", KAZAKH),
        ("failed", None),
        ("classified", RUSSIAN),
    ]
    (row,) = classify_records(records[:1], classifier, fields=Fields(markup="text"))
    assert row["text"] == f"<p>{KAZAKH}</p>"


def test_a_fragment_that_is_too_deep_is_told(classifier: Classifier) -> None:
    record = InputRecord(id="a", text="<div>" * 3000 + KAZAKH, markup="fragment")
    (failed,) = classify_batch([record], classifier, BatchOptions()).quarantined
    assert "Excessive depth in document" in failed["reason"]


def test_nan_and_infinity_are_null(tmp_path: Path) -> None:
    rows = [
        f'{{"id": {n}, "text": "{KAZAKH}", "v": {v}}}' for n, v in enumerate(("NaN", "-Infinity", "1.5", "nan", "NaN}"))
    ]
    found = read(written(tmp_path, "n.jsonl", "\n".join(rows)))
    assert [(e.id, e.carried) for e in found[:3]] == [("0", {"v": None}), ("1", {"v": None}), ("2", {"v": 1.5})]
    assert [e.reason[:16] for e in found[3:]] == ["line 4: no JSON ", "line 5: no JSON "]


SEPARATED = {
    "quoted.csv": (
        'id;"күні, уақыты, қала";text\n1;"01.02.2025, 10:00, Алматы";{}\n',
        {"күні, уақыты, қала": "01.02.2025, 10:00, Алматы"},
    ),
    "pipe.csv": ("id|outlet|text\n1|а,б;в|{}\n", {"outlet": "а,б;в"}),
    "said.csv": ("sep=;\r\nid;a,b,c;text\r\n1;2;{}\r\n", {"a,b,c": "2"}),
    "tabs.csv": ("id\tn\ttext\n1\t2\t{}\n", {"n": "2"}),
    "macintosh.csv": ("id;n;text\r1;2;{}\r", {"n": "2"}),
    "two-lines.csv": ('id,"күні,\nуақыты",text\n1,2,"{}"\n', {"күні, уақыты": "2"}),
    "spaced.csv": ("id; n ;text\n1;2;{}\n", {"n": "2"}),
}


@pytest.mark.parametrize("name", SEPARATED)
def test_the_separator_is_found(name: str, tmp_path: Path) -> None:
    data, carried = SEPARATED[name]
    (found,) = read(written(tmp_path, name, data.format(KAZAKH)))
    assert (found.id, found.text, found.carried) == ("1", KAZAKH, carried)


def test_lines_below_sep_are_counted_from_the_top(tmp_path: Path) -> None:
    found = read(written(tmp_path, "n.csv", f"sep=;\nid;text\n1;{KAZAKH}\n2;a;b\n"))
    assert found[1].reason == "line 4: 3 cells, but 2 columns"


def test_quotes_behind_backslashes(tmp_path: Path) -> None:
    rows = ["id,text", '1,"Ол \\"адал бол\\" деді, кетті"', '2,"путь C:\\\\"', '3,"a ""b"" c"', "4,д'Артаньян\\n"]
    found = read(written(tmp_path, "n.csv", "\n".join(rows)))
    assert [e.text for e in found] == ['Ол "адал бол" деді, кетті', "путь C:\\\\", 'a "b" c', "д'Артаньян\\n"]
    (plain,) = read(written(tmp_path, "p.csv", 'id,text\n1,"папка C:\\"\n'))
    assert plain.text == "папка C:\\"


LANGUAGES = {
    "kk": "kk kz KAZ Kazakh қазақ Қазақша казахский kk-KZ kk_KZ kk-Cyrl kk-Cyrl-KZ",
    "ru": "ru RUS russian Русский орысша ru-RU ru_RU",
    "en": "en eng English английский en-US en-GB",
    "kk-Latn": "kk-Latn kz_latn",
    "kk-Arab": "kk-Arab-CN",
    "uk": "ua uk украинский",
    "ky": "kg ky киргизский",
    "fi": "fi fi-FI",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_usual_forms_of_a_language(code: str) -> None:
    assert {bcp47(name) for name in LANGUAGES[code].split()} == {code}
    assert bcp47("қазақ тілі") == bcp47("казахский язык") == "kk"
    assert [bcp47(given) for given in (None, "", " ", "und", float("nan"))] == [""] * 5


@pytest.mark.parametrize("given", ["клингонский", "xx", "k", 5, ["ru"], "ru; kk"])
def test_a_language_that_nobody_knows_is_refused(given: object) -> None:
    with pytest.raises(RecordError, match="is none we know; write a code such as kk or ru, or leave it out"):
        bcp47(given)


@pytest.mark.parametrize("unit", ["article", "paragraph"])
def test_a_given_language_is_kept_in_both_units(unit: Any, classifier: Classifier) -> None:
    records = [{"text": RUSSIAN, "language": "Қазақша"}, {"text": KAZAKH, "language": "?"}, {"text": KAZAKH}]
    rows = list(classify_records(records, classifier, BatchOptions(unit=unit)))
    assert [(row.get("language"), row.get("input.language"), row["status"]) for row in rows] == [
        ("kk", "Қазақша", "classified"),
        (None, None, "failed"),
        ("kk", None, "classified"),
    ]


def test_ids_of_mongodb(tmp_path: Path) -> None:
    rows = [
        {"_id": {"$oid": "65f0"}, "text": KAZAKH, "date": {"$date": "2025-02-01T00:00:00Z"}},
        {"_id": {"$oid": "65f1"}, "id": {"$numberLong": "12"}, "text": RUSSIAN},
        {"id": {"a": 1}, "text": RUSSIAN},
    ]
    found = read(jsonl(tmp_path, *rows))
    assert [(e.id, e.carried) for e in found[:2]] == [
        ("65f0", {"date": {"$date": "2025-02-01T00:00:00Z"}}),
        ("12", {"_id": {"$oid": "65f1"}}),
    ]
    assert found[2].reason == "line 3: field 'id' is dict; expected a text or number"


def test_a_line_of_brackets_costs_that_line(tmp_path: Path) -> None:
    deep = '{"text": "x", "a": ' + "[" * 500 + "]" * 500 + "}"
    lines = [
        dumped({"text": KAZAKH}),
        "[" * 200_000,
        '{"a":' * 200_000,
        deep,
        dumped({"text": RUSSIAN, "a": [[["б"]]]}),
    ]
    found = read(written(tmp_path, "n.jsonl", "\n".join(lines)))
    assert [(e.id, e.text) for e in found if not e.reason] == [("n-1", KAZAKH), ("n-5", RUSSIAN)]
    assert [(e.id, e.reason) for e in found if e.reason] == [
        ("n-2", "line 2: a JSON value, but no object"),
        ("n-3", "line 3: a value nested too deep"),
        ("n-4", "a value nested more than 100 levels deep"),
    ]


def test_keys_that_stand_twice_are_counted(tmp_path: Path) -> None:
    meter = ReadMeter()
    lines = [
        '{"id": 1, "text": "а", "id": 2}',
        '{"id" :3, "text":"б", "id" :4}',
        '{"id":5,"text":"\\"в\\": г","x":{"y":1,"y":1}}',
    ]
    found = read(written(tmp_path, "n.jsonl", "\n".join([*lines, '{"id":6,"text":"д"}'])), meter=meter)
    assert [e.id for e in found] == ["2", "4", "5", "6"]
    assert meter.notes == {TWICE: 3}


def test_the_summary_tells_what_was_seen(folder: Path, tmp_path: Path) -> None:
    long = " ".join([KAZAKH, RUSSIAN] * 10)
    rows = [
        {"id": "a", "text": long},
        *({"id": "b", "text": text} for text in (f"{KAZAKH}\\n{RUSSIAN}", KAZAKH, RUSSIAN)),
    ]
    source = jsonl(tmp_path, *rows)
    with source.open("a") as file:
        file.write('{"id": "c", "text": "б", "text": "в"}\n')
    done = classify(source, "--model", folder, "-o", tmp_path / "o.jsonl", "--summary", tmp_path / "s.json")
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["records"] == {"read": 5, "answered": 5, "quarantined": 0, "repeated_ids": 1}
    assert summary["notes"] == {
        "articles on one line, cut between sentences; their own paragraphs can't be told": 1,
        "articles with line breaks written as \\n": 1,
        TWICE: 1,
    }
    assert f"\n1 {TWICE}\n" in done.stderr.decode()
    texts = [row["text"] for row in rows_of(tmp_path / "o.jsonl")]
    assert texts[-5:-1] == [KAZAKH, RUSSIAN, KAZAKH, RUSSIAN]
    assert " ".join(texts[:-5]) == long


def test_options_of_the_command(folder: Path, tmp_path: Path) -> None:
    source = written(tmp_path, "n.csv", f"id,a~text\n1,2~<p>{KAZAKH}</p>\n")
    where = ["--model", folder, "-o", tmp_path / "o.jsonl"]
    classify(source, "--delimiter", "~", "--id-field", "id,a", "--markup", "text", *where)
    assert [(row["article"], row["text"]) for row in rows_of(tmp_path / "o.jsonl")] == [("1,2", f"<p>{KAZAKH}</p>")]
    written(tmp_path, "n.csv", f"id\ttext,\n1\t{RUSSIAN}\n")
    classify(source, "--delimiter", "tab", "--text-field", "text,", *where)
    assert [row["text"] for row in rows_of(tmp_path / "o.jsonl")] == [RUSSIAN]
    done = classify(source, "--delimiter", "ab", *where, code=1)
    assert b"--delimiter ab: is no single character" in done.stderr


def test_notes_add_up() -> None:
    counts = BatchCounts(notes={"a": 1})
    counts.add(BatchCounts(notes={"a": 2, "b": 1}))
    assert counts.notes == {"a": 3, "b": 1}


def test_tables_of_nothing_but_a_header(tmp_path: Path) -> None:
    assert [e.reason for e in read(written(tmp_path, "n.csv", io.StringIO("id,text\n").getvalue()))] == ["empty"]
