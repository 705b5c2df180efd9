"""Processes as affinity, CPU quota and memory allow, with what the kernel writes into the files of control groups."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.classifiers.model_folder import inspect_model_folder
from pipeline.core.errors import UserError
from pipeline.inference.batch import job, shards, workers
from pipeline.inference.batch.request import BatchRequest
from pipeline.inference.batch.rows import BatchOptions
from pipeline.inference.batch.workers import Allowance, control_groups, find_allowance, plan_workers
from tests.conftest import ROOT

GB = 10**9
CONTROL_GROUPS = Path("/sys/fs/cgroup")

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
SYSTEMD = "26 22 0:23 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
DOCKER_1 = """\
1093 1092 0:29 /docker/3601745b /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:11 - cgroup cgroup rw,cpu,cpuacct
1094 1092 0:32 /docker/3601745b /sys/fs/cgroup/memory ro,nosuid master:15 - cgroup cgroup rw,memory
"""
KUBERNETES_1 = DOCKER_1.replace("/docker/3601745b", "/kubepods/burstable/pod9dc3/77c1")


def groups(memberships: str, mounts: str) -> list[str]:
    return [str(path.relative_to(CONTROL_GROUPS)) for path in control_groups(memberships, mounts)]


@pytest.mark.parametrize(
    ("memberships", "mounts", "expected"),
    [
        pytest.param(
            "4:memory:/jobs/a\n2:cpu,cpuacct:/jobs\n",
            HYBRID,
            [
                "cpu,cpuacct/jobs",
                "cpu,cpuacct",
                "memory/jobs/a",
                "memory/jobs",
                "memory",
            ],
            id="version 1",
        ),
        pytest.param(
            "0::/user.slice/user-1000.slice/run-r1.scope\n",
            SYSTEMD,
            ["user.slice/user-1000.slice/run-r1.scope", "user.slice/user-1000.slice", "user.slice", "."],
            id="systemd",
        ),
        pytest.param("0::/a\n", HYBRID, ["unified/a", "unified"], id="both versions"),
        pytest.param("0::/\n", SYSTEMD, ["."], id="docker, version 2"),
        pytest.param(
            "4:memory:/docker/3601745b\n2:cpu,cpuacct:/docker/3601745b\n",
            DOCKER_1,
            ["cpu,cpuacct", "memory"],
            id="docker, version 1",
        ),
        pytest.param(
            "4:memory:/kubepods/burstable/pod9dc3/77c1\n2:cpu,cpuacct:/kubepods/burstable/pod9dc3/77c1/inner\n",
            KUBERNETES_1,
            ["cpu,cpuacct/inner", "cpu,cpuacct", "memory"],
            id="kubernetes, version 1, a group within the container's",
        ),
        pytest.param("2:cpu:/kubepods/pod9dc3/77c1\n", DOCKER_1, ["cpu,cpuacct"], id="a path of another namespace"),
        pytest.param("1:cpuset:/\n", HYBRID, [], id="not mounted"),
        pytest.param("", "", [], id="none"),
    ],
)
def test_groups_are_found_up_to_the_root(memberships: str, mounts: str, expected: list[str]) -> None:
    assert groups(memberships, mounts) == expected


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 32 cores and 64 GB whose control groups lie in the folder; its process is in `/a/b`."""
    (tmp_path / "mounts").write_text(
        f"1 0 0:1 / {tmp_path}/two rw - cgroup2 cgroup2 rw\n"
        f"2 0 0:2 / {tmp_path}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        f"3 0 0:3 / {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
    )
    (tmp_path / "own").write_text("3:memory:/a/b\n2:cpu,cpuacct:/a/b\n0::/a/b\n")
    for name in ("two", "cpu", "memory"):
        (tmp_path / name / "a/b").mkdir(parents=True)
    monkeypatch.setattr(workers, "MEMBERSHIPS", tmp_path / "own")
    monkeypatch.setattr(workers, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)))
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GB // 4096}.__getitem__)
    return tmp_path


