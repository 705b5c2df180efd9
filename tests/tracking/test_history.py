"""What git and DVC's cache still have, asked of a small project under real git and real DVC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.tracking.history import find_cache, first_commits, plan_restoring, read_history
from tests.project import Project

GRAPH = """
stages:
  label:
    cmd: mkdir -p data && grep gold params.yaml | tee data/labelled.jsonl data/labels.json
    params: [gold]
    outs: [data/labelled.jsonl, data/labels.json]
  split:
    cmd: cp data/labels.json data/folds.jsonl
    deps: [data/labels.json]
    outs: [data/folds.jsonl]
  evaluate:
    matrix: {model: [rules, tfidf]}
    cmd: >-
      mkdir -p data/scored data/curves reports/${item.model} && grep ${item.model} params.yaml | tee
      data/scored/${item.model}.jsonl data/curves/${item.model}.jsonl reports/${item.model}/scores.json
    deps: [data/labelled.jsonl, data/folds.jsonl]
    params: ["${item.model}"]
    outs:
      - data/scored/${item.model}.jsonl
      - data/curves/${item.model}.jsonl
      - reports/${item.model}: {cache: false}
  train:
    matrix: {model: [tfidf]}
    cmd: mkdir -p models/tfidf && grep tfidf params.yaml > models/tfidf/weights
    deps: [data/labelled.jsonl]
    params: ["${item.model}"]
    outs: [models/tfidf]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two commits of the main branch and one of another, which differ in the parameter `tfidf`."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / ".gitignore").write_text("data/\nmodels/\n")
    project = Project(folder, tmp_path)
    for command in ("git init -qb main", "dvc init -q", "dvc config core.analytics false"):
        project.run(*command.split())
    _commit(project, 1)
    project.run("git", "checkout", "-qb", "other")
    _commit(project, 2)
    project.run("git", "checkout", "-q", "main")
    _commit(project, 3)
    return project


def _commit(project: Project, tfidf: int) -> None:
    (project.folder / "params.yaml").write_text(f"gold: 1\nrules: 1\ntfidf: {tfidf}\n")
    project.run("dvc", "repro", "-q")
    project.environment["GIT_COMMITTER_DATE"] = f"2026-11-0{tfidf}T12:00:00Z"
    project.commit()


def _plan(project: Project) -> tuple[list[Any], list[str]]:
    told: list[str] = []
    versions = read_history(project.folder)
    planned: list[Any] = plan_restoring(versions, find_cache(project.folder), told.append)
    for version in versions:  # commits by the parameter that they changed
        changed = project.run("git", "show", f"{version.commit}:params.yaml").split()[-1]
        told = [line.replace(version.name, changed) for line in told]
        planned = [(changed if found is version else found, models) for found, models in planned]
    return planned, told


def test_the_cache_says_which_results_come_back_and_which_outputs_are_gone(project: Project) -> None:
    planned, told = _plan(project)
    # What `rules` made is the same in all three; parameters of `tfidf` are none of its business.
    assert (planned, told) == ([("1", ["rules", "tfidf"]), ("2", ["tfidf"]), ("3", ["tfidf"])], [])
    committed = first_commits(project.folder)
    assert sorted({when // 86_400_000 for when in committed.values()}) == [20758, 20759, 20760]  # 1, 2, 3 November
    # As docs/mlflow.md says: the tips of branches keep theirs, earlier commits don't.
    project.run("dvc", "gc", "--all-branches", "--all-tags", "--all-experiments", "--force")
    lost = "no results of tfidf; DVC's cache lacks data/scored/tfidf.jsonl, data/curves/tfidf.jsonl, models/tfidf"
    assert _plan(project) == ([("1", ["rules"]), ("2", ["tfidf"]), ("3", ["tfidf"])], [f"1: {lost}"])
    project.run("dvc", "gc", "--workspace", "--force")
    assert _plan(project) == ([("1", ["rules"]), ("3", ["tfidf"])], [f"1: {lost}", f"2: {lost}"])
