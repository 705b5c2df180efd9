"""JSON -> rows: an object a line, or values of any shape: an array, objects one after the other, arrays in objects.

An array may lie in an object that says more of it, as in Telegram's exports and Elasticsearch's answers: an object
without the text is searched for arrays.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any, BinaryIO, cast

import msgspec

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import Fields, Row, look_up
from pipeline.inference.readers.sources import Source
from pipeline.inference.readers.text_lines import lines_of, part_of
from pipeline.inference.readers.values import CHUNK, DEEP, JsonDecoder, JsonValues, TooLargeError, arrays_of_objects
from pipeline.text.encodings import utf8_stream

BESIDE = "objects beside the records, without the text"
SILENT = "service messages and messages without text"

_OBJECTS = msgspec.json.Decoder(dict[str, Any])


def json_rows(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[Row]:
    """The objects of JSON, in lines or not: the first two lines tell. A part of a source is lines in UTF-8."""
    notes = source.meter.notes
    if source.range:
        rows = _rows_of_lines(part_of(stream, source.range), notes, source.range.first)
    elif is_lines(cast(io.BufferedReader, utf8 := utf8_stream(stream, encoding)).peek(CHUNK), source.format):
        rows = _rows_of_lines(utf8, notes)
    else:
        rows = _rows_of_values(utf8, notes, fields)
    for row in rows:
        if isinstance(row.values, dict) and row.values.get("type") in ("message", "service"):
            if (message := _message(row.values)) is None:
                notes[SILENT] += 1
                continue
            row = row._replace(values=message)
        yield row


def is_lines(head: bytes, format_: str) -> bool:
    """Whether each line is an object."""
    first, _, rest = head.strip().partition(b"\n")
    if format_ == "json":
        return first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")
    return first.strip() != b"{" and not re.match(rb"\[\s*(\{|$)", first)


def _message(row: dict[str, Any]) -> dict[str, Any] | None:
    """A message of Telegram with plain text, None if it has none; other rows as they are."""
    text = row.get("text")
    if "text_entities" not in row and not isinstance(text, list):
        return row
    if isinstance(text, list):  # of strings, and of entities such as links and bold text
        text = "".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in text)
    if not text or row["type"] == "service":
        return None
    return {**{name: value for name, value in row.items() if name != "text_entities"}, "text": text}


def _rows_of_lines(utf8: BinaryIO, notes: Counter[str], first: int = 1) -> Iterator[Row]:
    """A JSON object a line; lines end at line feeds alone."""
    lines, decoder = lines_of(utf8, b"\n"), JsonDecoder(notes)
    for number in count(first):
        place = f"line {number}"
        try:
            line = next(lines)
            if line.strip():
                yield Row(number, place, _object(line, decoder))
        except StopIteration:
            return
        except RecordError as flaw:
            yield Row(number, place, flaw)


def _object(line: bytes, decoder: JsonDecoder) -> dict[str, Any]:
    try:
        row = _OBJECTS.decode(line)
    except msgspec.ValidationError as error:
        raise RecordError("a JSON value, but no object") from error
    except RecursionError as error:
        raise RecordError(DEEP) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if b"NaN" in line or b"Infinity" in line:  # which Python's json writes, and nobody else reads
            return decoder.object(line, str(error))
        raise RecordError(f"no JSON ({error})") from error
    if line.count(b'":') != len(row) or b'" :' in line:  # objects in it, or a key that stands twice
        decoder.count_keys(line)
    return row


def _rows_of_values(utf8: BinaryIO, notes: Counter[str], fields: Fields) -> Iterator[Row]:
    """The records among the values of a file, numbered; an object that is the whole file has no number."""
    number = 0
    try:
        for value, alone in _candidates(JsonValues(utf8, notes), notes, fields):
            number += 1
            flaw = None if isinstance(value, dict) else RecordError("a JSON value, but no object")
            yield Row(0, "", flaw or value) if alone else Row(number, f"record {number}", flaw or value)
    except RecordError as flaw:
        raise RecordError(f"after record {number}: {flaw}") from flaw


def _candidates(values: JsonValues, notes: Counter[str], fields: Fields) -> Iterator[tuple[Any, bool]]:
    """What may be a record, and whether it is the only value of the file."""
    first = True
    while begin := values.peek():
        elements: Iterable[Any] = values.elements()
        if begin != "[":
            try:
                value = values.value()
            except TooLargeError:
                if begin != "{":
                    raise
                elements = values.inner_elements()
            else:
                elements = _records_in(value, notes, fields)
                if elements == [value]:
                    yield value, first and not values.peek()
                    elements = []
        for element in elements:
            yield from ((inner, False) for inner in _chat(element))
        first = False


def _records_in(value: Any, notes: Counter[str], fields: Fields) -> list[Any]:
    """What is in an object without the text: the elements of its arrays, those with it if any has; else the value."""
    text = look_up(value, fields.text) if isinstance(value, dict) else None
    if isinstance(text, dict):  # columns, as pandas writes them: each a value by row
        return [{name: column.get(row) for name, column in value.items()} for row in text]
    if not isinstance(value, dict) or text is not None:
        return [value]
    if len(value) > 1 and all(look_up(row, fields.text) is not None for row in value.values()):  # rows by their ids
        return [{"id": name, **row} for name, row in value.items()]
    arrays = list(arrays_of_objects(value))
    with_text = [array for array in arrays if any(look_up(row, fields.text) is not None for row in array)]
    if with_text and len(with_text) < len(arrays):
        notes[BESIDE] += sum(map(len, arrays)) - sum(map(len, with_text))
    return list(chain.from_iterable(with_text or arrays)) or [value]


def _chat(element: Any) -> list[Any]:
    """The messages of a chat, of which Telegram's export of a whole account has a list; else the element."""
    messages = element.get("messages") if isinstance(element, dict) and "text" not in element else None
    return messages if isinstance(messages, list) else [element]
