"""A batch from inputs to whole outputs: reads, cuts, has the shards done, and puts them together."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from tqdm import tqdm

from pipeline.classifiers.model_folder import ModelInfo, inspect_model_folder
from pipeline.core.errors import UserError
from pipeline.core.io import Say, write_json, write_jsonl
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
from pipeline.inference.batch.writers import assemble_outputs, check_output_ending, output_columns
from pipeline.inference.readers.files import FORMATS, STDIN, ReadMeter
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.schema import Fields, InputRecord

STDOUT = Path("-")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
            full. Shards that are done stay, and the same command goes on with them.
    """
    began = time.monotonic()
    checked = facts, model = inspect_model_folder(request.model)
    options = request.options
    options.choice.check(facts.labels.names)
    _check(request)
    themes = options.choice.themes or facts.labels.names
    meter, ids, counts = ReadMeter(), array("Q"), BatchCounts()
    records = read_records(request.inputs, request.format, request.fields, request.encoding, meter)
    try:
        with _shards_folder(request) as folder:
            left_over = any(not path.name.startswith(".") for path in folder.iterdir())
            shards = cut_shards(_noting_ids(records, ids), shard_key(model, options), meter)
            committed, resumed = _run(shards, _job(request, folder, checked), request, meter, counts, say)
            if request.out != STDOUT:
                columns = output_columns(options, themes, counts.columns)
                assemble_outputs(folder, committed, request.outputs(), columns)
    except WorkerError as error:
        raise UserError(f"{error}; {request.remedy}, --workers 1 needs the least memory") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(f"{request.out}: {error.strerror}; {request.remedy}") from error
        raise
    if left_over and not resumed:
        say("an earlier run had other inputs, another model or other options: nothing of it was used")
    repeated = len(ids) - len(np.unique(np.asarray(ids)))
    summary = summarise(counts, repeated, {theme: facts.label_rates[theme] for theme in themes}, model)
    if request.summary:
        write_json(request.summary, summary)
    say(format_summary(summary, time.monotonic() - began, resumed))
    return counts


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


def _noting_ids(records: Iterable[InputRecord], ids: array[int]) -> Iterator[InputRecord]:
    """Notes a digest of every id, to count those that repeat: eight bytes each, where ten million ids take a GB."""
    for record in records:
        ids.append(int.from_bytes(blake2b(record.id.encode(), digest_size=8).digest(), "big"))
        yield record


@contextmanager
def _shards_folder(request: BatchRequest) -> Iterator[Path]:
    """Where the shards go until the output is whole: beside it, and ours alone.

    What goes to stdout or comes from stdin can't be written or read again, so its shards don't stay.
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


def _job(request: BatchRequest, folder: Path, checked: tuple[ModelInfo, str]) -> ShardJob:
    return ShardJob(
        model=str(request.model),
        checked=checked,
        options=request.options,
        threads=max(1, _cores() // _workers(request)),
        folder=str(folder),
        cache=str(request.cache or ""),
    )


def _workers(request: BatchRequest) -> int:
    """One a core; an encoder computes in threads, so there one for each four cores.

    On two cores one process does 36 paragraphs a second, two do 38 and take twice the memory.
    """
    cores_each = 4 if (request.model / "encoder").is_dir() else 1
    return request.workers or max(1, _cores() // cores_each)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _run(
    shards: Iterable[Shard], job: ShardJob, request: BatchRequest, meter: ReadMeter, counts: BatchCounts, say: Say
) -> tuple[list[str], int]:
    """Does all shards; the names of those committed, and how many an earlier run had committed."""
    committed, resumed, failed = [], 0, list[dict[str, Any]]()
    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for shard, done_before in run_shards(shards, job, _workers(request)):
            counts.add(shard_counts(job.path(shard.name)))
            if request.out == STDOUT:
                failed += _print(job.path(shard.name))
            committed.append(shard.name)
            resumed += done_before
            bar.total = meter.total or None
            bar.set_postfix_str(f"{counts.rows:,} rows", refresh=False)
            bar.update(shard.read - bar.n)
    if request.quarantine and request.out == STDOUT:
        write_jsonl(request.quarantine, failed)
    else:
        for row in failed:
            say(f"{row['source']}: {row['id']}: {row['reason']}")
    return committed, resumed


def _print(path: Path) -> list[dict[str, Any]]:
    """Writes a shard's rows to stdout; what it could not classify is given back."""
    sys.stdout.buffer.write(read_section(path, "rows") + read_section(path, "articles"))
    sys.stdout.buffer.flush()
    failed = msgspec.json.Decoder(dict[str, Any]).decode_lines(read_section(path, "quarantined"))
    path.unlink()
    return failed
