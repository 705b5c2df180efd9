"""Excel workbooks -> rows of their sheets. openpyxl reads a row at a time, but holds all texts of a workbook."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.core.errors import RecordError
from pipeline.inference.readers.kinds import of_extra
from pipeline.inference.readers.schema import Fields, Row
from pipeline.inference.readers.sources import Source
from pipeline.inference.readers.tables import check_columns, named_cells, named_columns, plain, seekable

MAX_TEXTS = 2**29
"""Bytes of a workbook's texts, unpacked: with more it is to be split, or is a bomb."""


@dataclass
class _Sheet:
    """A sheet, its header, and its other rows with their places."""

    title: str
    header: list[str]
    rows: Iterator[tuple[int, tuple[Any, ...]]]


def workbook_rows(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[Row]:
    """The rows of all sheets below their headers; of several sheets one without the text's column is a flawed row."""
    with of_extra():
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException

    number = 0
    with seekable(stream) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl's, of styles and extensions that it leaves out
        _check_size(file)
        try:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            sheets = [sheet for sheet in map(_opened, book.worksheets) if sheet.header]
            read = [sheet for sheet in sheets if fields.text in sheet.header] or sheets
            for sheet in sheets:
                if sheet in read:
                    check_columns(sheet.header, source.name, fields)
                for row in _rows(sheet, several=len(sheets) > 1) if sheet in read else [_unread(sheet, fields)]:
                    number += 1
                    yield row._replace(number=number)
        # Of a damaged member; SyntaxError is what both XML parsers raise.
        except (InvalidFileException, SyntaxError, KeyError, ValueError, TypeError) as error:
            raise RecordError(f"after row {number}: no workbook that can be read, {error}") from error


def _check_size(file: BinaryIO) -> None:
    """Refuses more text than can be held, before anything is unpacked."""
    with zipfile.ZipFile(file) as archive:
        size = sum(info.file_size for info in archive.infolist() if info.filename == "xl/sharedStrings.xml")
    if size > MAX_TEXTS:
        raise RecordError(f"{size >> 20} MiB of texts, at most {MAX_TEXTS >> 20} are held; save it as CSV")


def _opened(sheet: Any) -> _Sheet:
    """A sheet with its first row that has a value as header."""
    sheet.reset_dimensions()  # some programs write wrong ones, and rows would be cut
    rows = (
        (place, cells) for place, cells in enumerate(sheet.iter_rows(values_only=True), 1) if any(map(_full, cells))
    )
    _, header = next(rows, (0, ()))
    return _Sheet(sheet.title, named_columns(["" if cell is None else str(cell) for cell in header]), rows)


def _full(cell: Any) -> bool:
    return cell is not None and cell != ""


def _rows(sheet: _Sheet, several: bool) -> Iterator[Row]:
    """The rows of a sheet, with its title where there are `several`; what stands beside the table has no name."""
    for place, cells in sheet.rows:
        names = [*sheet.header, *(f"column {n}" for n in range(len(sheet.header) + 1, len(cells) + 1))]
        padded = [*map(_unescaped, cells), *[None] * (len(names) - len(cells))]
        values = plain(named_cells(names, padded))
        where = f"sheet {sheet.title!r} row {place}" if several else f"row {place}"
        yield Row(0, where, {"sheet": sheet.title, **values} if several else values)


def _unescaped(cell: Any) -> Any:
    """Carriage returns are written _x000D_."""
    return cell.replace("_x000D_", "") if isinstance(cell, str) else cell


def _unread(sheet: _Sheet, fields: Fields) -> Row:
    flaw = f"no column {fields.text!r}; there are {', '.join(sheet.header)}"
    return Row(0, f"sheet {sheet.title!r}", RecordError(flaw))
