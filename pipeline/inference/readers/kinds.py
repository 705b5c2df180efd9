"""What a file holds: told by its first bytes, else by its ending or `--format`.

First bytes win over an ending: people save workbooks as .csv and pages as .txt. Where they contradict `--format` the
file is refused, and what holds no text that we can take gets a reason that names the tool which makes text of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import RecordError

INPUT_ENDINGS = {
    ".txt": "txt",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xml": "feed",
    ".rss": "feed",
    ".atom": "feed",
    ".warc": "warc",
    ".md": "md",
    ".markdown": "md",
}
FORMATS = tuple(dict.fromkeys(INPUT_ENDINGS.values()))
HEAD_BYTES = 2**16
"""Bytes by which a file is told: some zips have a picture before the member that says what they are."""
_TEXT_BYTES = 2**12

_MAGIC = {
    b"PAR1": "parquet",
    b"WARC/": "warc",
    b"%PDF-": "pdf",
    b"SQLite format 3\0": "sqlite",
    b"{\\rtf": "rtf",
    b"\xd0\xcf\x11\xe0": "ole",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
}
_ZIP_MEMBER = re.compile(rb"PK\x03\x04.{26}(xl/|word/|ppt/|mimetype)(.{0,60})", re.DOTALL)
_SKIPPED = rb"^\s*(?>(?:<\?[^>]*>|<!--(?>.*?-->)|\s+)*)"
_PAGE = re.compile(_SKIPPED + rb"<(?:!doctype\s+html|(?:html|head|body)[\s>])", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(
    _SKIPPED + rb"<(?:div|p|article|main|section|h1|meta|title|link|script|style)[\s>]", re.I | re.DOTALL
)
_FEED = re.compile(_SKIPPED + rb"(?:<!doctype[^>]*>\s*)?<(?:rss|feed|rdf:rdf)[\s>]", re.DOTALL | re.IGNORECASE)
_MAIL = re.compile(
    rb"^(?:From|MIME-Version|Snapshot-Content-Location|Return-Path|Received|Message-ID):? ", re.IGNORECASE
)
_JSON = re.compile(rb'^\s*(?:\[\s*)?\{\s*"')

NAMES = {
    "html": "a web page",
    "feed": "RSS or Atom",
    "json": "JSON",
    "warc": "a WARC archive",
    "parquet": "Parquet",
    "xlsx": "an Excel workbook",
}
REMEDIES = {
    "pdf": "a PDF; `pdftotext FILE.pdf` (Poppler) makes text of it",
    "docx": "a Word document; `pandoc FILE.docx -t plain --wrap=none -o FILE.txt` makes text of it",
    "odt": "an OpenDocument text; `pandoc FILE.odt -t plain --wrap=none -o FILE.txt` makes text of it",
    "epub": "an EPUB; `pandoc FILE.epub -t plain --wrap=none -o FILE.txt` makes text of it",
    "rtf": "a Rich Text file; `pandoc FILE.rtf -t plain --wrap=none -o FILE.txt` makes text of it",
    "pptx": "slides; `libreoffice --convert-to pdf FILE`, then `pdftotext FILE.pdf` make text of it",
    "ods": "an OpenDocument table; `libreoffice --convert-to xlsx FILE` makes a table of it that is read",
    "ole": "an old Office file; `libreoffice --convert-to txt:Text FILE` makes text of it (xlsx: a table)",
    "sqlite": "a SQLite database; `sqlite3 -json FILE 'SELECT * FROM table' > FILE.json` makes records of it",
    "mhtml": "a page saved as MHTML; open it in a browser and save it as HTML, or unpack it with `munpack FILE`",
    "mail": "an e-mail; save its text, or unpack it with `munpack FILE`",
    "tar": "a tar archive; `tar xf FILE` unpacks it",
    "7z": "a 7z archive; `7z x FILE` unpacks it",
    "rar": "a RAR archive; `7z x FILE` unpacks it",
    "gzip": "packed with gzip; unpack it, or end its name in .gz behind the ending of what is in it",
    "zstd": "packed with Zstandard; unpack it, or end its name in .zst behind the ending of what is in it",
    "bz2": "bzip2; `bunzip2 FILE` unpacks it",
    "xz": "xz; `unxz FILE` unpacks it",
    "zip": "a zip archive; unpack it, or give it the ending .zip",
    "xml": "XML, but neither RSS nor Atom nor a page; make JSONL or CSV of it",
}
_UNSURE = {"tags": "html", "mail": "mail", "xml": "xml"}
"""What a text, page or table may begin like; only without a known ending it is what is named here."""


def settled_format(head: bytes, by_ending: str, given: str | None) -> str:
    """The format to read a file in that begins like this.

    Raises:
        RecordError: if nothing reads it, with the way out, or its first bytes contradict the format `given`.
    """
    told, format_ = told_by_bytes(head), given or by_ending
    if told in _UNSURE:
        told = "" if format_ not in ("", "feed") else _UNSURE[told]
    if told in REMEDIES:
        raise RecordError(REMEDIES[told])
    # Lines or values of JSON are told by their reader. A Markdown file may begin with tags.
    if not told or told == format_ or {told, format_} in ({"json", "jsonl"}, {"html", "md"}):
        if not format_:
            raise RecordError(f"no known ending ({', '.join(INPUT_ENDINGS)}); --format says what it is")
        return format_
    if given:
        raise RecordError(f"--format {given}, but it begins as {NAMES[told]} does; leave --format out")
    return told


def told_by_bytes(head: bytes) -> str:
    """The format, or key of `REMEDIES`, that the first bytes of a file give away; "" if they don't."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _office(head)
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", errors="ignore").encode(errors="ignore")
    return _told_by_text(head.removeprefix(b"\xef\xbb\xbf")[:_TEXT_BYTES])


def _office(head: bytes) -> str:
    """What a zip archive is by the names of its first members."""
    for match in _ZIP_MEMBER.finditer(head):
        kinds = {b"xl/": "xlsx", b"word/": "docx", b"ppt/": "pptx"}
        if match[1] != b"mimetype":
            return kinds[match[1]]
        marks = {b"epub": "epub", b"opendocument.text": "odt", b"opendocument.spreadsheet": "ods"}
        return next((kind for mark, kind in marks.items() if mark in match[2]), "zip")
    return "zip"


def _told_by_text(head: bytes) -> str:
    if _FEED.search(head):
        return "feed"
    if _PAGE.search(head):
        return "html"
    if _TAGS.search(head):
        return "tags"
    if head.lstrip().startswith(b"<?xml"):
        return "xml"
    if _MAIL.search(head) and re.search(rb"^Content-Type: ", head, re.IGNORECASE | re.MULTILINE):
        return "mhtml" if b"multipart/related" in head.lower() else "mail"
    return "json" if _JSON.search(head) else ""


@contextmanager
def of_extra() -> Iterator[None]:
    """What is imported here is in the extra `formats`: where it is missing the reason says how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RecordError(f"{error.name} is not installed; `pip install 'taqyryp[formats]'` brings it") from error
