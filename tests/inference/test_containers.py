"""What people keep articles in: each container gives the records that its texts would give by themselves."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import Classifier
from pipeline.inference.batch.rows import BatchOptions, classify_batch
from pipeline.inference.readers import values, workbooks, xml_mending
from pipeline.inference.readers.files import find_sources
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.schema import MAX_RECORD, Fields, InputRecord
from pipeline.inference.readers.sources import ReadMeter
from pipeline.inference.readers.xml_mending import MendedXml

KAZAKH = "Облыс мектептерінде адалдық сағаттары өтіп, оқушылар сыбайлас жемқорлықтың зияны туралы тыңдады."
RUSSIAN = "В колледжах области прошли лекции о том, почему за экзамен нельзя платить преподавателю."
TITLE = "Студенттерге параның зияны туралы айтылды"
RECORDS = [{"id": "a", "text": KAZAKH, "outlet": "Егемен"}, {"id": "b", "text": RUSSIAN, "outlet": "Вечёрка"}]


def read(path: Path, fields: Fields | None = None, **given: Any) -> list[InputRecord]:
    meter = given.pop("meter", ReadMeter())
    format_ = given.get("format_")
    return list(read_records(find_sources([path], format_, meter), format_, fields or Fields(), given.get("encoding")))


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def dumped(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def lines_of(records: list[InputRecord], classifier: Classifier) -> list[tuple[str, str, str]]:
    """Language, text and reason of each row, rejected lines last in each record."""
    rows = classify_batch(records, classifier, BatchOptions())
    assert not rows.quarantined
    return [(row["language"], row["text"], row["reason"]) for row in rows.rows]


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Classifier:
    return Classifier.load(folder)


SHAPES = {
    "array.json": dumped(RECORDS, 1),
    "minified.json": dumped(RECORDS),
    "articles.json": dumped({"source": "crawl", "count": 2, "articles": RECORDS}, 2),
    "by-line.json": '{"articles": [' + ",\n".join(map(dumped, RECORDS)) + "]}",
    "deep.json": dumped({"response": {"status": "ok", "items": RECORDS}}),
    "lines.json": "\n".join(map(dumped, RECORDS)) + "\n",
    "pretty.jsonl": "\n".join(dumped(record, 2) for record in RECORDS),
    "array.jsonl": dumped(RECORDS),
    "opened.ndjson": "[\n" + ",\n".join(map(dumped, RECORDS)) + "\n]\n",
    "marked.json": b"\xef\xbb\xbf" + dumped(RECORDS).encode(),
    "wide.json": dumped(RECORDS, 1).encode("utf-16"),
    "array.json.gz": gzip.compress(dumped(RECORDS).encode()),
    "no-ending": dumped(RECORDS),
    "columns.json": dumped({name: {str(n): row[name] for n, row in enumerate(RECORDS)} for name in RECORDS[0]}),
    "by-id.json": dumped({row["id"]: {name: row[name] for name in ("text", "outlet")} for row in RECORDS}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_json_of_any_shape_gives_the_same_records(name: str, tmp_path: Path) -> None:
    found = read(written(tmp_path, name, SHAPES[name]))
    assert [(e.id, e.text, e.carried, e.reason) for e in found] == [
        (row["id"], row["text"], {"outlet": row["outlet"]}, "") for row in RECORDS
    ]


def test_json_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        archive.writestr("deep/array.json", dumped(RECORDS))
    assert [(e.id, e.source) for e in read(tmp_path / "n.zip")] == [(i, "n.zip/deep/array.json") for i in "ab"]


@pytest.mark.parametrize("indent", [None, 4])
def test_one_object_is_one_record_with_the_name_of_its_file(indent: int | None, tmp_path: Path) -> None:
    (found,) = read(written(tmp_path, "news.json", dumped({"text": KAZAKH, "tags": [{"name": "x"}]}, indent)))
    assert (found.id, found.text, found.carried) == ("news", KAZAKH, {"tags": [{"name": "x"}]})


def test_what_stands_beside_the_records_is_counted(tmp_path: Path) -> None:
    meter = ReadMeter()
    data = {"authors": [{"name": "А"}, {"name": "Б"}], "articles": [*RECORDS, {"id": "c"}]}
    found = read(written(tmp_path, "n.json", dumped(data)), meter=meter)
    assert [(e.id, e.reason) for e in found] == [
        ("a", ""),
        ("b", ""),
        ("n-3", "record 3: no field 'text'; there are id; --text-field names the text"),
    ]
    assert meter.notes == {"objects beside the records, without the text": 2}


def test_json_without_the_text_names_what_there_is(tmp_path: Path) -> None:
    hits = [{"_id": "1", "_source": {"body": KAZAKH, "views": 3}}, {"_id": "2", "_source": {"body": RUSSIAN}}]
    path = written(tmp_path, "es.json", dumped({"took": 5, "hits": {"total": {"value": 2}, "hits": hits}}))
    assert read(path)[0].reason == (
        "record 1: no field 'text'; there are _id, _source.body, _source.views; --text-field names the text"
    )
    assert [(e.id, e.text, e.carried) for e in read(path, Fields("_source.body"))] == [
        ("1", KAZAKH, {"_source": {"views": 3}}),
        ("2", RUSSIAN, {"_source": {}}),
    ]


WRONG = {
    "[]": ["empty"],
    '"текст"': ["a JSON value, but no object"],
    '["a", {"text": "б"}]': ["record 1: a JSON value, but no object", ""],
    '[{"text": "а"}, {"text": б}]': ["", "cannot be read any further (after record 1: no JSON (Expecting value))"],
    '[{"text": "а"}, {"text": "б': ["", "cannot be read any further (after record 1: no JSON (Unterminated string"],
    '[{"text": "а"}': ["", "cannot be read any further (after record 1: it ends too early)"],
    '[{"text": "а"},' + "[" * 200_000: ["", "cannot be read any further (after record 1: a value nested too deep)"],
    '[{"text": "а", "v": ' + "9" * 5000 + "}]": ["cannot be read (after record 0: no JSON (Exceeds the limit (4300"],
    '{"text": "\\ud800"}': ["bytes or halves of characters that are no Unicode text"],
}


@pytest.mark.parametrize("data", WRONG, ids=lambda data: data[:30])
def test_wrong_json_is_told_and_what_comes_before_it_kept(data: str, tmp_path: Path) -> None:
    found = read(written(tmp_path, "n.json", data))
    assert len(found) == len(WRONG[data])
    assert all(entry.reason.startswith(reason) for entry, reason in zip(found, WRONG[data], strict=True)), found


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("chunk", [7, 64, 2**18])
def test_json_is_read_piece_by_piece(
    chunk: int, wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are cut anywhere, and an object too large to be held is searched for its arrays."""
    monkeypatch.setattr(values, "CHUNK", chunk)
    monkeypatch.setattr(values, "MAX_RECORD", 800)
    rows = [{"text": f"{n} {KAZAKH}", "views": 12345678} for n in range(40)]
    others = {"id": 1234567890, "tags": [1, 2], "authors": [{"name": "x"}], "chat": {"id": -5, "messages": rows}}
    found = read(written(tmp_path, "n.json", dumped(others if wrapped else rows)))
    assert [e.text for e in found if not e.reason] == [row["text"] for row in rows]
    assert all(e.carried == {"views": 12345678} for e in found if not e.reason)
    assert [e.reason.partition(";")[0] for e in found if e.reason] == ["record 1: no field 'text'"] * wrapped


