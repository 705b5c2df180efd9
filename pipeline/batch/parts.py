"""The work cut into parts that any process can do, each committed once, whole, under a name bound to what it is of.

A part's name holds the digest of its entries, the model and the options. So a run that was killed goes on with the
parts that are there, and another input, model or option finds none that fits.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import msgspec

from pipeline.batch.answers import Answer, Options, answer
from pipeline.batch.tally import Tally
from pipeline.classify import Classifier
from pipeline.errors import UserError
from pipeline.intake import Entry
from pipeline.intake.files import Meter
from pipeline.records import Record
from pipeline.storage import replacing

VERSION = 1
"""Changes whenever the same entries and options give other rows."""
SIZE = 2**18
"""Bytes of entries: some 300 paragraphs, ten seconds of the transformer's work."""


@dataclass(frozen=True)
class Part:
    """Entries as JSON lines; `name` tells them from all others, `read` is how far the inputs had been read."""

    name: str
    entries: bytes
    read: int


class Header(Record, frozen=True):
    """First line of a part's file: the bytes of rows, articles and quarantine that follow, and what they count."""

    rows: int
    articles: int
    quarantined: int
    tally: Tally


class Job(Record, frozen=True):
    """What a worker needs: the model's folder and the options; `folder` takes the parts ("" gives them back)."""

    model: str
    options: Options
    threads: int | None = None
    folder: str = ""
    cache: str = ""


def key(model: str, options: Options) -> bytes:
    """What a part is bound to beside its entries."""
    return msgspec.json.encode([VERSION, model, options])


def cut(entries: Iterable[Entry], key: bytes, meter: Meter) -> Iterator[Part]:
    """Parts of about `SIZE`, an entry always whole."""
    lines: list[bytes] = []
    size = number = 0
    for entry in entries:
        lines.append(msgspec.json.encode(entry))
        size += len(lines[-1])
        if size >= SIZE:
            yield _part(number, lines, key, meter)
            lines, size, number = [], 0, number + 1
    if lines:
        yield _part(number, lines, key, meter)


def _part(number: int, lines: list[bytes], key: bytes, meter: Meter) -> Part:
    data = b"\n".join(lines)
    digest = hashlib.blake2b(key + b"\n" + data, digest_size=12).hexdigest()
    return Part(f"{number:07d}-{digest}", data, meter.read)


class Worker:
    """Does parts of one job, in whatever process it was made."""

    def __init__(self, job: Job) -> None:
        self._job, self._classifier = job, Classifier.load(job.model, job.threads, job.cache or None)

    def __call__(self, part: Part) -> bytes:
        """The part's file, or its header alone where the file went to the folder."""
        entries = [msgspec.json.decode(line, type=Entry) for line in part.entries.split(b"\n")]
        header, *sections = _encoded(answer(entries, self._classifier, self._job.options))
        if not self._job.folder:
            return b"".join([header, *sections])
        with replacing(Path(self._job.folder) / part.name) as temporary, temporary.open("wb") as file:
            file.writelines([header, *sections])
        return header


def _encoded(found: Answer) -> list[bytes]:
    encoder = msgspec.json.Encoder()
    sections = [
        b"".join(encoder.encode(row) + b"\n" for row in rows)
        for rows in (found.rows, found.articles, found.quarantined)
    ]
    rows, articles, quarantined = map(len, sections)
    header = Header(rows=rows, articles=articles, quarantined=quarantined, tally=found.tally)
    return [encoder.encode(header) + b"\n", *sections]


def header_of(data: bytes) -> Header:
    """The header in the first line."""
    return msgspec.json.decode(data.split(b"\n", 1)[0], type=Header)


def sections(data: bytes) -> dict[str, bytes]:
    """What follows the header, by name, as JSON lines."""
    header, at = header_of(data), data.index(b"\n") + 1
    found = {}
    for name in ("rows", "articles", "quarantined"):
        size = getattr(header, name)
        found[name], at = data[at : at + size], at + size
    return found


def run(parts: Iterable[Part], job: Job, workers: int) -> Iterator[tuple[Part, bytes, bool]]:
    """Each part in order with what a worker gave back, and whether an earlier run had committed it.

    A job of a single part is done in this process: starting another takes longer.

    Raises:
        UserError: if a worker was killed.
    """
    stream = iter(parts)
    first = list(islice(stream, 2))
    stream = chain(first, stream)
    if workers == 1 or len(first) < 2:
        yield from _here(stream, job)
    else:
        yield from _elsewhere(stream, job, workers)


def _here(parts: Iterable[Part], job: Job) -> Iterator[tuple[Part, bytes, bool]]:
    worker: Worker | None = None
    for part in parts:
        before = committed(part, job)
        if before is None:
            worker = worker or Worker(job)
            yield part, worker(part), False
        else:
            yield part, before, True


def committed(part: Part, job: Job) -> bytes | None:
    """The header of a part that is done already."""
    path = Path(job.folder) / part.name
    if not job.folder or not path.exists():
        return None
    with path.open("rb") as file:
        return file.readline()


def _elsewhere(parts: Iterable[Part], job: Job, workers: int) -> Iterator[tuple[Part, bytes, bool]]:
    """At most two parts a worker are under way, so that memory stays bounded."""
    waiting: deque[tuple[Part, bytes | None, Future[bytes] | None]] = deque()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (job,))
    try:
        for part in parts:
            before = committed(part, job)
            waiting.append((part, before, None if before is not None else pool.submit(_work, part)))
            if len(waiting) > 2 * workers:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    except BrokenProcessPool as error:
        raise UserError(
            "a worker died, perhaps for lack of memory; the same command goes on where it was, "
            "--workers 1 needs the least"
        ) from error
    except KeyboardInterrupt:
        for child in active_children():  # or leaving waits until the parts under way are done
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _finished(part: Part, before: bytes | None, future: Future[bytes] | None) -> tuple[Part, bytes, bool]:
    return (part, before or b"", True) if future is None else (part, future.result(), False)


_WORKER: list[Worker] = []
"""The one of this process, if it is a pool's."""


def _start(job: Job) -> None:
    """Makes a process a worker: an interrupt is the parent's to handle, and without a parent there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _WORKER.append(Worker(job))


def _leave_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _work(part: Part) -> bytes:
    return _WORKER[0](part)
