"""Committed parts -> whole outputs."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.io import atomic_write
from pipeline.inference.batch.rows import BatchOptions
from pipeline.inference.batch.shards import read_section
from pipeline.inference.batch.writers import ARTICLE_COLUMNS, PARAGRAPH_COLUMNS, WRITERS, TableColumns


def output_columns(options: BatchOptions, themes: Sequence[str], carried: Mapping[str, str]) -> dict[str, TableColumns]:
    """Those of the tables of paragraphs and of articles; `carried` are the kinds of the inputs' own."""
    shown = [name for name in PARAGRAPH_COLUMNS if options.text or name != "text"] + ["why"] * options.explain
    return {"rows": TableColumns(shown, themes, carried), "articles": TableColumns(ARTICLE_COLUMNS, themes, carried)}


def assemble_outputs(
    folder: Path, parts: Sequence[str], outputs: Mapping[str, Path], output_columns: Mapping[str, TableColumns]
) -> None:
    """Writes each output, whole, in the order given; a quarantine that holds nothing is not written."""
    for name, path in outputs.items():
        whole = folder / f".whole{path.suffix}"
        pieces = (read_section(folder / part, name) for part in parts)
        if name in output_columns and path.suffix in WRITERS:
            WRITERS[path.suffix](whole, _decoded(pieces), output_columns[name])
        else:
            with whole.open("wb") as file:
                file.writelines(pieces)
        if name == "quarantined" and not whole.stat().st_size:
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
    for piece in pieces:
        for line in piece.split(b"\n")[:-1]:
            yield msgspec.json.decode(line)
