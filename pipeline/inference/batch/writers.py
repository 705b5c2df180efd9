"""Committed shards -> whole outputs: JSONL, CSV or Parquet, by the ending of the file."""

from __future__ import annotations

import csv
import errno
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.io import atomic_write
from pipeline.inference.batch.columns import ARTICLE_COLUMNS, PARAGRAPH_COLUMNS, TableColumns, as_text
from pipeline.inference.batch.rows import BatchOptions
from pipeline.inference.batch.shards import read_section

ROWS_AT_ONCE = 4096
"""Rows of one row group of Parquet."""


def output_columns(options: BatchOptions, themes: Sequence[str], carried: Mapping[str, str]) -> dict[str, TableColumns]:
    """Those of the tables of paragraphs and of articles; `carried` are the kinds of the inputs' own."""
    ours = [name for name in PARAGRAPH_COLUMNS if options.text or name != "text"] + ["why"] * options.explain
    return {"rows": TableColumns(ours, themes, carried), "articles": TableColumns(ARTICLE_COLUMNS, themes, carried)}


def assemble_outputs(
    folder: Path, shards: Sequence[str], outputs: Mapping[str, Path], columns: Mapping[str, TableColumns]
) -> None:
    """Writes each output, whole, in the order given; a quarantine that holds nothing is not written."""
    for section, path in outputs.items():
        whole = folder / f".whole{path.suffix}"
        pieces = (read_section(folder / shard, section) for shard in shards)
        if section in columns and path.suffix in WRITERS:
            WRITERS[path.suffix](whole, _decoded(pieces), columns[section])
        else:
            with whole.open("wb") as file:
                file.writelines(pieces)
        if section == "quarantined" and not whole.stat().st_size:
            path.unlink(missing_ok=True)
        else:
            _move(whole, path)


def _move(whole: Path, path: Path) -> None:
    try:
        whole.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_write(path) as temporary:  # on another file system
            shutil.copyfile(whole, temporary)


def _decoded(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for piece in pieces:
        yield from decoder.decode_lines(piece)


def write_rows_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: TableColumns) -> None:
    """UTF-8 with a header; lists as `a;b`, numbers as in JSON, nothing for None."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.kinds)
        for row in rows:
            writer.writerow([_cell(value) for value in columns.flat(row).values()])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(value)
    return "" if value is None else as_text(value)


def write_rows_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: TableColumns) -> None:
    """Lists as lists of strings, scores as columns of doubles."""
    import pyarrow
    from pyarrow import parquet

    kinds = {
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "list": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(name, kinds.get(kind, pyarrow.string())) for name, kind in columns.kinds.items()])
    flat = map(columns.flat, rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(flat, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(some, schema=schema))


WRITERS: dict[str, Callable[[Path, Iterable[Mapping[str, Any]], TableColumns], None]] = {
    ".csv": write_rows_csv,
    ".parquet": write_rows_parquet,
}
OUTPUT_ENDINGS = (".jsonl", *WRITERS)


def check_output_ending(path: Path) -> None:
    """Refuses a name that doesn't say its format.

    Raises:
        UserError: if it doesn't.
    """
    if path.suffix not in OUTPUT_ENDINGS:
        raise UserError(f"{path}: ends in none of {', '.join(OUTPUT_ENDINGS)}; the ending says what is written")