def test_a_value_that_is_too_large_is_told(tmp_path: Path) -> None:
    data = f'[{dumped(RECORDS[0])}, {{"text": "{"а" * (MAX_RECORD + 1)}"}}]'
    first, last = read(written(tmp_path, "n.json", data))
    assert first.text == KAZAKH
    assert "after record 1: a value of more than 16 MiB" in last.reason


MESSAGES = [
    {"id": -1, "type": "service", "action": "create_channel", "actor": "Арна", "text": "", "text_entities": []},
    {"id": 7, "type": "message", "date": "2025-02-01T10:05:00", "from": "Арна", "text": KAZAKH, "text_entities": []},
    {
        "id": 8,
        "type": "message",
        "text": [{"type": "bold", "text": TITLE}, "\n\n", RUSSIAN, " ", {"type": "hashtag", "text": "#адалдық"}],
        "text_entities": [{"type": "bold", "text": TITLE}],
    },
    {"id": 9, "type": "message", "photo": "photos/1.jpg", "text": "", "text_entities": []},
]


@pytest.mark.parametrize(
    "export",
    [
        {"name": "Арна", "type": "public_channel", "id": 1, "messages": MESSAGES},
        {"about": "…", "chats": {"about": "…", "list": [{"name": "Арна", "type": "x", "id": 1, "messages": MESSAGES}]}},
    ],
)
def test_a_telegram_export(export: dict[str, Any], tmp_path: Path) -> None:
    meter = ReadMeter()
    found = read(written(tmp_path, "result.json", dumped(export, 1)), meter=meter)
    assert [(e.id, e.text, e.reason) for e in found] == [
        ("7", KAZAKH, ""),
        ("8", f"{TITLE}\n\n{RUSSIAN} #адалдық", ""),
    ]
    assert found[0].carried == {"type": "message", "date": "2025-02-01T10:05:00", "from": "Арна"}
    assert meter.notes == {"service messages and messages without text": 2}


