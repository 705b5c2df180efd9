"""Files -> articles, and their paragraphs."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.io import Say, read_bytes, write_json, write_jsonl
from pipeline.core.schemas import Article
from pipeline.core.settings import load_settings
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.encodings import decode
from pipeline.text.language import load_languages
from pipeline.text.segment import split_articles


def run_paragraphs(
    articles: Path, boilerplate: Path, settings: Path, out: Path, rejected: Path, report: Path, say: Say
) -> None:
    """The stage `paragraphs`: splits every article of a folder; writes what is kept, what is not, and the counts.

    Of an article without content it says so.

    Raises:
        UserError: if a file is missing or can't be read.
    """
    list_, among = load_settings(boilerplate, Boilerplate), load_languages(settings)
    kept, dropped, counts = split_articles(read_articles(articles), list_, among)
    for count in counts:
        if not count.kept:
            say(f"{articles / count.article}.txt: no paragraph in {count.lines} lines; see {report} for the reasons")
    write_jsonl(out, kept)
    write_jsonl(rejected, dropped, never_empty=True)
    write_json(report, counts)


def read_articles(folder: Path) -> list[Article]:
    """Every .txt file of a folder as an article, sorted by name; hidden ones, such as a Mac's ._a.txt, are none.

    Raises:
        UserError: if the folder is missing or holds no .txt file, or a file is no text that can be read.
    """
    paths = sorted(folder.glob("[!.]*.txt"))
    if not paths:
        problem = "no .txt file in it" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: {problem}; put one .txt file an article there, or name another folder")
    return [read_article(path) for path in paths]


def read_article(path: Path) -> Article:
    """One text file as an article whose id is the file's stem, in NFC: a Mac may take letters such as й apart.

    Raises:
        UserError: if it can't be read as text.
    """
    id_ = unicodedata.normalize("NFC", path.stem)
    return Article(id=id_, source=path.name, text=decode(read_bytes(path), str(path)))
