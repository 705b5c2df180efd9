"""What the repository promises about itself: documents that hold, no theme in code, no pickle on any path."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.commands.main import cli
from tests.conftest import ROOT, THEMES

CODE = sorted((ROOT / "pipeline").rglob("*.py"))
# Both say in their docstring or in a comment why they hold more: lazy names, and variables that MLflow reads on import.
FULLER_PACKAGES = {"pipeline/__init__.py", "pipeline/tracking/__init__.py"}


def test_no_theme_stands_in_code() -> None:
    for path in CODE:
        text = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
        for theme in THEMES:
            assert theme not in text.lower(), path


def test_no_pickle_on_any_path() -> None:
    for path in CODE:
        found = re.findall(
            r"\b(?:import pickle|joblib|cloudpickle|torch\.load|torch\.save|np\.load)\b", path.read_text()
        )
        assert not found, path


def test_a_room_s_init_holds_a_docstring_only() -> None:
    """Whatever stands there is loaded by each stage that uses one module of the room, and dvc.yaml names modules."""
    for path in CODE:
        if path.name == "__init__.py" and str(path.relative_to(ROOT)) not in FULLER_PACKAGES:
            tree = ast.parse(path.read_text())
            assert len(tree.body) == 1, path
            assert ast.get_docstring(tree), path


def _public_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines for others: functions, classes, constants and type aliases without an underscore."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def test_a_public_name_means_one_thing() -> None:
    """Two rooms never use the same public name; a command alone may bear the name of what it calls."""
    homes = defaultdict(set)
    for path in CODE:
        room, *inner = path.relative_to(ROOT / "pipeline").parts
        if inner and room != "commands":
            for name in _public_names(ast.parse(path.read_text())):
                homes[name].add(room)
    assert {name: sorted(rooms) for name, rooms in homes.items() if len(rooms) > 1} == {}


def test_every_command_has_a_place_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in cli.commands:
        assert f"`{command}`" in readme or f"taqyryp {command}" in readme, command


def test_every_key_of_the_configuration_is_explained() -> None:
    """Each key of the configs people turn stands with a comment on its line, or under one that explains its block."""
    for name in ("pipeline", "tfidf", "transformer", "themes"):
        commented = False
        for line in (ROOT / f"configs/{name}.yaml").read_text().splitlines():
            if not line.strip():
                commented = False
            elif line.lstrip().startswith("#"):
                commented = True
            else:
                assert commented or "#" in line or line.startswith("  "), f"{name}.yaml: {line}"
                commented = True


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in [*(ROOT / folder / "README.md" for folder in (".", "models", "seeds")), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_stage_of_the_graph_is_a_command() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in stages.values():
        command = stage.get("cmd") or stage["do"]["cmd"]
        assert command.split()[3] in cli.commands


@pytest.mark.parametrize("module", ["torch", "transformers", "sklearn", "mlflow", "datasets", "numpy"])
def test_help_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, pipeline.commands.main, pipeline; assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_tfidf_loads_no_torch() -> None:
    code = "import sys, pipeline.inference.classifier, pipeline.classifiers.tfidf; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_openvino_reports_nothing_to_its_maker(tmp_path: Path) -> None:
    """Its telemetry keeps an id of the user in his home, starts a thread when imported and a process for each event."""
    code = (
        "import sys; started = []\n"
        "sys.addaudithook(lambda name, _: started.append(name) if name in ('os.fork', 'subprocess.Popen') else None)\n"
        "import time, pipeline.classifiers.openvino; time.sleep(0.5); assert not started, started"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir())