def workbook(**sheets: list[list[Any]]) -> bytes:
    book, data = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(data)
    return data.getvalue()


def shared(data: bytes) -> bytes:
    """The workbook as Excel writes it, with the texts of all cells in a member of their own."""
    texts: list[str] = []
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"

    def moved(match: re.Match[str]) -> str:
        texts.append(match[1])
        return f't="s"><v>{len(texts) - 1}</v>'

    copy = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(whole.namelist()):
            content = re.sub(r't="inlineStr"><is>(.*?)</is>', moved, whole.read(name).decode())
            part = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
            archive.writestr(name, content.replace("</Types>", part))
        items = "".join(f"<si>{text}</si>" for text in texts)
        schema = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{schema}">{items}</sst>')
    return copy.getvalue()


NEWS = [["id", "text", "day", None], [1, KAZAKH, datetime(2025, 2, 1), None], [], [2, RUSSIAN, None, "сбоку"]]


def test_a_workbook(tmp_path: Path) -> None:
    data = workbook(Жаңалық=NEWS)
    for name, content in {
        "n.xlsx": data,
        "excel.xlsx": shared(data),
        "n.csv": data,
        "n.xlsx.gz": gzip.compress(data),
    }.items():
        found = read(written(tmp_path, name, content))
        assert [(e.id, e.text, e.carried, e.reason) for e in found] == [
            ("1", KAZAKH, {"day": "2025-02-01T00:00:00"}, ""),
            ("2", RUSSIAN, {"day": None, "column 4": "сбоку"}, ""),
        ]


def test_sheets_of_a_workbook(tmp_path: Path) -> None:
    sheets = {
        "Қаңтар": NEWS,
        "Бос": [],
        "О файле": [["сведения"], ["собрал отдел"]],
        "Ақпан": [["text"], [RUSSIAN, "?"]],
    }
    found = read(written(tmp_path, "n.xlsx", workbook(**sheets)))
    assert found[-1].carried == {"sheet": "Ақпан", "column 2": "?"}
    assert [(e.id, e.carried.get("sheet"), e.reason) for e in found] == [
        ("1", "Қаңтар", ""),
        ("2", "Қаңтар", ""),
        ("n-3", None, "sheet 'О файле': no column 'text'; there are сведения"),
        ("n-4", "Ақпан", ""),
    ]


