"""RSS and Atom, as outlets and WordPress's exports have them -> a row an item."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any, BinaryIO

from lxml import etree

from pipeline.core.errors import RecordError
from pipeline.inference.readers.files import Source
from pipeline.inference.readers.schema import Fields, Row

_ITEMS = ("item", "entry")
_NAMES = {
    "guid": "id",
    "encoded": "text",
    "content": "text",
    "full-text": "text",
    "description": "summary",
    "pubDate": "published",
    "date": "published",
    "creator": "author",
    "category": "categories",
}
"""What both kinds call differently; other elements keep their own names."""
_PICTURES = "http://search.yahoo.com/mrss/"
_HARMLESS = ("ERR_UNDECLARED_ENTITY", "ERR_NAME_REQUIRED", "ERR_ENTITYREF_SEMICOL_MISSING")
"""Of an &nbsp; or a bare & in a text, which cost no more than themselves."""


def feed_rows(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[Row]:
    """The items, each with `text` (the full one, else the summary), `title`, `id` (guid or link) and what else it has.

    Broken XML is read as far as libxml2 can mend it, and told at the end.
    """
    parser = etree.iterparse(
        stream,
        events=("end",),
        recover=True,
        resolve_entities=False,
        no_network=True,
        encoding=encoding,
    )
    number = 0
    try:
        for _, element in parser:
            if _name(element) in _ITEMS:
                number += 1
                yield Row(number, f"item {number}", _values(element))
                element.clear()
                while element.getprevious() is not None:  # or items that are done would stay in the tree
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise RecordError(f"after item {number}: {error}") from error
    flaws = [entry.message for entry in parser.error_log if entry.type_name not in _HARMLESS]
    if flaws:
        raise RecordError(f"after item {number}: {flaws[0].strip()}; something may be missing")


def _name(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _values(item: Any) -> dict[str, Any]:
    """An item's elements by name, the first of each kind, all categories."""
    values: dict[str, Any] = {}
    for element in item:
        name = _NAMES.get(_name(element), _name(element))
        value = element.get("href") or element.get("term") or _content(element, name)
        if not name or not value or etree.QName(element).namespace == _PICTURES:
            continue
        if name == "categories":
            values[name] = [*values.get(name, []), value]
        elif name != "link" or element.get("rel", "alternate") == "alternate":
            values.setdefault(name, value)
    values.setdefault("id", values.get("link"))
    if "text" not in values:
        values["text"] = values.pop("summary", None)
    return values


def _content(element: Any, name: str) -> str:
    """An element's text; where elements are in it, their markup in a text, or nothing in other columns."""
    parts = [element.text or ""]
    for child in element:
        if child.tag is etree.Entity:
            parts.append(unescape(child.text))
        elif isinstance(child.tag, str) and name in ("text", "summary", "title"):
            for inner in child.iter("{*}*"):
                inner.tag = etree.QName(inner).localname
            parts.append(etree.tostring(child, encoding="unicode", with_tail=False))
        elif isinstance(child.tag, str) and _name(child) == "name":
            parts.append(child.text or "")
        parts.append(child.tail or "")
    return "".join(parts).strip()
