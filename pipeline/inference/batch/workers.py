"""How many processes classify, with how many threads each: what cores, CPU quota and memory of this machine allow.

Own code: Python knows affinity alone, loky the topmost control group (its issue 634), and neither memory.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

MEMBERSHIPS, MOUNTS = Path("/proc/self/cgroup"), Path("/proc/self/mountinfo")
"""Linux's; elsewhere there are no such files and no control groups."""
READER_BYTES, WORKER_BYTES, FOLDER_TIMES = 50_000_000, 100_000_000, 6
"""Memory of the process that reads and cuts (measured: 40 MB), and of a worker: this much, and so many times what the
model takes on disk. Measured: TF-IDF 21 MB, .21 GB; compact 107 MB, .51 to .70; transformer 491 MB, 1.1 to 2.7."""


class Allowance(NamedTuple):
    """What this process may use: `cores`, and `memory` in bytes."""

    cores: int
    memory: float


def plan_workers(model: Path, asked: int | None, allowance: Allowance) -> tuple[int, int, str]:
    """Workers, threads of each, and why there are fewer workers than cores would allow ("" if there are not).

    One worker a core; an encoder computes in threads, so there one for each four cores: on two cores one process does
    36 paragraphs a second, two do 38 and take twice the memory.
    """
    cores, memory = allowance
    cores_each, each = needs(model)
    by_cores = max(1, cores // cores_each)
    workers = asked or max(1, min(by_cores, int((memory - READER_BYTES) // each)))
    limited = f"{workers} of {by_cores} workers, as each takes {each / 1e9:.2f} of {memory / 1e9:.1f} GB of memory"
    note = "" if asked or workers == by_cores else f"{limited}; --workers overrides"
    return workers, max(1, cores // (asked or by_cores)), note


def needs(model: Path) -> tuple[int, int]:
    """Cores and bytes of memory of one worker."""
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    return 4 if (model / "encoder").is_dir() else 1, WORKER_BYTES + FOLDER_TIMES * size


def find_allowance() -> Allowance:
    """What affinity, control groups and the machine leave to this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = control_groups(MEMBERSHIPS.read_text(), MOUNTS.read_text()) if MOUNTS.is_file() else []
    # A part of a core counts as one, as nproc has it: two workers use up 1.5 cores, one does not.
    cores = max(1, min([cores, *(math.ceil(quota) for group in groups for quota in _quotas(group))]))
    limits = (group / f"memory.{name}" for group in groups for name in ("max", "high", "limit_in_bytes"))
    return Allowance(cores, min([memory, *(limit for file in limits for limit in _numbers(file))]))


def control_groups(memberships: str, mounts: str) -> list[Path]:
    """Folders of a process's control groups and of all that these are in, by its /proc/PID/cgroup and mountinfo."""
    own: dict[str, Path] = {}
    for line in memberships.splitlines():
        _, controllers, group = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), Path(group))  # version 2 has one tree for all, without a name
    folders = []
    for line in mounts.splitlines():
        place, _, system = line.partition(" - ")
        root, mount = place.split(" ")[3:5]
        kind, _, options = system.split(" ", 2)
        mounted = {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, [])
        for path in {own[name] for name in mounted if name in own}:
            # A container sees its own group at the mount, while its path may be the machine's.
            folder = Path(mount, path.relative_to(root) if path.is_relative_to(root) else "")
            folders += [each for each in (folder, *folder.parents) if each.is_relative_to(mount)]
    return folders


def _quotas(group: Path) -> list[float]:
    """Cores' worth of computing time, if the group limits it."""
    quota = _numbers(group / "cpu.max") or _numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us")
    return [quota[0] / quota[1]] if len(quota) == 2 and 0 < quota[0] < math.inf else []  # version 1 says -1 for none


def _numbers(path: Path) -> list[float]:
    try:
        return [float(word.replace("max", "inf")) for word in path.read_text().split()]
    except OSError:  # no such controller, or not to be read
        return []
