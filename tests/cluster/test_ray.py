"""A batch on a Ray cluster of two nodes: the bytes of one machine, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from tests.cluster.conftest import classify, command

Written = Callable[[int], Path]


def outputs(folder: Path, name: str = "out.jsonl") -> dict[str, bytes]:
    """What stands in the folder of an output, by name."""
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name.startswith(name.split(".")[0])
    }


def on_one_machine(news: Path, model: Path, folder: Path, *options: object) -> dict[str, bytes]:
    folder.mkdir()
    classify(news, "--model", model, "-o", folder / "out.jsonl", "--summary", folder / "out.json", *options)
    return outputs(folder)


def on_ray(cluster: Any, news: Path, model: Path, folder: Path, *options: object) -> list[object]:
    """The command line of the same on the cluster."""
    folder.mkdir(exist_ok=True)
    places = ("--model", model, "-o", folder / "out.jsonl", "--summary", folder / "out.json")
    return [news, *places, "--engine", "ray", "--address", cluster.address, *options]


def begun(cluster: Any, news: Path, model: Path, folder: Path, shards: int) -> subprocess.Popen[str]:
    """The same command, once so many shards are done."""
    arguments = command(*on_ray(cluster, news, model, folder))
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list((folder / "out.jsonl.parts").glob("0*"))) < shards:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def ended(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    return said


def actors(name: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if f"ray::{name}" in " ".join(each.info["cmdline"] or [])]


def test_tfidf_gives_the_bytes_of_one_machine(cluster: Any, written: Written, folder: Path, tmp_path: Path) -> None:
    news = written(40_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    assert sorted(expected) == ["out.json", "out.jsonl", "out.quarantine.jsonl"]
    said = classify(*on_ray(cluster, news, folder, tmp_path / "ray"))
    assert "40,000 records: 39,600 answered, 400 quarantined" in said
    assert outputs(tmp_path / "ray") == expected


def test_compact_gives_the_bytes_of_one_machine(cluster: Any, written: Written, compact: Path, tmp_path: Path) -> None:
    news = written(2_000)
    expected = on_one_machine(news, compact, tmp_path / "local")
    classify(*on_ray(cluster, news, compact, tmp_path / "ray"))
    assert outputs(tmp_path / "ray") == expected


@pytest.mark.parametrize("shards", [1, 12, 30])
def test_a_node_that_is_killed_costs_nothing(
    shards: int, cluster: Any, written: Written, folder: Path, tmp_path: Path
) -> None:
    news = written(20_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    process = begun(cluster, news, folder, tmp_path / "ray", shards)
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    ended(process)
    assert outputs(tmp_path / "ray") == expected


@pytest.mark.parametrize("name", ["ShardWorker", "ShardReader"])
def test_a_process_that_is_killed_costs_nothing(
    name: str, cluster: Any, written: Written, folder: Path, tmp_path: Path
) -> None:
    news = written(20_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    process = begun(cluster, news, folder, tmp_path / "ray", 5)
    actors(name)[0].kill()
    said = ended(process)
    assert "was lost" in said
    assert "its work is done again" in said
    assert outputs(tmp_path / "ray") == expected


def test_the_command_goes_on_where_it_was_killed(cluster: Any, written: Written, folder: Path, tmp_path: Path) -> None:
    news = written(20_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    process = begun(cluster, news, folder, tmp_path / "ray", 10)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(list((tmp_path / "ray/out.jsonl.parts").glob("0*")))
    assert not (tmp_path / "ray/out.jsonl").exists()
    said = classify(*on_ray(cluster, news, folder, tmp_path / "ray"))
    assert done >= 10
    assert "parts done before: " in said
    assert outputs(tmp_path / "ray") == expected


def test_a_run_begun_here_is_ended_there(cluster: Any, written: Written, folder: Path, tmp_path: Path) -> None:
    news = written(20_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    begun(cluster, news, folder, tmp_path / "ray", 10).kill()
    said = classify(news, "--model", folder, "-o", tmp_path / "ray/out.jsonl", "--summary", tmp_path / "ray/out.json")
    assert "parts done before: " in said
    assert outputs(tmp_path / "ray") == expected


def test_large_files_are_read_by_several(
    cluster: Any, written: Written, folder: Path, tmp_path: Path, texts: list[str]
) -> None:
    """Two splits: the second worker's rows know the numbers of their lines."""
    news = tmp_path / "large.jsonl"
    with news.open("w") as file:
        for at in range(2_000):
            row = {"text": f"{texts[at % len(texts)]} № {at}", "page": "x" * 40_000}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    assert news.stat().st_size > 2**26
    places = ("--model", folder, "-o")
    classify(news, *places, tmp_path / "local.csv", code=0)
    classify(news, *places, tmp_path / "ray.csv", "--engine", "ray", "--address", cluster.address, code=0)
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert ",large.jsonl,large-2000," in (tmp_path / "ray.csv").read_text()


