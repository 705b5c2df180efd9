"""Inputs and outputs in an object store: a real server that speaks S3, on loopback."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.cluster.conftest import classify, command

Written = Callable[[int], Path]


@pytest.fixture
def bucket(store: dict[str, str]) -> Iterator[Any]:
    """The bucket `news`, emptied behind each test."""
    bucket = boto3.resource("s3").Bucket("news")
    yield bucket
    bucket.objects.all().delete()


def contents(bucket: Any, prefix: str = "") -> dict[str, bytes]:
    return {each.key.removeprefix(prefix): each.get()["Body"].read() for each in bucket.objects.filter(Prefix=prefix)}


def on_one_machine(news: Path, model: Path, folder: Path, ending: str = "jsonl") -> dict[str, bytes]:
    folder.mkdir()
    classify(news, "--model", model, "-o", folder / f"out.{ending}", "--summary", folder / "out.json")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_store_takes_and_gives_the_same_bytes(
    ending: str, bucket: Any, written: Written, folder: Path, tmp_path: Path
) -> None:
    news = written(3_000)
    bucket.upload_file(str(news), f"in/{news.name}")
    expected = on_one_machine(news, folder, tmp_path / "local", ending)
    outputs = ("-o", f"s3://news/out/out.{ending}", "--summary", "s3://news/out/out.json")
    classify(f"s3://news/in/{news.name}", "--model", folder, *outputs)
    assert contents(bucket, "out/") == expected


def test_a_cluster_works_from_store_to_store(
    cluster: Any, bucket: Any, written: Written, folder: Path, tmp_path: Path
) -> None:
    news = written(10_000)
    bucket.upload_file(str(news), f"in/{news.name}")
    expected = on_one_machine(news, folder, tmp_path / "local")
    engine = ("--engine", "ray", "--address", cluster.address)
    outputs = ("-o", "s3://news/out/out.jsonl", "--summary", "s3://news/out/out.json")
    classify("s3://news/in", "--model", folder, *outputs, *engine)
    assert contents(bucket, "out/") == expected


def test_folders_patterns_and_archives_are_read_as_on_a_disk(
    bucket: Any, texts: list[str], folder: Path, tmp_path: Path
) -> None:
    local = tmp_path / "in"
    (local / "deeper").mkdir(parents=True)
    rows = [json.dumps({"id": f"p{at}", "text": text}, ensure_ascii=False) for at, text in enumerate(texts[:40])]
    (local / "a.jsonl").write_text("\n".join(rows[:10]))
    (local / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(rows[10:20]).encode()))
    (local / "deeper/c.txt").write_text(texts[20])
    (local / ".hidden.jsonl").write_text(rows[0])
    with zipfile.ZipFile(local / "d.zip", "w") as archive:
        archive.writestr("e.jsonl", "\n".join(rows[20:30]))
    for path in local.rglob("*"):
        if path.is_file():
            bucket.upload_file(str(path), f"in/{path.relative_to(local)}")
    for given in ("", "/*.jsonl", "/d.zip"):
        classify(f"{local}{given}", "--model", folder, "-o", tmp_path / "local.jsonl", code=0)
        classify(f"s3://news/in{given}", "--model", folder, "-o", tmp_path / "store.jsonl", code=0)
        assert (tmp_path / "store.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()


def test_a_killed_run_leaves_no_half_output_and_goes_on(
    bucket: Any, written: Written, folder: Path, tmp_path: Path
) -> None:
    news = written(10_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    arguments = (news, "--model", folder, "-o", "s3://news/out/out.jsonl", "--summary", "s3://news/out/out.json")
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(contents(bucket, "out/out.jsonl.parts/0")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert all(".parts/" in name for name in contents(bucket))
    assert "parts done before: " in classify(*arguments)
    assert contents(bucket, "out/") == expected


@pytest.mark.parametrize(
    ("given", "out", "message"),
    [
        ("s3://news/nowhere", "out.jsonl", "s3://news/nowhere: nothing there; check the address"),
        ("s3://absent/a.jsonl", "out.jsonl", "s3://absent/a.jsonl: "),
        ("NEWS", "s3://absent/out.jsonl", "s3://absent/out.jsonl.parts: "),
        ("what://a/b.jsonl", "out.jsonl", "what://a/b.jsonl: "),
        ("s3://news/in", "s3://news/in/out.jsonl", "s3://news/in/out.quarantine.jsonl: lies in the input s3://news/in"),
    ],
)
def test_what_a_store_refuses_is_one_line(
    given: str, out: str, message: str, bucket: Any, written: Written, folder: Path, tmp_path: Path
) -> None:
    news = written(100)
    bucket.upload_file(str(news), "in/news.jsonl")
    place = out if "://" in out else tmp_path / out
    said = classify(news if given == "NEWS" else given, "--model", folder, "-o", place, code=1)
    assert said.startswith(f"taqyryp: {message}")
    assert len(said.splitlines()) == 1


def test_missing_credentials_are_one_line(folder: Path, tmp_path: Path) -> None:
    unset = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env = unset | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    said = classify("s3://news/in", "--model", folder, "-o", tmp_path / "o.jsonl", code=1, env=env)
    assert said.startswith("taqyryp: s3://news/in: ")
    assert "credentials" in said
    assert len(said.splitlines()) == 1


def test_an_address_of_files_is_a_path(written: Written, folder: Path, tmp_path: Path) -> None:
    news = written(100)
    classify(f"file://{news}", "--model", folder, "-o", f"file://{tmp_path}/o.jsonl")
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 99