def test_workbooks_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = workbook(Лист1=NEWS)
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(tmp_path / "damaged.xlsx", "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            damaged.writestr(name, content[: content.index(b'r="4"')] if name.endswith("sheet1.xml") else content)
    first, last = read(tmp_path / "damaged.xlsx")
    assert (first.text, last.id) == (KAZAKH, "damaged")
    assert last.reason.startswith("cannot be read any further (after row 1: no workbook that can be read")
    (entry,) = read(written(tmp_path, "half.xlsx", data[: len(data) // 2]))
    assert entry.reason == "cannot be read (File is not a zip file)"
    monkeypatch.setattr(workbooks, "MAX_TEXTS", 10)
    (entry,) = read(written(tmp_path, "bomb.xlsx", shared(data)))
    assert "MiB of texts" in entry.reason
    assert read(written(tmp_path, "empty.xlsx", workbook(Лист1=[])))[0].reason == "empty"


RSS = f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:media="http://search.yahoo.com/mrss/"><channel><title>Жаңалықтар</title><link>https://a.kz</link>
<item><title>{TITLE} &amp; тәртіп</title><guid isPermaLink="false">g1</guid><link>https://a.kz/1</link>
<description>Анонс</description><pubDate>Sat, 01 Feb 2025 10:00:00 +0500</pubDate><dc:creator>А. Серік</dc:creator>
<category>мектеп</category><category>заң</category><media:content url="https://a.kz/1.jpg"/>
<content:encoded><![CDATA[<p>{KAZAKH}</p><p>{RUSSIAN}&nbsp;</p>
<p>Читайте также: <a href="/x">R&D</a></p>]]></content:encoded></item>
<item><title>Студентам рассказали о вреде взяток</title><link>https://a.kz/2?a=1&b=2</link>
<description>&lt;p&gt;{RUSSIAN}&lt;/p&gt; Организаторы &laquo;R&D&raquo; довольны.</description></item>
</channel></rss>"""
ATOM = f"""<?xml version="1.0"?><!-- made by hand --><feed xmlns="http://www.w3.org/2005/Atom"><title>Жаңалықтар</title>
<entry><title type="html">&amp;laquo;{TITLE}&amp;raquo;</title><id>urn:1</id><link rel="edit" href="https://a.kz/e"/>
<link href="https://a.kz/1"/><updated>2025-02-01T10:00:00Z</updated><author><name>А. Серік</name></author>
<category term="мектеп"/><summary>Анонс</summary><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>{KAZAKH}</p>
<p>{RUSSIAN}</p></div></content></entry></feed>"""


def test_rss(classifier: Classifier, tmp_path: Path) -> None:
    found = read(written(tmp_path, "feed.xml", RSS))
    assert [(e.id, e.title, e.reason) for e in found] == [
        ("g1", f"{TITLE} & тәртіп", ""),
        ("https://a.kz/2?a=1&b=2", "Студентам рассказали о вреде взяток", ""),
    ]
    assert found[0].carried == {
        "link": "https://a.kz/1",
        "summary": "Анонс",
        "published": "Sat, 01 Feb 2025 10:00:00 +0500",
        "author": "А. Серік",
        "categories": ["мектеп", "заң"],
    }
    assert lines_of(found, classifier) == [
        ("kk", f"{TITLE} & тәртіп", ""),
        ("kk", KAZAKH, ""),
        ("ru", RUSSIAN, ""),
        ("", "Читайте также: R&D", "read-also"),
        ("ru", "Студентам рассказали о вреде взяток", ""),
        ("ru", RUSSIAN, ""),
        ("ru", "Организаторы «R&D» довольны.", ""),
    ]


def test_the_summary_of_an_item_by_name(tmp_path: Path) -> None:
    found = read(written(tmp_path, "feed.xml", RSS), Fields("summary"))
    assert found[0].text == "Анонс"
    assert found[1].text == f"<p>{RUSSIAN}</p> Организаторы «R&D» довольны."


def test_atom(classifier: Classifier, tmp_path: Path) -> None:
    (found,) = read(written(tmp_path, "feed.atom", ATOM))
    assert (found.id, found.carried["link"], found.carried["categories"]) == ("urn:1", "https://a.kz/1", ["мектеп"])
    assert lines_of([found], classifier) == [("kk", f"«{TITLE}»", ""), ("kk", KAZAKH, ""), ("ru", RUSSIAN, "")]


def test_feeds_in_code_pages_and_cut_ones(tmp_path: Path) -> None:
    data = (
        RSS.replace('encoding="UTF-8"', 'encoding="windows-1251"')
        .replace(KAZAKH, RUSSIAN)
        .replace(f"{TITLE} &amp; тәртіп", "Т")
    )
    data = data.replace("Жаңалықтар", "Новости").replace("А. Серік", "А").replace("заң", "закон")
    assert [e.id for e in read(written(tmp_path, "n.rss", data.encode("cp1251")))] == ["g1", "https://a.kz/2?a=1&b=2"]
    first, last = read(written(tmp_path, "cut.rss", RSS[:-60]))
    assert (first.id, last.id) == ("g1", "cut")
    assert last.reason.startswith("cannot be read any further (after item 1: Premature end")
    (bomb,) = read(
        written(
            tmp_path,
            "bomb.rss",
            '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><item><title>&b;</title></item></rss>',
        )
    )
    assert bomb.reason == "no text in it"


@given(st.integers(1, 200))
@settings(deadline=None)
def test_xml_is_mended_alike_wherever_it_is_cut(size: int) -> None:
    data = "<a>R&D &nbsp;x &amp; &lt;b&gt; «Адал» &other; &#171; &\x0b <![CDATA[R&D ]] ]]>T&T<![CDATA[]]>&nbsp</a>"
    want = data.replace("R&D &nbsp;", "R&amp;D &#160;").replace("&other;", "&amp;other;").replace("&\x0b", "&amp;")
    want = want.replace("T&T", "T&amp;T").replace("&nbsp<", "&amp;nbsp<")

    class Small(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            return super().read(size)

    mended = MendedXml(Small(data.encode() * 3))
    assert b"".join(iter(mended.read, b"")) == want.encode() * 3


def response(
    uri: str, body: bytes, head: str = "Content-Type: text/html; charset=utf-8", status: str = "200 OK"
) -> bytes:
    http = f"HTTP/1.1 {status}\r\n{head}\r\n\r\n".encode() + body
    return warc_record("response", uri, "application/http; msgtype=response", http)


def warc_record(kind: str, uri: str, content: str, body: bytes) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2025-02-01T00:00:00Z\r\n"
    return f"{head}Content-Type: {content}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def page(*paragraphs: str) -> str:
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return f"<html><head><title>{TITLE}</title></head><body><article><h1>{TITLE}</h1>{body}</article></body></html>"


CRAWL = [
    warc_record("warcinfo", "", "application/warc-fields", b"software: x\r\n"),
    warc_record("request", "https://a.kz/1", "application/http; msgtype=request", b"GET /1 HTTP/1.1\r\n\r\n"),
    response("https://a.kz/1", page(KAZAKH, RUSSIAN).encode()),
    response(
        "https://a.kz/2", page(RUSSIAN).encode("cp1251", "replace"), "Content-Type: text/html; charset=windows-1251"
    ),
    response(
        "https://a.kz/3", gzip.compress(page(KAZAKH).encode()), "Content-Type: text/html\r\nContent-Encoding: gzip"
    ),
    response("https://a.kz/4", page(KAZAKH).encode(), status="404 Not Found"),
    response("https://a.kz/5.png", b"\x89PNG", "Content-Type: image/png"),
    warc_record("conversion", "https://a.kz/6", "text/plain", f"{KAZAKH}\n{RUSSIAN}".encode()),
]


@pytest.mark.parametrize("packed", [False, True])
def test_a_web_archive(packed: bool, classifier: Classifier, tmp_path: Path) -> None:
    meter = ReadMeter()
    name, data = ("c.warc.gz", b"".join(map(gzip.compress, CRAWL))) if packed else ("c.warc", b"".join(CRAWL))
    found = read(written(tmp_path, name, data), meter=meter)
    assert [(e.id, e.carried, e.reason) for e in found] == [
        (f"https://a.kz/{n}", {"date": "2025-02-01T00:00:00Z"}, "") for n in (1, 2, 3, 6)
    ]
    assert lines_of([found[0], found[-1]], classifier) == [
        ("kk", TITLE, ""),
        ("kk", KAZAKH, ""),
        ("ru", RUSSIAN, ""),
        ("kk", KAZAKH, ""),
        ("ru", RUSSIAN, ""),
    ]
    assert RUSSIAN in found[1].text
    assert KAZAKH in found[2].text
    assert meter.notes == {
        f"WARC records that are no page: {kind}": 1 for kind in ("warcinfo", "request", "status 404", "image/png")
    }


def test_web_archives_that_are_cut_or_damaged(tmp_path: Path) -> None:
    whole = b"".join(CRAWL)
    cuts = {
        "body": (whole[: whole.index(b"https://a.kz/2") + 300], "after record 4: it is cut"),
        "head": (whole[: whole.index(b"https://a.kz/2") + 5], "after record 4: it is cut"),
        "rubbish": (b"".join(CRAWL[:3]) + b"rubbish\r\n\r\nmore\r\n" + CRAWL[3], "after record 3: Invalid WARC record"),
    }
    for name, (data, reason) in cuts.items():
        found = read(written(tmp_path, f"{name}.warc", data))
        assert found[0].id == "https://a.kz/1"
        assert f"cannot be read any further ({reason}" in found[-1].reason, name
    *_, last = read(written(tmp_path, "z.warc.gz", b"".join(map(gzip.compress, CRAWL))[:-900]))
    assert "Compressed file ended before the end-of-stream marker" in last.reason


def test_markdown(classifier: Classifier, tmp_path: Path) -> None:
    front, cut = f'title: "{TITLE}"\ndate: 2025-02-01', KAZAKH.index("сыбайлас")
    body = f"{KAZAKH[: cut - 1]}\n{KAZAKH[cut:]}\n\n* {RUSSIAN}\n\nСм. [**приказ**](https://a.kz/x) об этом.\n"
    text = f"---\n{front}\n---\n\n{body}"
    (found,) = read(written(tmp_path, "n.md", text))
    assert found.carried == {"front_matter": front}
    assert lines_of([found], classifier) == [
        ("kk", TITLE, ""),
        ("kk", KAZAKH, ""),
        ("ru", f"- {RUSSIAN}", ""),
        ("ru", "См. приказ об этом.", ""),
    ]


@pytest.mark.parametrize("name", ["a.xhtml", "view.php_id=7", "item.aspx", "saved", "saved.txt"])
@pytest.mark.parametrize(
    "prolog",
    [
        "",
        "\ufeff",
        "<!DOCTYPE html>\n",
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- saved from url=(1)https://a.kz -->\n',
    ],
)
def test_a_page_is_told_by_its_first_bytes(name: str, prolog: str, classifier: Classifier, tmp_path: Path) -> None:
    (found,) = read(written(tmp_path, name, prolog + page(KAZAKH, RUSSIAN)))
    assert found.id == (name.partition(".")[0] if name in ("a.xhtml", "saved.txt") else name)
    assert lines_of([found], classifier) == [("kk", TITLE, ""), ("kk", KAZAKH, ""), ("ru", RUSSIAN, "")]


def office(*members: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in members:
            archive.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else "<x/>")
    return data.getvalue()


TOOLS = {
    "a.pdf": (b"%PDF-1.7\n", "a PDF; `pdftotext"),
    "a.docx": (office("[Content_Types].xml", "word/document.xml"), "a Word document; `pandoc"),
    "docx.zip": (office("[Content_Types].xml", "word/document.xml"), "a Word document; `pandoc"),
    "a.odt": (office("mimetype", "content.xml"), "an OpenDocument text; `pandoc"),
    "a.rtf": (b"{\\rtf1\\ansi}", "a Rich Text file; `pandoc"),
    "a.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file; `libreoffice"),
    "a.sqlite": (b"SQLite format 3\0", "a SQLite database; `sqlite3 -json"),
    "a.mhtml": (
        b"From: <Saved by Blink>\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n<html>",
        "a page saved as MHTML; open it in a browser",
    ),
    "a.tar": (b"a.txt".ljust(257, b"\0") + b"ustar", "a tar archive; `tar xf"),
    "a.txt": (b"%PDF-1.7\n", "a PDF; `pdftotext"),
    "sitemap.xml": (b'<?xml version="1.0"?><urlset><url/></urlset>', "XML, but neither RSS nor Atom nor a page"),
}


@pytest.mark.parametrize("name", TOOLS)
def test_what_is_no_text_names_the_tool_that_makes_some(name: str, tmp_path: Path) -> None:
    data, reason = TOOLS[name]
    (found,) = read(written(tmp_path, name, data))
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("format_", "data", "kind"),
    [
        ("html", CRAWL[2], "a WARC archive"),
        ("txt", page(KAZAKH), "a web page"),
        ("jsonl", page(KAZAKH), "a web page"),
        ("csv", dumped(RECORDS), "JSON"),
        ("html", RSS, "RSS or Atom"),
        ("csv", workbook(Лист1=NEWS), "an Excel workbook"),
    ],
)
def test_a_format_that_the_first_bytes_contradict_is_refused(
    format_: str, data: bytes | str, kind: str, tmp_path: Path
) -> None:
    (found,) = read(written(tmp_path, "n", data), format_=format_)
    assert found.reason == f"--format {format_}, but it begins as {kind} does; leave --format out"


def test_an_ending_counts_for_more_than_a_doubtful_beginning(tmp_path: Path) -> None:
    letter = f"From: a@a.kz\nContent-Type: text/plain\n\n{RUSSIAN}"
    assert read(written(tmp_path, "letter.txt", letter))[0].text == letter
    assert read(written(tmp_path, "letter.eml", letter))[0].reason.startswith("an e-mail")
    found = read(written(tmp_path, "a.txt", f"<p>{KAZAKH}</p>"))
    found += read(written(tmp_path, "b", f"<p>{KAZAKH}</p>"))
    assert [e.markup for e in found] == ["fragment", "page"]
    assert read(written(tmp_path, "c.md", f"<p align=center>{KAZAKH}</p>"))[0].markup == "fragment"


def test_a_feed_without_items_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_mending, "MAX_ITEM", 2**20)
    item = f"<item><title>{TITLE}</title></item>"
    many = f"<rss>{item * 20_000}</rss>"
    assert len(many.encode()) > 2**21
    assert len(read(written(tmp_path, "many.rss", many))) == 20_000
    first, last = read(written(tmp_path, "bomb.rss", f"<rss>{item}{'<x/>' * 400_000}{item}</rss>"))
    assert first.title == ""  # without a text it is a record with a reason
    assert last.reason == "cannot be read any further (more than 1 MiB without an item)"


def test_names_in_a_zip_of_windows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        archive.writestr("1111111.txt", RUSSIAN)
        archive.writestr("22222222222222.txt", KAZAKH)
        archive.writestr("Мектеп.txt", KAZAKH)
    data = (tmp_path / "n.zip").read_bytes()
    data = data.replace(b"1111111", "Новость".encode("cp866")).replace(b"2" * 14, "Новости".encode())
    found = read(written(tmp_path, "n.zip", data))
    assert [(e.source, e.text) for e in found] == [
        ("n.zip/Мектеп.txt", KAZAKH),
        ("n.zip/Новости.txt", KAZAKH),
        ("n.zip/Новость.txt", RUSSIAN),
    ]


@pytest.mark.parametrize(
    ("name", "package", "data"),
    [
        ("n.xlsx", "openpyxl", workbook(Лист1=NEWS)),
        ("n.warc", "warcio", CRAWL[2]),
        ("n.md", "markdown_it", KAZAKH.encode()),
    ],
)
def test_a_missing_library_is_named(
    name: str, package: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [_Missing(package), *sys.meta_path])
    (found,) = read(written(tmp_path, name, data))
    assert found.reason.startswith(f"cannot be read ({package}")
    assert "`pip install 'taqyryp[formats]'` brings it" in found.reason


class _Missing:
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(name, name=name)


TEXTS = st.sampled_from([KAZAKH, RUSSIAN, f"<p>{KAZAKH}</p>", f"{TITLE}\n{RUSSIAN}", "", "—", "a & b < c"])
ROWS = st.lists(st.fixed_dictionaries({"text": TEXTS}, optional={"views": st.integers(0, 9)}), min_size=1, max_size=30)
CONTAINERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "n.jsonl": lambda rows: "\n".join(map(dumped, rows)).encode(),
    "n.json": lambda rows: dumped(rows, 1).encode(),
    "wrapped.json": lambda rows: dumped({"articles": rows}).encode(),
    "n.xlsx": lambda rows: workbook(n=[["text", "views", "n"], *([row["text"], row.get("views"), 1] for row in rows)]),
    "n.rss": lambda rows: (
        "<rss>"
        + "".join(f"<item><description><![CDATA[{row['text']}]]></description></item>" for row in rows)
        + "</rss>"
    ).encode(),
    "n.warc": lambda rows: b"".join(response(f"https://a.kz/{n}", row["text"].encode()) for n, row in enumerate(rows)),
}


@pytest.mark.parametrize("name", CONTAINERS)
@given(rows=ROWS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_record_is_answered_or_quarantined(
    name: str, rows: list[dict[str, Any]], classifier: Classifier, tmp_path: Path
) -> None:
    found = read(written(tmp_path, name, CONTAINERS[name](rows)))
    assert len(found) == len(rows)
    done = classify_batch(found, classifier, BatchOptions(level="both"))
    assert len(done.articles) + len(done.quarantined) == done.counts.records == len(rows)
    assert len(done.quarantined) == done.counts.quarantined
