"""What a reader reads alone: the same records as in one go, wherever large files are cut."""

import codecs
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.inference.batch.ids import RepeatedIds
from pipeline.inference.batch.shards import Reading
from pipeline.inference.readers import splits
from pipeline.inference.readers.files import find_sources
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.schema import Fields, InputRecord
from pipeline.inference.readers.sources import ReadMeter, Source

TEXTS = ("Конкурс на службу прошёл открыто.", "Мектепте адалдық сабағы өтті.", "Электронды қызмет іске қосылды.")


def whole(paths: Sequence[Path], fields: Fields | None = None) -> list[InputRecord]:
    return list(read_records(find_sources(paths, None, ReadMeter()), None, fields or Fields(), None))


def in_splits(paths: Sequence[Path], fields: Fields | None = None) -> list[list[InputRecord]]:
    planned = splits.plan_splits(find_sources(paths, None, ReadMeter()), None, fields or Fields(), None)
    return [list(read_records(split, None, fields or Fields(), None)) for split in planned]


def joined(pieces: list[list[InputRecord]]) -> list[InputRecord]:
    return [record for piece in pieces for record in piece]


def lines(path: Path, *rows: Any, mark: bytes = b"") -> Path:
    path.write_bytes(mark + b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "SPLIT_BYTES", 500)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lines_know_their_numbers_in_every_part(mark: bytes, tmp_path: Path) -> None:
    news = lines(tmp_path / "news.jsonl", *({"text": TEXTS[at % 3]} for at in range(60)), mark=mark)
    parts = in_splits([news])
    assert len(parts) == 8
    assert [record.id for record in joined(parts)] == [f"news-{number}" for number in range(1, 61)]
    assert joined(parts) == whole([news])


LINE = st.one_of(
    st.sampled_from(TEXTS).map(lambda text: json.dumps({"text": text}, ensure_ascii=False).encode()),
    st.text(max_size=300).map(lambda text: json.dumps({"id": "a", "text": text}).encode()),
    st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"")),
    st.just(b""),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(LINE, min_size=20, max_size=60), ends=st.booleans())
def test_any_lines_are_the_same_records_in_parts(found: list[bytes], ends: bool, tmp_path: Path) -> None:
    first = json.dumps({"text": TEXTS[0]}, ensure_ascii=False).encode()
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"\n".join([first, *found]) + b"\n" * ends)
    assert joined(in_splits([path])) == whole([path])


def test_flaws_keep_their_places(tmp_path: Path) -> None:
    rows = [json.dumps({"text": TEXTS[at % 3]}, ensure_ascii=False) for at in range(40)]
    rows[31] = "{broken"
    path = tmp_path / "news.jsonl"
    path.write_text("\n".join(rows))
    (flawed,) = [record for record in joined(in_splits([path])) if record.reason]
    assert flawed.id == "news-32"
    assert flawed.reason.startswith("line 32: no JSON")


def test_html_is_told_by_the_first_records_of_the_file(tmp_path: Path) -> None:
    first = {"text": f"<p>{TEXTS[0]}</p><p>{TEXTS[1]}</p>"}
    news = lines(tmp_path / "news.jsonl", first, *({"text": f"{TEXTS[2]} &amp; {at}"} for at in range(40)))
    parts = in_splits([news])
    assert len(parts) > 4
    assert {record.markup for record in joined(parts)} == {"fragment"}
    assert joined(parts) == whole([news])


def test_tags_in_plain_texts_are_counted_in_every_part(tmp_path: Path) -> None:
    rows = [{"text": TEXTS[at % 3] + ("</p>" if at > 30 else "")} for at in range(60)]
    meter = ReadMeter()
    sources = find_sources([lines(tmp_path / "news.jsonl", *rows)], None, meter)
    for split in splits.plan_splits(sources, None, Fields(), None):
        list(read_records(split, None, Fields(), None))
    assert list(meter.notes.values()) == [29]


def test_parquet_is_cut_between_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "news.parquet"
    table = pyarrow.table({"text": [f"{TEXTS[at % 3]} {at}" for at in range(90)], "views": list(range(90))})
    parquet.write_table(table, path, row_group_size=20, compression="none")
    parts = in_splits([path])
    assert [len(part) for part in parts] == [20, 20, 20, 20, 10]
    assert [record.id for record in joined(parts)] == [f"news-{number}" for number in range(1, 91)]
    assert joined(parts) == whole([path])


RUSSIAN = "".join(json.dumps({"text": TEXTS[0]}, ensure_ascii=False) + "\n" for _ in range(60))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("news.json", json.dumps([{"text": text} for text in TEXTS * 20], ensure_ascii=False).encode()),
        ("news.jsonl", RUSSIAN.encode("cp1251")),
        ("news.csv", ("text\n" + "".join(f'"{text}\n"\n' for text in TEXTS * 20)).encode()),
        ("broken.parquet", b"PAR1" + b"\0" * 2000),
    ],
)
def test_what_cannot_be_cut_is_one_split(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    parts = in_splits([path])
    assert len(parts) == 1
    assert joined(parts) == whole([path])


def test_small_files_go_together_and_large_ones_apart(tmp_path: Path) -> None:
    for at in range(12):
        (tmp_path / f"{at:02}.txt").write_text(TEXTS[at % 3] * 2)
    planned = list(splits.plan_splits(find_sources([tmp_path], None, ReadMeter()), None, Fields(), None))
    assert [len(split) for split in planned] == [4, 4, 4]
    assert joined(in_splits([tmp_path])) == whole([tmp_path])


def test_shards_of_parts_have_their_place_in_their_names(tmp_path: Path) -> None:
    news = lines(tmp_path / "news.jsonl", *({"id": at % 50, "text": TEXTS[at % 3]} for at in range(60)))
    reading = Reading(None, Fields(), None, b"key")
    planned = splits.plan_splits(find_sources([news], None, ReadMeter()), None, Fields(), None)
    shards = [shard for number, split in enumerate(planned) for shard in reading.shards_of(number, split)]
    assert [shard.name[:15] for shard in shards] == [f"{number:07}-0000000" for number in range(len(shards))]
    assert len({shard.name for shard in shards}) == len(shards)
    with io.BytesIO() as file:
        ids = RepeatedIds(file)
        for shard in shards:
            ids.note(shard.ids)
        assert ids.count() == 10


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30)))
def test_ids_that_repeat_are_counted_in_any_number_of_passes(values: list[int]) -> None:
    expected = sum(values.count(value) > 1 for value in set(values))
    for at_once in (2**26, 3):
        with pytest.MonkeyPatch.context() as patch, io.BytesIO() as file:
            patch.setattr("pipeline.inference.batch.ids.AT_ONCE", at_once)
            ids = RepeatedIds(file)
            for value in values:
                ids.note((value * 2**59 % 2**64 + value).to_bytes(8, "little"))
            assert ids.count() == expected


def test_a_part_is_told_from_a_whole_source() -> None:
    source = Source("a", "a", "jsonl", Path("a"), ReadMeter())
    with pytest.raises(ValueError, match="no part"):
        splits.count_lines(source)
