"""What the repository promises about itself: documents that hold, no theme in code, no pickle on any path."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def test_modules_and_functions_stay_short() -> None:
    """CONTRIBUTING.md says how long they may be."""
    for path in CODE:
        text = path.read_text()
        assert text.count("\n") <= 250, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path}: {node.name}"


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


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE, EXTRAS = PROJECT["dependencies"], PROJECT["optional-dependencies"]
CLUSTER = [*EXTRAS["ray"], *EXTRAS["cloud"]]
ABSENT = {"ray": ["ray"], "upath": ["universal_pathlib"], "botocore": ["s3fs"]}
"""What only `make cluster` installs, by the module; s3fs drags botocore in and passes its errors on."""


def _names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_what_the_code_imports_is_declared() -> None:
    """Every package that pipeline/ imports stands in pyproject.toml, not only in what some other package drags in."""
    declared = _names([*BASE, *EXTRAS["pipeline"], *EXTRAS["formats"], *CLUSTER])
    distributions = {**ABSENT, **packages_distributions()}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for package in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"pipeline"}:
                assert declared & {canonicalize_name(name) for name in distributions[package]}, f"{path}: {package}"


def test_a_wheel_holds_every_module() -> None:
    """setuptools takes the folders with an `__init__.py`."""
    assert all((path.parent / "__init__.py").is_file() for path in CODE)


def test_classifying_needs_the_small_install_alone(folder: Path, tmp_path: Path) -> None:
    """`pip install .` has no torch, scikit-learn, MLflow and so on: with them out of reach all of `classify` works."""
    left_out = _names(EXTRAS["pipeline"])
    for package, names in packages_distributions().items():
        if {canonicalize_name(name) for name in names} & left_out:
            left_out.add(package)
    (tmp_path / "page.html").write_text("<p>Мектептерде адалдық сағаттары өтеді, оқушылар түсінеді.</p>" * 3)
    code = (
        "import sys\n"
        "class LeftOut:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name.partition('.')[0] in {sorted(left_out)!r}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, LeftOut())\n"
        "import pipeline.classifiers.cascade, pipeline.classifiers.openvino, pipeline.classifiers.explain\n"
        "from pipeline.commands.main import main; main()"
    )
    arguments = ["classify", "seeds/articles", tmp_path / "page.html", "--model", folder, "-o", tmp_path / "t.parquet"]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 records: 6 answered" in done.stderr


def test_make_and_the_hooks_check_the_same() -> None:
    make = (ROOT / "Makefile").read_text()
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in hooks["hooks"]:
        assert f"\t{hook['entry'].removeprefix('.venv/bin/')}" in make.partition("check:")[2].partition("bench:")[0]


def test_make_help_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]  # `make check` runs this, and tells a make inside it to say so
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(command, cwd=ROOT, env=outer, capture_output=True, text=True, check=True)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[0] for line in done.stdout.splitlines()] == targets
    assert 5 < len(targets) <= 10
    assert targets[0] == "repro", "what `make` alone does"