UNLIMITED_1 = {
    "cpu/a/b/cpu.cfs_quota_us": "-1\n",
    "cpu/a/b/cpu.cfs_period_us": "100000\n",
    "memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
}


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, 32, 64 * GB),
        ({"two/a/b/cpu.max": "max 100000\n", "two/a/b/memory.max": "max\n"}, 32, 64 * GB),
        ({"two/a/b/cpu.max": "200000 100000\n", "two/a/b/memory.max": "2147483648\n"}, 2, 2**31),
        ({"two/a/b/cpu.max": "max 100000\n", "two/a/cpu.max": "400000 100000\n"}, 4, 64 * GB),
        ({"two/a/b/cpu.max": "800000 100000\n", "two/a/cpu.max": "400000 100000\n"}, 4, 64 * GB),
        ({"two/a/b/cpu.max": "150000 100000\n"}, 2, 64 * GB),
        ({"two/a/b/cpu.max": "5000 100000\n"}, 1, 64 * GB),
        ({"two/a/b/cpu.max": "9900000 100000\n", "two/memory.max": "99000000000\n"}, 32, 64 * GB),
        ({"two/a/b/memory.max": "4000000000\n", "two/a/memory.high": "3000000000\n"}, 32, 3 * GB),
        (UNLIMITED_1, 32, 64 * GB),
        ({**UNLIMITED_1, "cpu/a/b/cpu.cfs_quota_us": "250000\n"}, 3, 64 * GB),
        ({**UNLIMITED_1, "memory/memory.limit_in_bytes": "1073741824\n"}, 32, 2**30),
    ],
)
def test_the_smallest_limit_holds(machine: Path, files: dict[str, str], cores: int, memory: int) -> None:
    for name, text in files.items():
        (machine / name).write_text(text)
    found = find_allowance()
    assert found.cores == cores
    assert found.memory == pytest.approx(memory, abs=4096)