def test_the_model_travels_to_nodes_that_do_not_see_it(
    cluster: Any, written: Written, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    news = written(2_000)
    expected = on_one_machine(news, tmp_path / "model", tmp_path / "local")
    own = "/proc/self/cwd/model"  # of each process another one
    classify(*on_ray(cluster, news, Path(own), tmp_path / "ray"), cwd=tmp_path)
    assert outputs(tmp_path / "ray") == expected


def test_what_a_node_does_not_see_is_one_line(cluster: Any, written: Written, folder: Path, tmp_path: Path) -> None:
    shutil.copy(written(2_000), tmp_path / "news.jsonl")
    own = Path("/proc/self/cwd")
    said = classify(*on_ray(cluster, own / "news.jsonl", folder, tmp_path / "ray"), cwd=tmp_path, code=1)
    assert "/proc/self/cwd/news.jsonl: is not there on " in said
    assert "name a folder that all nodes see, or an object store (s3://…)" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_on_one_node_leaves_the_work_to_the_other(
    cluster: Any, written: Written, compact: Path, tmp_path: Path
) -> None:
    """The second node has no room for the model, which it does not see."""
    news = written(2_000)
    expected = on_one_machine(news, compact, tmp_path / "local")
    shutil.copytree(compact, tmp_path / "model")
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path / "small"], check=True)
    try:
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        cluster.add_node(num_cpus=1, object_store_memory=150_000_000, env_vars={"TMPDIR": str(tmp_path / "small")})
        options = ("--model", "/proc/self/cwd/model", "--workers", 2)
        said = classify(*on_ray(cluster, news, compact, tmp_path / "ray", *options), cwd=tmp_path)
    finally:
        subprocess.run(["umount", "-l", tmp_path / "small"], check=True)
    assert "No space left on device" in said
    assert outputs(tmp_path / "ray") == expected


def test_a_disk_that_is_full_for_all_is_one_line(cluster: Any, written: Written, folder: Path, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path / "small"], check=True)
    try:
        said = classify(*on_ray(cluster, written(20_000), folder, tmp_path / "small/ray"), code=1)
        assert said.splitlines()[-1].endswith("No space left on device; the same command goes on where it was")
        assert "Traceback" not in said
    finally:
        subprocess.run(["umount", "-l", tmp_path / "small"], check=True)


def test_an_address_where_nothing_is_is_one_line(folder: Path, written: Written, tmp_path: Path) -> None:
    news = written(2_000)
    said = classify(
        news, "--model", folder, "-o", tmp_path / "o.jsonl", "--engine", "ray", "--address", "127.0.0.1:1", code=1
    )
    assert "--address 127.0.0.1:1: no Ray cluster" in said
    assert "Traceback" not in said


def test_ray_on_this_machine_alone_leaves_nothing_behind(written: Written, folder: Path, tmp_path: Path) -> None:
    news = written(2_000)
    expected = on_one_machine(news, folder, tmp_path / "local")
    (tmp_path / "ray").mkdir()
    options = ("--model", folder, "-o", tmp_path / "ray/out.jsonl", "--summary", tmp_path / "ray/out.json")
    with TemporaryDirectory() as short:  # Ray's sockets have long names
        classify(news, *options, "--engine", "ray", env=os.environ | {"TMPDIR": short})
        assert outputs(tmp_path / "ray") == expected
        assert list(Path(short).iterdir()) == []
