"""Articles and records come in whole; what is not text is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.readers import read_articles, read_records
from tests.conftest import ROOT


def test_the_seeds_are_five_articles() -> None:
    articles = read_articles(ROOT / "seeds/articles")
    assert [article.id[:3] for article in articles] == ["000", "001", "002", "003", "004"]
    assert articles[2].text.startswith("ОҚО-да білім саласындағы")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffТақырып".encode())
    assert read_articles(tmp_path)[0].text == "Тақырып"


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_articles(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no \.txt file in it"):
        read_articles(tmp_path)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ("Бірінші\nЕкінші ".encode() + b"\xcf\xf0\xe8\xe2\xe5\xf2", "a.txt:2: byte 0xcf is not UTF-8"),
        ("Тема\n\n".encode() + b"\x00\x01", "a.txt:3: a NUL byte"),
    ],
)
def test_what_is_not_text_is_refused(data: bytes, part: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(UserError) as error:
        read_articles(tmp_path)
    assert part in str(error.value)


def test_records_keep_their_ids_and_languages(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text(
        '{"id": 7, "text": "Мектеп ашылды.", "language": "kk", "views": 12}\n\n{"text": "Открыли школу."}\n'
    )
    (tmp_path / "b.txt").write_text("Школа.")
    found = list(read_records(tmp_path))
    assert [(r.article.id, r.article.source, r.language) for r in found] == [
        ("b", "b.txt", ""),
        ("7", "news.jsonl", "kk"),
        ("news-3", "news.jsonl", ""),
    ]


def test_wrong_inputs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text('{"body": "x"}\n')
    with pytest.raises(UserError, match=r"news\.jsonl:1: .*`text`"):
        list(read_records(tmp_path / "news.jsonl"))
    with pytest.raises(UserError, match="cannot be read"):
        list(read_records(tmp_path / "absent.txt"))
    (tmp_path / "page.pdf").write_bytes(b"%PDF")
    with pytest.raises(UserError, match=r"neither \.txt nor \.jsonl"):
        list(read_records(tmp_path / "page.pdf"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no \.txt or \.jsonl"):
        list(read_records(tmp_path / "empty"))
