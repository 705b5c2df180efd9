"""Committed parts -> whole outputs."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.batch.answers import Options
from pipeline.batch.outputs import ARTICLES, PARAGRAPHS, WRITERS, Columns
from pipeline.batch.parts import section
from pipeline.storage import replacing


def columns(options: Options, themes: Sequence[str], carried: Mapping[str, str]) -> dict[str, Columns]:
    """Those of the tables of paragraphs and of articles; `carried` are the kinds of the inputs' own."""
    shown = [name for name in PARAGRAPHS if options.text or name != "text"] + ["why"] * options.explain
    return {"rows": Columns(shown, themes, carried), "articles": Columns(ARTICLES, themes, carried)}


def assemble(folder: Path, parts: Sequence[str], outputs: Mapping[str, Path], columns: Mapping[str, Columns]) -> None:
    """Writes each output, whole, in the order given; a quarantine that holds nothing is not written."""
    for name, path in outputs.items():
        whole = folder / f".whole{path.suffix}"
        pieces = (section(folder / part, name) for part in parts)
        if name in columns and path.suffix in WRITERS:
            WRITERS[path.suffix](whole, _decoded(pieces), columns[name])
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
        with replacing(path) as temporary:  # on another file system
            shutil.copyfile(whole, temporary)


def _decoded(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        for line in piece.split(b"\n")[:-1]:
            yield msgspec.json.decode(line)
