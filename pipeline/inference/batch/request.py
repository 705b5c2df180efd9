"""What the command line asks of a batch, and what of it contradicts itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.io import Say
from pipeline.core.schemas import Unit
from pipeline.core.storage import is_remote
from pipeline.inference.batch.rows import BatchOptions
from pipeline.inference.batch.summary import SPLIT_NOTE
from pipeline.inference.batch.writers import OUTPUT_ENDINGS
from pipeline.inference.readers.kinds import FORMATS
from pipeline.inference.readers.schema import Fields
from pipeline.inference.readers.sources import STDIN

STDOUT = Path("-")


@dataclass(frozen=True)
class BatchRequest:
    """What the command line asks for: see `taqyryp classify --help`."""

    inputs: Sequence[Path]
    out: Path
    model: Path
    options: BatchOptions = field(default_factory=BatchOptions)
    fields: Fields = field(default_factory=Fields)
    format: str | None = None
    encoding: str | None = None
    workers: int | None = None
    quarantine: Path | None = None
    summary: Path | None = None
    cache: Path | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None

    @property
    def resumes(self) -> bool:
        """Whether a stopped run can go on: stdin can't be read again, nor stdout be taken back."""
        return self.out != STDOUT and STDIN not in self.inputs

    @property
    def remedy(self) -> str:
        """What the same command does after a run that was stopped."""
        return f"the same command {'goes on where it was' if self.resumes else 'starts anew, because of -'}"

    def outputs(self) -> dict[str, Path]:
        """Files that will be written, by what they hold, the main one last."""
        if self.out == STDOUT:
            return {"quarantined": self.quarantine} if self.quarantine else {}
        named = {"quarantined": self.quarantine or self.out.with_name(f"{self.out.stem}.quarantine.jsonl")}
        if self.options.level == "both":
            named["articles"] = self.out.with_name(f"{self.out.stem}.articles{self.out.suffix}")
        return {**named, "articles" if self.options.level == "article" else "rows": self.out}


def with_unit(request: BatchRequest, learnt: Unit, say: Say) -> BatchRequest:
    """The request with a unit, which is what the model learnt unless another is given."""
    if (request.options.unit, learnt) == ("article", "paragraph"):
        say(SPLIT_NOTE)
    return replace(request, options=msgspec.structs.replace(request.options, unit=request.options.unit or learnt))


def check_batch(request: BatchRequest) -> None:
    """Refuses options that contradict each other, and outputs that would be read as input or overwrite one."""
    if request.out == STDOUT:
        if request.options.level == "both":
            raise UserError("-o -: --level both writes two files; give OUT a name")
    elif request.out.suffix not in ("", *OUTPUT_ENDINGS):
        raise UserError(f"{request.out}: ends in none of {', '.join(OUTPUT_ENDINGS)}; the ending says what is written")
    if request.fields.title and request.options.unit == "paragraph":
        raise UserError("--title-field: a paragraph has no title; leave it out, or take --unit article")
    if request.options.level != "paragraph" and request.options.unit == "paragraph":
        raise UserError("--level: a record that is one paragraph has no article; take --unit article")
    if request.options.explain and request.options.level == "article":
        raise UserError("--explain: reasons are of paragraphs; take --level paragraph or both")
    if request.format not in (None, *FORMATS):
        raise UserError(f"--format {request.format}: is none of {', '.join(FORMATS)}")
    if request.fields.delimiter is not None and len(request.fields.delimiter) != 1:
        raise UserError(f"--delimiter {request.fields.delimiter}: is no single character; write ';', '|' or tab")
    if request.encoding:
        try:
            "".encode(request.encoding)
        except LookupError:
            raise UserError(f"--encoding {request.encoding}: no such encoding; utf-8 and cp1251 are two") from None
    if request.engine == "ray":
        _check_engine(request)
    elif request.address:
        raise UserError(f"--address {request.address}: belongs to --engine ray; give that, too, or leave it out")
    inputs = {_identity(path): path for path in request.inputs if path != STDIN}
    for out in [*request.outputs().values(), *([request.summary] if request.summary else [])]:
        place = out if is_remote(out) else out.resolve()
        for path in (place, *place.parents):
            if (identity := _identity(path)) in inputs:
                raise UserError(f"{out}: lies in the input {inputs[identity]}; write it elsewhere")


def _check_engine(request: BatchRequest) -> None:
    if request.out == STDOUT or STDIN in request.inputs:
        raise UserError("--engine ray: - is a pipe of this machine alone; name files")
    if request.cache:
        raise UserError("--engine ray: --cache is a file of one machine; leave it out")


def _identity(path: Path) -> object:
    """Equal for all names of one file, and it has several where case does not count, as on a Mac."""
    if is_remote(path):
        return str(path).rstrip("/")
    try:
        return (status := path.stat()).st_dev, status.st_ino
    except OSError:  # not there: equal to nothing
        return object()
