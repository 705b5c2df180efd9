"""Files -> articles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pipeline.decoding import decode
from pipeline.errors import UserError
from pipeline.records import Article
from pipeline.storage import read_bytes, read_numbered_jsonl


def read_articles(folder: Path) -> list[Article]:
    """Every .txt file of a folder as an article, sorted by name.

    Raises:
        UserError: if the folder is missing or holds no .txt file, or a file is no text that can be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; put one .txt file an article there, or name another folder")
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise UserError(f"{folder}: no .txt file in it; put one .txt file an article there")
    return [read_article(path) for path in paths]


def read_article(path: Path) -> Article:
    """One text file as an article whose id is the file's stem.

    Raises:
        UserError: if it can't be read as text.
    """
    return Article(id=path.stem, source=path.name, text=decode(read_bytes(path), str(path)))


class InputRecord(msgspec.Struct, frozen=True):
    """A line of JSONL to classify; other fields are not looked at. Without an id it is named by file and line."""

    text: str
    id: str | int | None = None
    language: str = ""


@dataclass(frozen=True)
class Source:
    """An article or paragraph to classify, with the language that was given for it ("" if none)."""

    article: Article
    language: str = ""


def read_records(path: Path) -> Iterator[Source]:
    """What a .txt file, a .jsonl file or a folder of them holds, folders sorted by name.

    Raises:
        UserError: if there is no such path, it is of another kind, or holds nothing to read.
    """
    if path.is_dir():
        inside = sorted(child for child in path.rglob("*") if child.suffix in (".txt", ".jsonl"))
        if not inside:
            raise UserError(f"{path}: no .txt or .jsonl file in it")
        for child in inside:
            yield from read_records(child)
    elif path.suffix == ".jsonl":
        for number, record in read_numbered_jsonl(path, InputRecord):
            name = f"{path.stem}-{number}" if record.id is None else str(record.id)
            yield Source(Article(id=name, source=path.name, text=record.text), record.language)
    elif path.suffix == ".txt" or not path.exists():
        yield Source(read_article(path))
    else:
        raise UserError(f"{path}: neither .txt nor .jsonl nor a folder; convert it first")
