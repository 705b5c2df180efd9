"""The results of other commits and of DVC's experiments, as far as the cache still holds their files."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.core.io import read_bytes

EXPERIMENTS = "refs/exps/"


@dataclass(frozen=True)
class State:
    """A commit with a dvc.lock of its own; `experiment` is DVC's name of it, `made` its time (ms)."""

    commit: str
    made: int
    experiment: str
    baseline: str


def states(root: Path) -> list[State]:
    """The commits and experiments, oldest first, one for each distinct dvc.lock."""
    experiments = {}
    for line in _git(root, "for-each-ref", "--format=%(objectname) %(refname)", EXPERIMENTS).splitlines():
        commit, _, ref = line.partition(" ")
        parts = ref.removeprefix(EXPERIMENTS).split("/")
        if len(parts) == 3 and len(parts[0]) == 2:  # refs/exps/ab/cdef…/name; others are DVC's own
            experiments[commit] = (parts[2], "".join(parts[:2]))
    commits = _git(root, "log", "--branches", "--tags", "--remotes", "--format=%H %ct", "--", "dvc.lock").splitlines()
    commits += [_git(root, "show", "-s", "--format=%H %ct", commit) for commit in experiments]
    found: dict[str, State] = {}
    for line in sorted(commits, key=lambda line: int(line.split()[1])):
        commit, seconds = line.split()
        if lock := _git(root, "rev-parse", "--verify", "-q", f"{commit}:dvc.lock"):
            name, baseline = experiments.get(commit, ("", ""))
            found.setdefault(lock, State(commit, int(seconds) * 1000, name, baseline))
    return list(found.values())


@contextmanager
def checked_out(root: Path, state: State) -> Iterator[Path]:
    """A folder with the files of a state, results included as far as the cache holds them."""
    place = root / ".dvc" / "tmp"  # within the file system of the cache, so that files are linked
    place.mkdir(exist_ok=True)
    _git(root, "worktree", "prune")  # what an earlier kill left
    with tempfile.TemporaryDirectory(dir=place) as parent:
        folder = Path(parent) / "checkout"
        _git(root, "worktree", "add", "--detach", str(folder), state.commit)
        try:
            cache = _run(["dvc", "cache", "dir"], root)
            (folder / ".dvc" / "config.local").write_text(
                f"[cache]\n    dir = {(root / cache).resolve()}\n    type = hardlink,copy\n"
            )
            # The encoder belongs to no result, and is the largest of all.
            stages = yaml.safe_load(read_bytes(folder / "dvc.lock"))["stages"]
            outs = [out["path"] for name, stage in stages.items() if name != "encoder" for out in stage.get("outs", [])]
            _run(["dvc", "checkout", "-q", "--allow-missing", *outs], folder)
            yield folder
        finally:
            _git(root, "worktree", "remove", "--force", str(folder))


def _git(folder: Path, *arguments: str) -> str:
    return _run(["git", *arguments], folder, check=arguments[0] not in ("rev-parse",))


def _run(command: list[str], folder: Path, check: bool = False) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout.strip()
