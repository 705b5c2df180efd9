"""JSON values one after the other, each parsed as soon as all of it is there, and then forgotten."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import MAX_RECORD

CHUNK = 2**18
"""Characters read at once."""
TWICE = "keys that stand twice in an object; the last one counts"
DEEP = "a value nested too deep"

_SPACE = re.compile(r"[\s,]*")


class TooLargeError(RecordError):
    """A value that can't be held."""


class JsonDecoder:
    """Python's own parser, which reads NaN and Infinity (as null), tells where a value ends, and sees each key."""

    def __init__(self, notes: Counter[str]) -> None:
        self._notes, self._twice = notes, 0
        self._json = json.JSONDecoder(parse_constant=lambda _: None, object_pairs_hook=self._object_of)

    def _object_of(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        self._twice += len(pairs) - len(row)
        return row

    def value(self, text: str, at: int) -> tuple[Any, int]:
        """The value that begins there, and where it ends."""
        self._twice = 0
        found = self._json.raw_decode(text, at)
        if self._twice:
            self._notes[TWICE] += self._twice
        return found

    def object(self, line: bytes, flaw: str) -> dict[str, Any]:
        """The object on a line; it has the `flaw` if it is none."""
        try:
            text = line.decode().strip()
            row, end = self.value(text, 0)
        except RecursionError as error:
            raise RecordError(DEEP) from error
        except ValueError as error:
            raise RecordError(f"no JSON ({flaw})") from error
        if end < len(text) or not isinstance(row, dict):
            raise RecordError(f"no JSON ({flaw})")
        return row

    def count_keys(self, line: bytes) -> None:
        """Notes the keys that stand twice in an object of a line that is known to be one."""
        self.value(line.decode().strip(), 0)


class JsonValues:
    """The text of a JSON file, as much of it as the value at hand needs."""

    def __init__(self, utf8: BinaryIO, notes: Counter[str]) -> None:
        # Bytes that are no text pass as surrogates: then one record is refused, not the whole file.
        self._stream = io.TextIOWrapper(utf8, "utf-8", errors="surrogateescape", newline="")
        self._decoder, self._text, self._at = JsonDecoder(notes), "", 0

    def _more(self) -> bool:
        rest = len(self._text) - self._at
        piece = self._stream.read(max(CHUNK, min(rest, MAX_RECORD // 4)))  # more each time: no value is tried often
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is no space or comma, "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def skip(self, expected: str) -> None:
        """Goes past a bracket or colon."""
        if (found := self.peek()) != expected:
            raise RecordError(f"no JSON ({found!r} in place of {expected!r})" if found else "it ends too early")
        self._at += 1

    def value(self) -> Any:
        """The next value, None if it is larger than a record may be."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.value(self._text, self._at)
            except RecursionError as error:
                raise RecordError(DEEP) from error
            except ValueError as error:
                flaw = f"no JSON ({getattr(error, 'msg', error)})"
                if len(self._text) - self._at > MAX_RECORD:
                    raise TooLargeError(f"a value of more than {MAX_RECORD >> 20} MiB, or {flaw}") from error
                if not self._more():
                    raise RecordError(flaw) from error
            else:
                if end == len(self._text) and isinstance(value, int | float) and self._more():
                    continue  # the number may go on
                if end - self._at > MAX_RECORD:
                    raise TooLargeError(f"a value of more than {MAX_RECORD >> 20} MiB")
                self._at = end
                return value

    def elements(self) -> Iterator[Any]:
        """The elements of the array that begins here."""
        self.skip("[")
        while self.peek() not in ("]", ""):
            yield self.value()
        self.skip("]")

    def inner_elements(self) -> Iterator[Any]:
        """The elements of all arrays in the object that begins here and is too large to be held."""
        self.skip("{")
        while self.peek() not in ("}", ""):
            name = self.value()
            self.skip(":")
            try:
                begin = self.peek()
                yield from chain.from_iterable(arrays_of_objects({name: self.value()}))
            except TooLargeError:
                if begin not in ("[", "{"):
                    raise
                yield from self.elements() if begin == "[" else self.inner_elements()
        self.skip("}")


def arrays_of_objects(value: dict[str, Any]) -> Iterator[list[Any]]:
    """The arrays with objects in an object, and in the objects in it."""
    for inner in value.values():
        if isinstance(inner, dict):
            yield from arrays_of_objects(inner)
        elif isinstance(inner, list) and any(isinstance(entry, dict) for entry in inner):
            yield inner