def test_affinity_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "two/a/b/cpu.max").write_text("400000 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert find_allowance().cores == 1


def test_a_mac_has_its_cores_and_its_memory(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own", "mounts"):
        (machine / name).unlink()
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "process_cpu_count", os.cpu_count, raising=False)  # what Python 3.13 has there
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert find_allowance() == Allowance(10, 64 * GB // 4096 * 4096)


MODELS = {"tfidf": 21, "compact": 102, "transformer": 491}
"""Megabytes on disk."""


@pytest.mark.parametrize(
    ("model", "asked", "allowance", "expected"),
    [
        ("tfidf", None, Allowance(32, 64 * GB), (32, 1, "")),
        ("tfidf", None, Allowance(2, 64 * GB), (2, 1, "")),
        ("tfidf", None, Allowance(32, 4 * GB), (17, 1, "17 of 32 workers, as each takes 0.23 of 4.0 GB of memory")),
        ("tfidf", None, Allowance(32, 0), (1, 1, "1 of 32 workers, as each takes 0.23 of 0.0 GB of memory")),
        ("tfidf", None, Allowance(1, 0), (1, 1, "")),
        ("tfidf", 5, Allowance(32, 1 * GB), (5, 6, "")),
        ("compact", None, Allowance(3, 64 * GB), (1, 3, "")),
        ("compact", None, Allowance(32, 64 * GB), (8, 4, "")),
        ("compact", None, Allowance(32, 2 * GB), (2, 4, "2 of 8 workers, as each takes 0.71 of 2.0 GB of memory")),
        ("compact", 1, Allowance(32, 2 * GB), (1, 32, "")),
        ("transformer", None, Allowance(32, 9 * GB), (2, 4, "2 of 8 workers, as each takes 3.05 of 9.0 GB of memory")),
    ],
)
def test_workers_fit_into_cores_and_memory(
    model: str, asked: int | None, allowance: Allowance, expected: tuple[int, int, str], tmp_path: Path
) -> None:
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(MODELS[model] * 10**6)
    if model != "tfidf":
        (tmp_path / "encoder").mkdir()
    processes, threads, reason = plan_workers(tmp_path, asked, allowance)
    assert (processes, threads, reason.removesuffix("; --workers overrides")) == expected


def test_the_summary_says_that_memory_was_short(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "find_allowance", lambda: Allowance(4, GB // 4))
    said: list[str] = []
    request = BatchRequest([ROOT / "seeds/articles"], tmp_path / "o.jsonl", folder)
    job.run_batch(request, said.append)
    assert " rows/s; 1 of 4 workers, as each takes 0.1" in said[-1].splitlines()[-1]
    monkeypatch.setattr(job, "find_allowance", lambda: Allowance(1, GB // 4))
    job.run_batch(request, said.append)
    assert said[-1].endswith(" rows/s")


def test_the_command_runs_without_what_linux_has(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def access(path: Path, mode: int, *, effective_ids: bool = False) -> bool:
        if effective_ids:
            raise NotImplementedError
        return True

    def flock(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "process_cpu_count", os.cpu_count, raising=False)  # what Python 3.13 has there
    monkeypatch.setattr(workers, "MOUNTS", tmp_path / "none")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # musl and macOS: no mallopt
    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("Мектеп оқушыларына адалдық сабағы өтті.")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    said: list[str] = []
    job.run_batch(BatchRequest([tmp_path / "in"], tmp_path / "o.jsonl", folder), said.append)
    parts, out = tmp_path / "o.jsonl.parts", tmp_path / "o.jsonl"
    assert said[0] == f"{parts}: cannot be locked (No locks available); see to it that no other process writes {out}"
    assert "a link to a folder that is read already 1" in said[1]
    assert out.read_bytes().count(b"\n") == 1
    assert not parts.exists()


@pytest.mark.parametrize("failure", [OSError, AttributeError])
def test_a_worker_needs_no_glibc(failure: type[Exception], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str | None) -> None:
        raise failure

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    checked = inspect_model_folder(folder)
    assert shards.Worker(shards.ShardJob(folder, checked, BatchOptions(), folder, folder))


def test_an_input_by_another_name_is_no_output(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "News.jsonl").hardlink_to(tmp_path / "news.jsonl")  # one file, as where case does not count
    request = BatchRequest([tmp_path / "news.jsonl"], tmp_path / "News.jsonl", folder)
    with pytest.raises(UserError, match=r"News\.jsonl: lies in the input .*/news\.jsonl; write it elsewhere"):
        job.run_batch(request, print)


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("-1", None)])
def test_a_real_quota(quota: str, cores: int | None) -> None:
    with control_group("cpu") as group:
        (group / "cpu.cfs_quota_us").write_text(quota)
        assert allowance_in(group).cores == (cores or find_allowance().cores)


def test_a_real_memory_limit() -> None:
    with control_group("memory") as group:
        (group / "memory.limit_in_bytes").write_text(str(2**30))
        assert allowance_in(group).memory == 2**30


@contextmanager
def control_group(controller: str) -> Iterator[Path]:
    """A control group of version 1 within another: processes go into the inner one, limits into the outer."""
    outer = CONTROL_GROUPS / controller / f"taqyryp-test-{os.getpid()}"
    try:
        (outer / "inner").mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no control group can be made here ({error.strerror})")
    try:
        yield outer
    finally:
        (outer / "inner").rmdir()
        outer.rmdir()


def allowance_in(group: Path) -> Allowance:
    code = (
        "import os, sys\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "from pipeline.inference.batch.workers import find_allowance\n"
        "print(*find_allowance())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, group / "inner/cgroup.procs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    cores, memory = done.stdout.split()
    return Allowance(int(cores), float(memory))
