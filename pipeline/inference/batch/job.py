"""A batch from inputs to whole outputs: reads, cuts, has the shards done, and puts them together."""

from __future__ import annotations

import errno
import fcntl
import shutil
import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from pipeline.core.schemas import Unit
from pipeline.inference.batch.rows import BatchOptions
from pipeline.inference.batch.shards import ShardJob, WorkerError, cut_shards, read_section, run_shards, shard_counts
from pipeline.inference.batch.summary import SPLIT_NOTE, BatchCounts, format_summary, summarise
from pipeline.inference.batch.workers import find_allowance, plan_workers
from pipeline.inference.batch.writers import ARTICLE_KEYS, OUTPUT_ENDINGS, PARAGRAPH_KEYS, TableColumns, write_output
from pipeline.inference.readers.files import STDIN, ReadMeter
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.kinds import FORMATS
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
    workers: int | None = None
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
        return {**named, "articles" if self.options.level == "article" else "rows": self.out}


def run_batch(request: BatchRequest, say: Say) -> BatchCounts:
    """Classifies everything, writes the outputs whole, and says what happened.

    Raises:
        UserError: if an input, option or model can't be used, another process writes the same output, or a disk is
            full. Shards that are done stay, and the same command goes on with them.
    """
    began = time.monotonic()
    checked = facts, model = inspect_model_folder(request.model)
    request.options.choice.check(facts.labels.names)
    request = _with_unit(request, facts.labels.unit, say)
    _check(request)
    themes = request.options.choice.themes or facts.labels.names
    workers, threads, note = plan_workers(request.model, request.workers, find_allowance())
    try:
        with _shards_folder(request, say) as folder:
            left_over = {path.name for path in folder.glob("[!.]*")}
            names, counts, repeated_ids = _run(request, folder, checked, (workers, threads), say)
            if request.out != STDOUT:
                _write_outputs(request, folder, names, themes, counts)
    except WorkerError as error:
        raise UserError(f"{error}; {request.remedy}, --workers 1 needs the least memory") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(f"{request.out}: {error.strerror}; {request.remedy}") from error
        raise
    resumed = len(left_over.intersection(names))
    if left_over and not resumed:
        say("an earlier run had other inputs, another model or other options: nothing of it was used")
    rates = {theme: facts.label_rates[theme] for theme in themes}
    summary = summarise(counts, repeated_ids, rates, facts.scarce, model)
    if request.summary:
        write_json(request.summary, summary)
    say(format_summary(summary, time.monotonic() - began, resumed, note))
    return counts


def _with_unit(request: BatchRequest, learnt: Unit, say: Say) -> BatchRequest:
    """The request with a unit, which is what the model learnt unless another is given."""
    if (request.options.unit, learnt) == ("article", "paragraph"):
        say(SPLIT_NOTE)
    return replace(request, options=msgspec.structs.replace(request.options, unit=request.options.unit or learnt))


def _check(request: BatchRequest) -> None:
    """Refuses options that contradict each other, and outputs that would be read as input or overwrite one."""
    if request.out == STDOUT:
        if request.options.level == "both":
            raise UserError("-o -: --level both writes two files; give OUT a name")
    elif request.out.suffix not in OUTPUT_ENDINGS:
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
    inputs = {_identity(path): path for path in request.inputs if path != STDIN}
    for out in [*request.outputs().values(), *([request.summary] if request.summary else [])]:
        for path in (out.resolve(), *out.resolve().parents):
            if (identity := _identity(path)) in inputs:
                raise UserError(f"{out}: lies in the input {inputs[identity]}; write it elsewhere")


def _identity(path: Path) -> object:
    """Equal for all names of one file, and it has several where case does not count, as on a Mac."""
    try:
        return (status := path.stat()).st_dev, status.st_ino
    except OSError:  # not there: equal to nothing
        return object()


@contextmanager
def _shards_folder(request: BatchRequest, say: Say) -> Iterator[Path]:
    """The folder of the shards until the output is whole: beside it, and locked.

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
        except OSError as error:  # some network folders know no locks
            say(f"{folder}: cannot be locked ({error.strerror}); see to it that no other process writes {out}")
        try:
            yield folder
        except BaseException:
            if not request.resumes:
                shutil.rmtree(folder, ignore_errors=True)  # a worker may still be at one
            raise
        shutil.rmtree(folder)


def _run(
    request: BatchRequest, folder: Path, checked: tuple[ModelInfo, str], plan: tuple[int, int], say: Say
) -> tuple[list[str], BatchCounts, int]:
    """Does all shards by a `plan` of workers and threads: their names, all counts, and how many ids repeat."""
    workers, threads = plan
    job = ShardJob(request.model, checked, request.options, folder, threads, request.cache)
    meter, ids = ReadMeter(), array("Q")
    records = read_records(request.inputs, request.format, request.fields, request.encoding, meter)
    shards = cut_shards(_noting_ids(records, ids), job.key, meter)
    names, counts, failed = [], BatchCounts(), list[dict[str, Any]]()
    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for shard in run_shards(shards, job, workers):
            counts.add(shard_counts(folder / shard.name))
            if request.out == STDOUT:
                failed += _print(folder / shard.name)
            names.append(shard.name)
            bar.total = meter.total or None
            bar.set_postfix_str(f"{counts.rows:,} rows", refresh=False)
            bar.update(shard.read - bar.n)
    if request.quarantine and request.out == STDOUT:
        write_jsonl(request.quarantine, failed)
    else:
        for row in failed:
            say(f"{row['source']}: {row['id']}: {row['reason']}")
    counts.add(BatchCounts(notes=meter.notes))
    _, times = np.unique(np.asarray(ids), return_counts=True)
    return names, counts, int((times > 1).sum())


def _noting_ids(records: Iterable[InputRecord], ids: array[int]) -> Iterator[InputRecord]:
    """Notes eight bytes of every id's digest, to count those that repeat: a set of ten million ids would take a GB."""
    for record in records:
        ids.append(int.from_bytes(blake2b(record.id.encode(), digest_size=8).digest(), "big"))
        yield record


def _print(path: Path) -> list[dict[str, Any]]:
    """Writes a shard's rows to stdout; what it could not classify is given back."""
    sys.stdout.buffer.write(read_section(path, "rows") + read_section(path, "articles"))
    sys.stdout.buffer.flush()
    failed = msgspec.json.Decoder(dict[str, Any]).decode_lines(read_section(path, "quarantined"))
    path.unlink()
    return failed


def _write_outputs(
    request: BatchRequest, folder: Path, names: Sequence[str], themes: Sequence[str], counts: BatchCounts
) -> None:
    """Puts the shards of these names together; a quarantine that holds nothing is not written."""
    options = request.options
    row_keys = [key for key in PARAGRAPH_KEYS if options.text or key != "text"] + ["why"] * options.explain
    tables = {"rows": row_keys, "articles": ARTICLE_KEYS}
    columns = {section: TableColumns(keys, themes, counts.columns) for section, keys in tables.items()}
    for section, path in request.outputs().items():
        if section == "quarantined" and not counts.quarantined:
            path.unlink(missing_ok=True)
        else:
            pieces = (read_section(folder / name, section) for name in names)
            write_output(path, pieces, columns.get(section), folder)
