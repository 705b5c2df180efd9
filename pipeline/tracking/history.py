"""What git and DVC's cache still have: earlier versions of dvc.lock, their files, and when they were committed.

The cache is asked what it holds before any file is put in place: a look costs some ms, a restored model seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import check_call, check_output
from typing import Any, NamedTuple

from pipeline.core.io import Say, read_json
from pipeline.tracking.lock import digest_of, lineage, lineage_outs, lineage_params, load_stages, needed_outs
from pipeline.tracking.results import GATE, ResultPaths

EVALUATE = "evaluate@"


class Version(NamedTuple):
    """A version of dvc.lock: its commit, when (ms since 1970), tags of its origin and what it says of the stages."""

    commit: str
    made: int
    tags: dict[str, str]
    stages: dict[str, Any]

    @property
    def name(self) -> str:
        """As people know it: an experiment by its name, a commit by its first ten digits."""
        experiment = self.tags.get("dvc.experiment")
        return f"{experiment} ({self.commit[:10]})" if experiment else self.commit[:10]

    @property
    def models(self) -> list[str]:
        """Those that were evaluated."""
        return sorted(name.removeprefix(EVALUATE) for name in self.stages if name.startswith(EVALUATE))


def read_history(root: Path) -> list[Version]:
    """Every commit and experiment that changed dvc.lock, oldest first."""
    log = ["git", "log", "--reverse", "--format=%H %ct %D", "--decorate=full", "--decorate-refs=refs/exps/"]
    log += ["--branches", "--tags", "--remotes", "--glob=refs/exps/??/*", "--", "dvc.lock"]
    versions = []
    for line in check_output(log, cwd=root, text=True).splitlines():
        commit, seconds = line.split()[:2]
        if not check_output(["git", "ls-tree", commit, "dvc.lock"], cwd=root):  # the commit that deleted it
            continue
        tags = {"git.commit": commit, "git.dirty": "false"}
        # DVC names an experiment by the commit that it started from, in two parts, and by its own name.
        if experiment := re.search(r"refs/exps/(..)/([^/]+)/([^/,]+)", line):
            start, end, name = experiment.groups()
            tags = {"git.commit": start + end, "git.dirty": "true", "dvc.experiment": name, "dvc.baseline": start + end}
        lock = check_output(["git", "show", f"{commit}:./dvc.lock"], cwd=root)
        versions.append(Version(commit, int(seconds) * 1000, tags, load_stages(lock)))
    return versions


def first_commits(folder: Path) -> dict[str, int]:
    """When each output was first committed: the digest that dvc.lock has of it -> ms since 1970. Empty outside git."""
    if not (folder / ".git").exists():
        return {}
    log = ["git", "log", "--all", "--no-ext-diff", "--no-color", "-p", "-U0", "--format=at %ct", "--", "dvc.lock"]
    seen: dict[str, int] = {}
    when = 0
    for line in check_output(log, cwd=folder, text=True).splitlines():
        if line.startswith("at "):
            when = int(line.split()[1]) * 1000
        elif found := re.fullmatch(r"\+ +md5: (\S+)", line):
            seen[found[1]] = min(when, seen.get(found[1], when))
    return seen


def find_cache(root: Path) -> Path:
    """DVC's cache of the checkout."""
    return root / check_output(["dvc", "cache", "dir"], cwd=root, text=True).strip()


def plan_restoring(versions: Iterable[Version], cache: Path, say: Say) -> list[tuple[Version, list[str]]]:
    """Each version with those of its models whose files the cache has and whose result no earlier version has.

    Says what is missing for the others.
    """
    planned, known = [], set()
    for version in versions:
        restorable, lost = [], {}
        for model in version.models:
            behind = lineage(version.stages, model)
            outs = lineage_outs(behind)
            result = digest_of([model, lineage_params(behind), outs])
            if missing := [path for path in needed_outs(model, version.stages) if not is_cached(cache, outs.get(path))]:
                lost[model] = [path if path in outs else f"{path} (not in its dvc.lock)" for path in missing]
            elif result not in known:
                restorable.append(model)
            known.add(result)
        if lost:
            paths = dict.fromkeys(path for missing in lost.values() for path in missing)
            say(f"{version.name}: no results of {', '.join(lost)}; DVC's cache lacks {', '.join(paths)}")
        if restorable:
            planned.append((version, restorable))
    return planned


def is_cached(cache: Path, digest: str | None) -> bool:
    """Whether the cache has a file, or all files of a folder; never without a digest."""
    if digest is None:
        return False
    place = cached_path(cache, digest)
    if not digest.endswith(".dir") or not place.is_file():
        return place.is_file()
    return all(is_cached(cache, entry["md5"]) for entry in read_json(place, list[dict[str, Any]]))


def cached_path(cache: Path, digest: str) -> Path:
    """Where the cache keeps what has this digest."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]


@contextmanager
def restored(version: Version, models: Sequence[str], root: Path, cache: Path) -> Iterator[ResultPaths]:
    """The files of these models' results as they were then, in a folder that is gone afterwards."""
    place = root / ".dvc" / "tmp"  # on the file system of the cache, so that files are linked
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as temporary:
        folder = Path(temporary)
        reports = [f"reports/{name}" for model in models for name in (model, f"challenge/{model}", GATE)]
        listed = ["git", "ls-tree", "--name-only", version.commit, "dvc.lock", *reports]
        there = check_output(listed, cwd=root, text=True).splitlines()
        check_call(["git", "archive", "-o", f"{folder}/archive.tar", version.commit, *there], cwd=root)
        shutil.unpack_archive(f"{folder}/archive.tar", folder)
        for model in models:
            outs = lineage_outs(lineage(version.stages, model))
            for path in needed_outs(model, version.stages):
                link_cached(cache, outs[path], folder / path)
        yield ResultPaths(
            folder / "dvc.lock", folder / "data", folder / "reports", folder / "models", tags=version.tags
        )


def link_cached(cache: Path, digest: str, target: Path) -> None:
    """Puts a file or folder of DVC's cache at `target`, as hard links if possible; what the cache lacks is left out."""
    source = cached_path(cache, digest)
    if digest.endswith(".dir") and source.is_file():
        for entry in read_json(source, list[dict[str, Any]]):
            link_cached(cache, entry["md5"], target / entry["relpath"])
    elif source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)
