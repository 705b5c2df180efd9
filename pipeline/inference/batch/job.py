"""A batch from inputs to whole outputs: reads, cuts, has the parts done, and puts them together."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from tqdm import tqdm

from pipeline.classifiers.model_folder import inspect_model_folder
from pipeline.core.errors import UserError
from pipeline.core.io import write_json, write_jsonl
from pipeline.inference.batch.assembly import assemble_outputs, output_columns
from pipeline.inference.batch.rows import ARTICLE, PARAGRAPH, BatchOptions
from pipeline.inference.batch.shards import (
    Shard,
    ShardJob,
    WorkerError,
    cut_shards,
    read_section,
    run_shards,
    shard_counts,
    shard_key,
)
from pipeline.inference.batch.summary import BatchCounts, format_summary, summarise
from pipeline.inference.batch.writers import check_output_ending
from pipeline.inference.readers.files import STDIN, ReadMeter
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.schema import FORMATS, Fields, InputRecord

STDOUT = Path("-")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Say = Callable[[str], None]


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
    workers: int = 0
    quarantine: Path | None = None
    summary: Path | None = None
    cache: Path | None = None

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
        return {**named, "articles" if self.options.level == ARTICLE else "rows": self.out}


def run_batch(request: BatchRequest, say: Say) -> BatchCounts:
    """Classifies everything, writes the outputs whole, and says what happened.

    Raises:
        UserError: if an input, option or model can't be used, another process writes the same output, or a disk is
            full. Parts that are done stay, and the same command goes on with them.
    """
    began = time.monotonic()
    facts, name = inspect_model_folder(request.model)
    names = request.options.choice.themes or facts.labels.names
    request.options.choice.check(facts.labels.names)
    _check(request)
    meter, ids, tally = ReadMeter(), array("Q"), BatchCounts()
    stream = _noted(read_records(request.inputs, request.format, request.fields, request.encoding, meter), ids)
    try:
        with _parts_folder(request) as folder:
            before = _count(folder)
            parts = cut_shards(stream, shard_key(name, request.options), meter)
            committed, resumed = _run(parts, _job(request, folder), request, meter, tally, say)
            if request.out != STDOUT:
                assemble_outputs(
                    folder, committed, request.outputs(), output_columns(request.options, names, tally.columns)
                )
    except WorkerError as error:
        raise UserError(f"{error}; {request.remedy}, --workers 1 needs the least memory") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(f"{request.out}: {error.strerror}; {request.remedy}") from error
        raise
    if before and not resumed:
        say("an earlier run had other inputs, another model or other options: nothing of it was used")
    rates = {theme: facts.label_rates[theme] for theme in names}
    found = summarise(tally, len(ids) - len(np.unique(np.asarray(ids))), rates, name)
    if request.summary:
        write_json(request.summary, found)
    say(format_summary(found, time.monotonic() - began, resumed))
    return tally


def _check(request: BatchRequest) -> None:
    """Refuses outputs that can't be, or that would be read or overwrite an input."""
    if request.out == STDOUT:
        if request.options.level == "both":
            raise UserError("-o -: --level both writes two files; give OUT a name")
    else:
        check_output_ending(request.out)
    if request.fields.title and request.options.unit == PARAGRAPH:
        raise UserError("--title-field: a paragraph has no title; leave it out, or take --unit article")
    if request.options.level != PARAGRAPH and request.options.unit == PARAGRAPH:
        raise UserError("--level: a record that is one paragraph has no article; take --unit article")
    if request.options.explain and request.options.level == ARTICLE:
        raise UserError("--explain: reasons are of paragraphs; take --level paragraph or both")
    if request.format not in (None, *FORMATS):
        raise UserError(f"--format {request.format}: is none of {', '.join(FORMATS)}")
    if request.encoding:
        try:
            "".encode(request.encoding)
        except LookupError:
            raise UserError(f"--encoding {request.encoding}: no such encoding; utf-8 and cp1251 are two") from None
    outputs = [*request.outputs().values(), *([request.summary] if request.summary else [])]
    for out in outputs:
        for path in request.inputs:
            if path != STDIN and (out.resolve() == path.resolve() or path.resolve() in out.resolve().parents):
                raise UserError(f"{out}: lies in the input {path}; write it elsewhere")


def _noted(stream: Iterable[InputRecord], ids: array[int]) -> Iterator[InputRecord]:
    """Notes every id, as eight bytes, to count those that repeat."""
    for entry in stream:
        ids.append(int.from_bytes(blake2b(entry.id.encode(), digest_size=8).digest(), "big"))
        yield entry


@contextmanager
def _parts_folder(request: BatchRequest) -> Iterator[Path]:
    """Where the parts go until the output is whole: beside it, and ours alone.

    What goes to stdout or comes from stdin can't be written or read again, so its parts don't stay.
    """
    if request.out == STDOUT:
        with TemporaryDirectory(ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    out = request.out
    folder = out.with_name(f"{out.name}.parts")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out.parent}: cannot be written to ({error.strerror}); write elsewhere") from error
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{out}: another process is writing it; wait for it, or give another name") from None
        try:
            yield folder
        except BaseException:
            if not request.resumes:
                shutil.rmtree(folder, ignore_errors=True)  # a worker may still be at one
            raise
        shutil.rmtree(folder)


def _count(folder: Path) -> int:
    return sum(not path.name.startswith(".") for path in folder.iterdir())


def _job(request: BatchRequest, folder: Path) -> ShardJob:
    return ShardJob(
        model=str(request.model),
        options=request.options,
        threads=max(1, _cores() // _workers(request)),
        folder=str(folder),
        cache=str(request.cache or ""),
    )


def _workers(request: BatchRequest) -> int:
    """One a core; an encoder computes in threads, so there one for each four cores.

    On two cores one process does 36 paragraphs a second, two do 38 and take twice the memory.
    """
    alone = 4 if (request.model / "encoder").is_dir() else 1
    return request.workers or max(1, _cores() // alone)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _run(
    parts: Iterable[Shard], job: ShardJob, request: BatchRequest, meter: ReadMeter, tally: BatchCounts, say: Say
) -> tuple[list[str], int]:
    """Does all parts; the names of those committed, and how many an earlier run had committed."""
    committed, resumed, failed = [], 0, list[dict[str, Any]]()
    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for part, before in run_shards(parts, job, _workers(request)):
            tally.add(shard_counts(job.path(part.name)))
            if request.out == STDOUT:
                failed += _print(job.path(part.name))
            committed.append(part.name)
            resumed += before
            bar.total = meter.total or None
            bar.set_postfix_str(f"{tally.rows:,} rows", refresh=False)
            bar.update(part.read - bar.n)
    if request.quarantine and request.out == STDOUT:
        write_jsonl(request.quarantine, failed)
    else:
        for row in failed:
            say(f"{row['source']}: {row['id']}: {row['reason']}")
    return committed, resumed


def _print(path: Path) -> list[dict[str, Any]]:
    """A part's rows to stdout; what it could not classify is given back."""
    sys.stdout.buffer.write(read_section(path, "rows") + read_section(path, "articles"))
    sys.stdout.buffer.flush()
    failed = [msgspec.json.decode(line) for line in read_section(path, "quarantined").splitlines()]
    path.unlink()
    return failed
