"""Inputs of batch classification: files, folders, globs and stdin -> entries.

An entry is a text to classify, or stands for something that can't be read. `files` finds and opens, `encodings` tells
encodings, `formats` cuts what is inside into `records`, `pages` takes the article out of HTML. Everything streams: no
more than one record is held, and none may be larger than `MAX_RECORD`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.core.schemas import Record

MAX_RECORD = 16 * 2**20
"""Bytes of one text, line or page: the longest novel has 6 MB; a line of 200 MB is a broken file."""

TEXT, HTML, JSONL, CSV, TSV, PARQUET = FORMATS = ("txt", "html", "jsonl", "csv", "tsv", "parquet")


class InputRecord(Record, frozen=True):
    """A text to classify, or with a `reason` something that can't be: it goes to the quarantine.

    `language` is the one that was given ("" if none), `carried` the record's other columns, `markup` says that `text`
    is a page whose article is still to be taken out.
    """

    id: str
    source: str
    text: str = ""
    title: str = ""
    language: str = ""
    carried: dict[str, Any] = {}
    markup: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Fields:
    """Columns of records. Those that are None have their usual name and may be missing, the text excepted."""

    text: str = "text"
    id: str | None = None
    title: str | None = None
