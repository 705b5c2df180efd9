"""A batch from inputs to whole outputs: reads, cuts, has the shards done, and puts them together."""

from __future__ import annotations

import errno
import fcntl
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, Protocol, TypeVar

import msgspec
from tqdm import tqdm

from pipeline.classifiers.model_folder import inspect_model_folder
from pipeline.core.errors import UserError
from pipeline.core.io import Say, to_json, write_jsonl
from pipeline.core.storage import absolute, begin_folder, is_remote, names_in, put, remove_folder
from pipeline.inference.batch.ids import RepeatedIds
from pipeline.inference.batch.many_files import Shards, write_many
from pipeline.inference.batch.processes import Processes
from pipeline.inference.batch.request import STDOUT, BatchRequest, check_batch, with_unit
from pipeline.inference.batch.shards import Done, Reading, ShardJob, WorkerError, read_section
from pipeline.inference.batch.summary import BatchCounts, format_summary, summarise
from pipeline.inference.batch.workers import find_allowance, plan_workers
from pipeline.inference.batch.writers import ARTICLE_KEYS, PARAGRAPH_KEYS, TableColumns, write_output
from pipeline.inference.readers.files import find_sources
from pipeline.inference.readers.sources import ReadMeter
from pipeline.inference.readers.splits import Share, plan_splits

_T = TypeVar("_T")
_R = TypeVar("_R")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BatchEngine(Protocol):
    """What has the work done."""

    def map(self, function: Callable[[_T], _R], values: Iterable[_T]) -> Iterator[_R]:
        """What the function makes of each value, in order."""

    def run(self, splits: Iterable[Share], reading: Reading, before: Set[str]) -> Iterator[Done]:
        """Each shard in order once it is committed; those of `before` are there already."""


def run_batch(request: BatchRequest, say: Say) -> BatchCounts:
    """Classifies everything, writes the outputs whole, and says what happened.

    Raises:
        UserError: if an input, option or model can't be used, another process writes the same output, or a disk is
            full. Shards that are done stay, and the same command goes on with them.
    """
    began = time.monotonic()
    checked = facts, model = inspect_model_folder(request.model)
    request.options.choice.check(facts.labels.names)
    request = with_unit(request, facts.labels.unit, say)
    check_batch(request)
    themes = request.options.choice.themes or facts.labels.names
    workers, threads, note = plan_workers(request.model, request.workers, find_allowance())
    try:
        with _shards_folder(request, say) as (folder, scratch):
            before = names_in(folder)
            job = ShardJob(request.model, checked, request.options, folder, scratch, threads, request.cache)
            with _engine(request, job, workers, say) as engine:
                names, counts, repeated_ids = _run(request, job, engine, before, say)
                if request.out != STDOUT:
                    _write_outputs(request, job, engine, names, themes, counts)
    except WorkerError as error:
        raise UserError(f"{error}; {request.remedy}, --workers 1 needs the least memory") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(f"{request.out}: {error.strerror}; {request.remedy}") from error
        raise
    resumed = len(before.intersection(names))
    if before and not resumed:
        say("an earlier run had other inputs, another model or other options: nothing of it was used")
    rates = {theme: facts.label_rates[theme] for theme in themes}
    summary = summarise(counts, repeated_ids, rates, facts.scarce, model)
    if request.summary:
        put(request.summary, to_json(summary))
    say(format_summary(summary, time.monotonic() - began, resumed, "" if request.engine == "ray" else note))
    return counts


@contextmanager
def _engine(request: BatchRequest, job: ShardJob, workers: int, say: Say) -> Iterator[BatchEngine]:
    if request.engine == "local":
        yield Processes(job, workers)
        return
    try:
        from pipeline.inference.batch.cluster import Cluster
    except ModuleNotFoundError as error:
        missing = f"--engine ray: {error.name} is not installed"
        raise UserError(f"{missing}; `pip install 'taqyryp[ray]'` brings it") from error
    cluster = Cluster(job, request.address, request.workers, say)
    try:
        yield cluster
    finally:
        cluster.close()


