"""Whatever articles come in, each ends up as an entry: with its text, or with the reason why there is none."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import unicodedata
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow
import pytest
from pyarrow import parquet

from pipeline.core.errors import UserError
from pipeline.inference.readers.files import find_sources
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.pages import extract_article
from pipeline.inference.readers.schema import MAX_RECORD, Fields, InputRecord
from pipeline.inference.readers.sources import ReadMeter
from tests.conftest import ROOT

KAZAKH, RUSSIAN = "Мектепте адалдық сағаты өтті.", "В школе провели урок честности."
RECORDS = [{"id": "a", "text": KAZAKH, "outlet": "Егемен"}, {"id": "b", "text": RUSSIAN, "outlet": "Vecher"}]


def read(
    *inputs: Path, format_: str | None = None, fields: Fields | None = None, encoding: str | None = None
) -> list[InputRecord]:
    return list(read_records(find_sources(inputs, format_, ReadMeter()), format_, fields or Fields(), encoding))


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def delimited(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(RECORDS[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(RECORDS)
    return text.getvalue().encode()


def columnar() -> bytes:
    data = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(RECORDS), data)
    return data.getvalue()


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return data.getvalue()


FILES = {
    "news.jsonl": lines(*RECORDS),
    "news.ndjson": lines(*RECORDS).replace(b"\n", b"\r\n"),
    "news.csv": delimited(","),
    "semicolons.csv": delimited(";"),
    "news.tsv": delimited("\t"),
    "news.parquet": columnar(),
    "news.jsonl.gz": gzip.compress(lines(*RECORDS)),
    "news.csv.zst": pyarrow.compress(delimited(","), codec="zstd", asbytes=True),
    "news.zip": zipped(news_jsonl=lines(*RECORDS)),
    "news.parquet.gz": gzip.compress(columnar()),
    "columnar.zip": zipped(news_parquet=columnar()),
    "marked.csv": b"\xef\xbb\xbf" + delimited(","),
    "wide.jsonl": lines(*RECORDS).decode().encode("utf-16"),
    "wide.csv": delimited(",").decode().encode("utf-16"),
    "kazakh.csv": delimited(",").decode().encode("kz1048"),
    "ptcp.jsonl": lines(*RECORDS).decode().encode("ptcp154"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_records(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    found = read(tmp_path / name)
    assert [(e.id, e.text, e.carried, e.reason) for e in found[:2]] == [
        (row["id"], row["text"], {"outlet": row["outlet"]}, "") for row in RECORDS
    ]


def test_a_declared_encoding_is_believed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Қар.".encode("kz1048"))
    assert "neither UTF-8 nor surely anything else" in read(tmp_path / "a.txt")[0].reason
    assert read(tmp_path / "a.txt", encoding="kz1048")[0].text == "Қар."


def test_a_declared_encoding_may_have_a_mark(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_bytes(b"\xef\xbb\xbf" + delimited(","))
    assert [e.id for e in read(tmp_path / "n.csv", encoding="UTF8")] == ["a", "b"]


def test_parquet_with_broken_text_is_told(tmp_path: Path) -> None:
    broken = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")]
    )
    parquet.write_table(pyarrow.table({"text": broken}), tmp_path / "n.parquet")
    (entry,) = read(tmp_path / "n.parquet")
    assert entry.reason.startswith("cannot be read (after row 0: 'utf-8' codec")


def test_parquet_carries_what_json_can_hold(tmp_path: Path) -> None:
    columns = {
        "text": pyarrow.array([KAZAKH]),
        "day": pyarrow.array([date(2024, 1, 2)]),
        "price": pyarrow.array([Decimal("1.50")]),
        "missing": pyarrow.array([float("nan")]),
        "nanoseconds": pyarrow.array([1], pyarrow.timestamp("ns")),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "n.parquet")
    (entry,) = read(tmp_path / "n.parquet")
    assert entry.carried == {
        "day": "2024-01-02",
        "price": "1.50",
        "missing": None,
        "nanoseconds": "1970-01-01 00:00:00.000000001",
    }


def test_folders_are_read_in_order_with_the_names_of_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.txt", "deep/a.txt", ".hidden.txt"):
        (tmp_path / name).write_text(KAZAKH)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    found = read(tmp_path)
    assert [(e.source, e.id) for e in found] == [
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("deep/a.txt", "a"),
        ("logo.png", "logo.png"),
    ]
    assert found[-1].reason.startswith("no known ending (.txt, .html")
    assert [e.source for e in read(Path(f"{tmp_path}/*.txt"))] == ["a.txt", "b.txt"]


def test_a_macs_zip_and_names(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "йод")
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        for name, content in ((f"{apart}.txt", "Мәтін"), (f"__MACOSX/._{apart}.txt", "\0\5\26\7"), (".DS_Store", "\0")):
            archive.writestr(name, content)
    (tmp_path / f"{apart}.txt").write_text("Мәтін")
    found = [(record.id, record.source, record.reason) for record in read(tmp_path)]
    assert len(apart) == 4
    assert found == [("йод", f"mac.zip/{apart}.txt", ""), ("йод", f"{apart}.txt", "")]


def test_seeds_are_read_as_in_training() -> None:
    from pipeline.text.articles import read_articles

    assert [(e.id, e.source, e.text) for e in read(ROOT / "seeds/articles")] == [
        (a.id, a.source, a.text) for a in read_articles(ROOT / "seeds/articles")
    ]


def test_ids_titles_and_languages(tmp_path: Path) -> None:
    rows = [
        {"text": "x", "language": "kk", "headline": "Т"},
        {"id": 7, "text": "y", "key": "k1"},
        {"id": "", "text": "z", "nested": {"a": [1]}},
    ]
    (tmp_path / "n.jsonl").write_bytes(lines(*rows[:1]) + b"\n" + lines(*rows[1:]))
    found = read(tmp_path / "n.jsonl", fields=Fields("text", None, "headline"))
    assert [(e.id, e.language, e.title) for e in found] == [("n-1", "kk", "Т"), ("7", "", ""), ("n-4", "", "")]
    assert [e.carried for e in found] == [{"language": "kk"}, {"key": "k1"}, {"nested": {"a": [1]}}]
    assert [e.id for e in read(tmp_path / "n.jsonl", fields=Fields("text", "key"))] == ["n-1", "k1", "n-4"]


LINES = {
    b'{"text": "x"': "line 2: no JSON",
    b"[1, 2]": "line 2: a JSON value, but no object",
    b'{"body": "x", "views": 1}': "line 2: no field 'text'; there are body, views; --text-field names the text",
    b'{"text": 5}': "line 2: field 'text' is no text but int",
    b'{"text": null}': "no text in it",
    b'{"text": " \\n"}': "no text in it",
    b'{"text": "\\u0000"}': "a NUL byte in the text",
    b'{"text": "\\ud800"}': "line 2: no JSON",
    b'{"text": "\xcf\xf0"}': "line 2: no JSON",
    b'{"text": "x", "id": [1]}': "line 2: field 'id' is list; expected a text or number",
    b'{"text": "' + b"a" * MAX_RECORD + b'"}': "line 2: a line of more than 16 MiB",
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:30].decode("latin-1"))
def test_a_bad_line_costs_no_other(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "n.jsonl").write_bytes(b"\n".join([lines(RECORDS[0]).strip(), line, lines(RECORDS[1]).strip()]))
    found = read(tmp_path / "n.jsonl")
    assert [entry.id for entry in found] == ["a", "n-2", "b"]
    assert found[1].reason.startswith(LINES[line]), found[1].reason
    assert [bool(entry.text) for entry in found] == [True, False, True]


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_line_about_as_long_as_may_be_costs_no_other(over: int, tmp_path: Path) -> None:
    head = b'{"text": "a'
    line = head + b"b" * (MAX_RECORD + over - len(head) - 3) + b'"}\n'
    assert len(line) == MAX_RECORD + over
    (tmp_path / "n.jsonl").write_bytes(line + lines(RECORDS[1]))
    assert [entry.id for entry in read(tmp_path / "n.jsonl")] == ["n-1", "b"]


def test_a_line_of_200_megabytes_is_never_held(tmp_path: Path) -> None:
    with (tmp_path / "n.csv").open("wb") as csv_file, (tmp_path / "n.jsonl").open("wb") as jsonl:
        csv_file.write(b"id,text\na,x\nb,")
        for file in (csv_file, jsonl):
            for _ in range(200):
                file.write(b"x" * 2**20)
        csv_file.write(b"\nc,y\n")
        jsonl.write(b"\n" + lines(RECORDS[1]))
    code = (
        "import sys; from pathlib import Path; from tests.inference.test_readers import read;"
        "print([(e.id, e.reason) for e in read(Path(sys.argv[1]))]);"
        "(peak,) = [x for x in Path('/proc/self/status').read_text().splitlines() if x.startswith('VmHWM')];"
        "print(int(peak.split()[1]) // 1024)"
    )
    for name, others in (("n.csv", ("a", "c")), ("n.jsonl", ("b",))):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found, megabytes = done.stdout.splitlines()
        assert "a line of more than 16 MiB" in found
        assert all(f"('{id_}', '')" in found for id_ in others)
        assert int(megabytes) < 500


def test_bad_rows_of_a_csv_cost_no_other(tmp_path: Path) -> None:
    rows = ["id,text", f"a,{KAZAKH}", 'b,"x" y', "c,d,e", f"f,{RUSSIAN}", 'g,"two', 'lines"', 'h,"open', "i,lost"]
    (tmp_path / "n.csv").write_bytes("\n".join(rows).encode().replace(b"a,", b"a,\xff", 1))
    found = read(tmp_path / "n.csv")
    assert [(e.id, e.text) for e in found if not e.reason] == [("f", RUSSIAN), ("g", "two\nlines")]
    assert [(e.id, e.reason.split(";")[0]) for e in found if e.reason] == [
        ("a", "bytes or halves of characters that are no Unicode text"),
        ("n-2", "lines 3 to 3: ',' expected after '\"'"),
        ("n-3", "line 4: 3 cells, but 2 columns"),
        ("n-6", "lines 8 to 9: unexpected end of data"),
    ]


@pytest.mark.parametrize("name", ["news.csv", "news.tsv", "news.parquet"])
@pytest.mark.parametrize(
    ("fields", "missing"), [(Fields("body"), "body"), (Fields("text", "key"), "key"), (Fields("text", None, "t"), "t")]
)
def test_a_wrong_column_is_an_error_that_names_those_there_are(
    name: str, fields: Fields, missing: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(UserError, match=rf"{name}: no column '{missing}'; there are id, text, outlet; --\w+-field"):
        read(tmp_path / name, fields=fields)


BAD = {
    "empty.txt": (b"", "no text in it"),
    "empty.jsonl": (b"", "empty"),
    "empty.csv": (b"", "empty"),
    "empty.zip": (zipped(), "empty"),
    "binary.txt": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01" + bytes(range(256)), "image/jpeg, no text"),
    "nul.txt": ("Тема\n\n".encode() + b"\x00\x01", "a NUL byte; this is no text file"),
    "broken.txt": ("Бірінші\nЕкінші ".encode() + b"\xcf\xf0\xe8", "byte 0xcf is not UTF-8, though the rest is"),
    "long.txt": (b"a" * (MAX_RECORD + 1), "more than 16 MiB; split it"),
    "quote.csv": (b'id,"text\na,b\n', "line 1: unexpected end of data; mend the header"),
    "no.parquet": (b"PAR1 or not", "after row 0"),
    "half.parquet": (columnar()[:-20], "after row 0"),
    "no.txt.gz": (b"plain", "Not a gzipped file"),
    "no.txt.zst": (b"plain", "ZSTD"),
    "no.zip": (b"plain", "no zip archive that can be read (File is not a zip file)"),
    "a.gz": (gzip.compress(b"x"), "no known ending"),
    "zip.zip": (zipped(inner_zip=zipped(a_txt=b"x")), "no known ending"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_an_entry_with_its_reason(name: str, tmp_path: Path) -> None:
    data, reason = BAD[name]
    (tmp_path / name).write_bytes(data)
    (entry,) = read(tmp_path / name)
    assert reason in entry.reason
    assert entry.source.startswith(name)


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_what_comes_before_the_cut_of_an_archive_is_kept(packed: str, tmp_path: Path) -> None:
    import random

    rows = lines(*({"text": f"{random.Random(n).random()} {KAZAKH}"} for n in range(50_000)))
    whole = gzip.compress(rows) if packed == "gz" else pyarrow.compress(rows, codec="zstd", asbytes=True)
    (tmp_path / f"n.jsonl.{packed}").write_bytes(whole[: len(whole) // 2])
    *found, last = read(tmp_path / f"n.jsonl.{packed}")
    assert 10_000 < sum(not entry.reason for entry in found) < 40_000
    assert "cannot be read any further" in last.reason


def test_links_pipes_and_locked_files_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(KAZAKH)
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "self.txt").symlink_to("self.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    assert {e.source: e.reason for e in read(tmp_path)} == {
        "a.txt": "",
        "pipe.txt": "a pipe or device, no file",
        "round": "a link to a folder that is read already",
        "self.txt": "cannot be read (Too many levels of symbolic links)",
    }
    with pytest.raises(UserError, match="a pipe or device; feed it to"):
        read(tmp_path / "pipe.txt")


def test_files_and_folders_without_permission() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "locked").mkdir()
        (folder / "listed").mkdir()
        (folder / "listed/b.txt").write_text(KAZAKH)
        (folder / "listed").chmod(0o444)
        (folder / "a.txt").write_text(KAZAKH)
        (folder / "a.txt").chmod(0)
        (folder / "locked").chmod(0)
        folder.chmod(0o755)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may read everything
        try:
            found = read(folder)
        finally:
            os.seteuid(user)
            for closed in ("listed", "locked"):
                (folder / closed).chmod(0o700)
    assert {e.source: e.reason for e in found} == dict.fromkeys(
        ("a.txt", "listed/b.txt", "locked"), "cannot be read (Permission denied)"
    )


def test_wrong_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.txt: no such file or folder"):
        read(tmp_path / "absent.txt")
    with pytest.raises(UserError, match=r"\*\.txt: no file fits this pattern"):
        read(tmp_path / "*.txt")
    with pytest.raises(UserError, match="no file in it"):
        read(tmp_path)
    with pytest.raises(UserError, match="say what comes in"):
        read(Path("-"))


def test_stdin_has_the_format_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(*RECORDS)), "utf-8"))
    assert [entry.id for entry in read(Path("-"), format_="jsonl")] == ["a", "b"]


def page(body: str) -> str:
    return (
        "<html><head><title>Адалдық сағаты | Vecher</title></head><body><nav><a href='/'>Басты бет</a></nav>"
        f"<article><h1>Адалдық сағаты</h1>{body}</article><footer>© Vecher</footer></body></html>"
    )


@pytest.fixture(scope="module")
def seed() -> list[str]:
    text = (ROOT / "seeds/articles").glob("000*")
    return [line.strip() for line in next(text).read_text().splitlines() if len(line) > 200][:4]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "kz1048", "utf-16"])
def test_the_article_is_taken_out_of_a_page(encoding: str, seed: list[str], tmp_path: Path) -> None:
    paragraphs = [line for line in seed if line.encode(encoding, errors="ignore").decode(encoding) == line]
    (tmp_path / "a.html").write_bytes(
        page("".join(f"<p>{line}</p>" for line in paragraphs)).encode(encoding, errors="replace")
    )
    (entry,) = read(tmp_path / "a.html")
    assert entry.markup
    title, text, _ = extract_article(entry.text)
    assert [line for line in text.split("\n") if len(line) > 100] == paragraphs
    if encoding != "cp1251":
        assert title == "Адалдық сағаты"


def test_a_deep_page_is_read_whole(seed: list[str]) -> None:
    deep = "<div>" * 1900 + f"<p>{seed[0]}</p>" + "</div>" * 1900 + f"<p>{seed[1]}</p>"
    _, text, _ = extract_article(page(deep))
    assert seed[1] in text
    assert seed[0] in text


def test_pages_that_cannot_be_read_whole_say_so() -> None:
    with pytest.raises(UserError, match="Excessive depth in document"):
        extract_article(page("<div>" * 3000 + f"<p>{KAZAKH * 10}</p>" + "</div>" * 3000))
    for markup in ("<html></html>", "", "<!-- -->"):
        with pytest.raises(UserError, match=r"a page without main content|no page"):
            extract_article(markup)
