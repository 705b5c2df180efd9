"""Articles and records come in whole; what is not text is refused with its place."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.text.articles import read_articles, run_paragraphs
from tests.conftest import ROOT


def test_the_seeds_are_five_articles() -> None:
    articles = read_articles(ROOT / "seeds/articles")
    assert [article.id[:3] for article in articles] == ["000", "001", "002", "003", "004"]
    assert articles[2].text.startswith("ОҚО-да білім саласындағы")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffТақырып".encode())
    assert read_articles(tmp_path)[0].text == "Тақырып"


def test_a_name_from_a_mac_gives_the_same_id(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "йод")
    (tmp_path / f"{apart}.txt").write_text("Тақырып")
    (tmp_path / f"._{apart}.txt").write_bytes(b"\0\5\26\7")
    assert [(article.id, article.source) for article in read_articles(tmp_path)] == [("йод", f"{apart}.txt")]


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


def test_an_article_without_content_is_said_to_have_none(tmp_path: Path) -> None:
    articles = tmp_path / "articles"
    articles.mkdir()
    (articles / "empty.txt").write_text("\n\n")
    (articles / "menu.txt").write_text("Пікір қалдыру\n\nКомментировать\n")
    (articles / "news.txt").write_text("Облыстық білім басқармасының дерегінше, биыл ауылға алпыс мұғалім келді.\n")
    told: list[str] = []
    out = (tmp_path / name for name in ("paragraphs.jsonl", "rejected.jsonl", "report.json"))
    run_paragraphs(articles, ROOT / "configs/boilerplate.yaml", ROOT / "configs/pipeline.yaml", *out, told.append)
    assert [line.partition(":")[0] for line in told] == [f"{articles}/empty.txt", f"{articles}/menu.txt"]
    assert told[1].endswith(f"menu.txt: no paragraph in 3 lines; see {tmp_path}/report.json for the reasons"), told
