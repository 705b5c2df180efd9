"""The work cut into shards that any process can do, each committed once, whole, under a name that says what it is.

A shard's name holds its place, and the digest of its records, the model and the options. So a run that was killed goes
on with the shards that are there, and another input, model or option finds none that fits. The engines that have
shards done are in `processes` and `cluster`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import msgspec

from pipeline.classifiers.model_folder import ModelInfo
from pipeline.core.schemas import Record
from pipeline.core.storage import put
from pipeline.inference.batch.rows import BatchOptions, BatchRows, classify_batch
from pipeline.inference.batch.summary import BatchCounts
from pipeline.inference.classifier import Classifier
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.schema import Fields, InputRecord
from pipeline.inference.readers.sources import ReadMeter, Source
from pipeline.inference.readers.splits import Share

SHARD_VERSION = 4
"""Changes whenever the same records and options give other rows, or a shard's file another content."""
SHARD_BYTES = 2**18
"""Bytes of records: some 300 paragraphs, ten seconds of the transformer's work."""
SHARD_SECTIONS = ("rows", "articles", "quarantined")
"""What a shard's file holds after its header, in this order."""
ID_BYTES = 8
"""Of an id's digest, to count ids that repeat."""
_RECORDS = msgspec.json.Decoder(InputRecord)
M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


@dataclass(frozen=True)
class Shard:
    """Some records as lines of JSON; no others have this `name`.

    `ids` are `ID_BYTES` of each id's digest, `read` the bytes of the inputs that were read for it, and `notes` what was
    seen there that is no record.
    """

    name: str
    records: bytes
    ids: bytes
    read: int
    notes: dict[str, int]


Done = tuple[Shard, BatchCounts]
"""A shard that is committed, without its records, and what it counts."""


class WorkerError(Exception):
    """Workers were killed, or can't do a shard."""


class ShardHeader(Record, frozen=True):
    """First line of a shard's file: how many bytes of each section follow, and what they count."""

    sizes: dict[str, int]
    counts: BatchCounts


class ShardJob(Record, frozen=True):
    """What a worker needs: the model's folder, the options, the folder that shards go to, one for what waits for them.

    `checked` is what `inspect_model_folder` returned: the parent process checks the model's files once for all workers.
    """

    model: Path
    checked: tuple[ModelInfo, str]
    options: BatchOptions
    folder: Path
    scratch: Path
    threads: int | None = None
    cache: Path | None = None

    @property
    def key(self) -> bytes:
        """What a shard depends on beside its records."""
        return msgspec.json.encode([SHARD_VERSION, self.checked[1], self.options])


@dataclass(frozen=True)
class Reading:
    """How inputs become shards: as the user said they are to be read, and the job's `key`."""

    format: str | None
    fields: Fields
    encoding: str | None
    key: bytes

    def shards_of(self, number: int, split: Share) -> Iterator[Shard]:
        """The shards of the split of that number."""
        meter = next((source.meter for source in split if isinstance(source, Source)), ReadMeter())
        records = read_records(split, self.format, self.fields, self.encoding)
        for place, shard in enumerate(cut_shards(records, self.key, meter)):
            yield replace(shard, name=f"{number:07d}-{place:07d}-{shard.name}")


def cut_shards(records: Iterable[InputRecord], key: bytes, meter: ReadMeter) -> Iterator[Shard]:
    """Shards of about `SHARD_BYTES`, a record always whole, named by the digest alone."""
    stream, encoder, read = iter(records), msgspec.json.Encoder(), meter.read
    record = next(stream, None)
    while record is not None or meter.notes:  # a part may hold nothing but what is no record
        lines, ids, size = list[bytes](), list[bytes](), 0
        while record is not None and size < SHARD_BYTES:
            lines.append(encoder.encode(record))
            ids.append(hashlib.blake2b(record.id.encode(), digest_size=ID_BYTES).digest())
            size += len(lines[-1])
            record = next(stream, None)  # one ahead, so that the last shard has what was seen behind its records
        payload = b"\n".join(lines)
        digest = hashlib.blake2b(key + b"\n" + payload, digest_size=12).hexdigest()
        yield Shard(digest, payload, b"".join(ids), meter.read - read, dict(meter.notes))
        read = meter.read
        meter.notes.clear()


class Worker:
    """Does shards of one job; the model is loaded once."""

    def __init__(self, job: ShardJob) -> None:
        # Two heaps for all threads: glibc gives each its own, and OpenVINO's then hold 40 MB more (docs/LOG.md).
        with suppress(OSError, AttributeError):  # elsewhere than in glibc
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
        self._job = job
        self._classifier = Classifier(job.model, job.checked, job.threads, job.cache)

    def __call__(self, name: str, records: bytes) -> bytes:
        """Commits the shard of that name; returns what it counts, as JSON."""
        found, messages = _RECORDS.decode_lines(records), StringIO()
        try:
            with redirect_stderr(messages):  # which is no terminal: no bar is drawn under the batch's own
                batch = classify_batch(found, self._classifier, self._job.options)
        except Exception as error:
            error.add_note(f"in {found[0].source}, records {found[0].id} to {found[-1].id}")
            raise
        finally:
            sys.stderr.write(messages.getvalue())
        put(self._job.folder / name, b"".join(_encoded(batch)))
        return msgspec.json.encode(batch.counts)


def _encoded(batch: BatchRows) -> list[bytes]:
    encoder = msgspec.json.Encoder()
    lines = {name: encoder.encode_lines(getattr(batch, name)) for name in SHARD_SECTIONS}
    header = ShardHeader(sizes={name: len(data) for name, data in lines.items()}, counts=batch.counts)
    return [encoder.encode_lines([header]), *lines.values()]


def done(shard: Shard, counts: bytes) -> Done:
    """A shard with what its worker counted, as JSON."""
    return _done(shard, msgspec.json.decode(counts, type=BatchCounts))


def done_before(shard: Shard, job: ShardJob) -> Done:
    """A shard that an earlier run has committed."""
    return _done(shard, shard_counts(job.folder / shard.name))


def _done(shard: Shard, counts: BatchCounts) -> Done:
    counts.add(BatchCounts(notes=shard.notes))
    return replace(shard, records=b""), counts


def shard_counts(path: Path) -> BatchCounts:
    """What a committed shard counts."""
    with path.open("rb") as file:
        return msgspec.json.decode(file.readline(), type=ShardHeader).counts


def read_section(path: Path, name: str) -> bytes:
    """JSON lines of a committed shard: its `rows`, `articles` or `quarantined`."""
    with path.open("rb") as file:
        sizes = msgspec.json.decode(file.readline(), type=ShardHeader).sizes
        file.seek(sum(sizes[before] for before in SHARD_SECTIONS[: SHARD_SECTIONS.index(name)]), os.SEEK_CUR)
        return file.read(sizes[name])