@contextmanager
def _shards_folder(request: BatchRequest, say: Say) -> Iterator[tuple[Path, Path]]:
    """The folder of the shards until the output is whole, and one for what waits for them: beside it, and locked.

    What goes to stdout or comes from stdin can't be written or read again, so its shards don't stay.
    """
    if request.out == STDOUT:
        with TemporaryDirectory(ignore_cleanup_errors=True) as name:
            yield Path(name), Path(name)
        return
    folder = request.out.with_name(f"{request.out.name}.parts")
    begin_folder(folder)
    if is_remote(folder):
        with TemporaryDirectory(ignore_cleanup_errors=True) as name:
            yield folder, Path(name)
        remove_folder(folder)
        return
    with _lock(folder, request.out, say):
        try:
            yield folder, folder
        except BaseException:
            if not request.resumes:
                shutil.rmtree(folder, ignore_errors=True)  # a worker may still be at one
            raise
        remove_folder(folder)


@contextmanager
def _lock(folder: Path, out: Path, say: Say) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{out}: another process is writing it; wait for it, or give another name") from None
        except OSError as error:  # some network folders know no locks
            say(f"{folder}: cannot be locked ({error.strerror}); see to it that no other process writes {out}")
        yield


def _run(
    request: BatchRequest, job: ShardJob, engine: BatchEngine, before: Set[str], say: Say
) -> tuple[list[str], BatchCounts, int]:
    """Does all shards: their names, all counts, and how many ids repeat."""
    meter, names, counts, failed = ReadMeter(), list[str](), BatchCounts(), list[dict[str, Any]]()
    asked = (request.format, request.fields, request.encoding)
    splits = plan_splits(find_sources(request.inputs, request.format, meter), *asked, engine.map)
    with (
        TemporaryFile(dir=job.scratch) as file,
        tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        ids = RepeatedIds(file)
        for shard, shard_counts in engine.run(splits, Reading(*asked, job.key), before):
            counts.add(shard_counts)
            ids.note(shard.ids)
            if request.out == STDOUT:
                failed += _print(job.folder / shard.name)
            names.append(shard.name)
            bar.total = meter.total or None
            bar.set_postfix_str(f"{counts.rows:,} rows", refresh=False)
            bar.update(shard.read)
        repeated = ids.count()
    if request.quarantine and request.out == STDOUT:
        write_jsonl(request.quarantine, failed)
    else:
        for row in failed:
            say(f"{row['source']}: {row['id']}: {row['reason']}")
    return names, counts, repeated


def _print(path: Path) -> list[dict[str, Any]]:
    """Writes a shard's rows to stdout; what it could not classify is given back."""
    sys.stdout.buffer.write(read_section(path, "rows") + read_section(path, "articles"))
    sys.stdout.buffer.flush()
    failed = msgspec.json.Decoder(dict[str, Any]).decode_lines(read_section(path, "quarantined"))
    path.unlink()
    return failed


def _write_outputs(
    request: BatchRequest,
    job: ShardJob,
    engine: BatchEngine,
    names: Sequence[str],
    themes: Sequence[str],
    counts: BatchCounts,
) -> None:
    """Puts the shards of these names together; a quarantine that holds nothing is not written."""
    options = request.options
    row_keys = [key for key in PARAGRAPH_KEYS if options.text or key != "text"] + ["why"] * options.explain
    tables = {"rows": row_keys, "articles": ARTICLE_KEYS}
    columns = {section: TableColumns(keys, themes, counts.columns) for section, keys in tables.items()}
    for section, path in request.outputs().items():
        if section == "quarantined" and not counts.quarantined:
            path.unlink(missing_ok=True)
        elif section in columns and not request.out.suffix:
            write_many(path, Shards(absolute(job.folder), section, columns[section]), names, engine.map)
        else:
            pieces = (read_section(job.folder / name, section) for name in names)
            write_output(path, pieces, columns.get(section), job.scratch)
