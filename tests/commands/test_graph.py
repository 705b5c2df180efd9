"""dvc.yaml against the code, without running anything: a stage names each module that it is sure to load.

What a function imports only when it is called, tests/commands/test_stages.py sees, which runs the stages.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from pipeline.classifiers.base import EXPORTED, MODELS
from pipeline.commands.main import cli
from tests.conftest import ROOT


def stages() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every stage with its name, as DVC makes them of `matrix` and `foreach`."""
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        if "matrix" in stage:
            variants = {model: {"item.model": model} for model in stage["matrix"]["model"]}
        elif "foreach" in stage:
            variants = {
                key: {"key": key, **{f"item.{field}": value for field, value in item.items()}}
                for key, item in stage["foreach"].items()
            }
        else:
            yield name, stage
            continue
        for key, values in variants.items():
            text = re.sub(r"\$\{([\w.]+)\}", lambda match, v=values: v[match[1]], json.dumps(stage.get("do", stage)))
            yield f"{name}@{key}", json.loads(text)


STAGES = dict(stages())


def modules_behind(stage: dict[str, Any]) -> set[str]:
    """The module of the function that the command calls, and those of the models that it names."""
    command, options = stage["cmd"].split()[3], stage["cmd"].split()[4:]
    source = inspect.getsource(cast(Callable[..., object], cli.commands[command].callback))
    (function,) = re.findall(r"(\w+)\(\*\*given[,)]", source)
    models = []
    if command in ("crossval", "train", "challenge", "export"):
        models.append(options[options.index("--model") + 1].removeprefix("models/"))
    if command == "export":
        models.append("compact")
    known = MODELS | EXPORTED
    return {*re.findall(rf"from (\S+) import {function}\n", source), *(known[model].split(":")[0] for model in models)}


def files_loaded(modules: set[str]) -> set[Path]:
    """The files of these modules and of all that they import at their top."""
    files: set[Path] = set()
    waiting = [Path(*module.split(".")).with_suffix(".py") for module in modules]
    while waiting:
        file = waiting.pop()
        if file in files or not (ROOT / file).is_file():  # the latter: a name imported from a module
            continue
        files.add(file)
        for node in ast.parse((ROOT / file).read_text()).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
                home = Path(*cast(str, node.module).split("."))
                waiting += [home.with_suffix(".py"), *(home / f"{alias.name}.py" for alias in node.names)]
    return files


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_what_it_is_sure_to_load(name: str) -> None:
    stage = STAGES[name]
    declared = [Path(dependency) for dependency in stage["deps"]]
    loaded = files_loaded(modules_behind(stage))
    assert loaded
    assert not [str(file) for file in loaded if not any(file.is_relative_to(dep) for dep in declared)]


def test_what_one_model_needs_alone_re_runs_nothing_of_another() -> None:
    """Neither TF-IDF's own module, nor the compact engine, nor the names that people see, is the transformer's."""
    own = {"pipeline/classifiers/tfidf.py", "pipeline/classifiers/openvino.py", "pipeline/classifiers/compact.py"}
    for name, stage in STAGES.items():
        if name.endswith("@transformer"):
            for dependency in stage["deps"]:
                assert not [file for file in own if Path(file).is_relative_to(dependency)], name
            themes = [
                entry["configs/themes.yaml"] for entry in stage.get("params", []) if "configs/themes.yaml" in entry
            ]
            assert not themes, name
            assert "configs/themes.yaml" not in stage["deps"], name


def test_every_dependency_on_code_exists() -> None:
    for name, stage in STAGES.items():
        for dependency in stage["deps"]:
            if dependency.startswith(("pipeline", "configs", "seeds")):
                assert (ROOT / dependency).exists(), f"{name}: {dependency}"
