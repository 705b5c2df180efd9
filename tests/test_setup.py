"""`.ci/venv.sh`, which `make` sets .venv up with, and the lock: any supported Python, another build of torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

SCRIPT = ROOT / ".ci/venv.sh"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in SpecifierSet(PROJECT["requires-python"])]
PINS = {
    canonicalize_name(requirement.name): requirement
    for requirement in map(Requirement, (ROOT / "requirements.lock").read_text().splitlines())
}
CUDA = ("cuda-", "nvidia-", "triton")
"""What `make lock` leaves out: a build of torch names the versions of its own."""


def test_all_name_the_same_pythons() -> None:
    (supported,) = re.findall(r'^SUPPORTED="(.*)"', SCRIPT.read_text(), re.MULTILINE)
    assert supported.split() == PYTHONS[::-1]
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tool["mypy"]["python_version"] == PYTHONS[0]
    assert tool["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / "README.md").read_text()


def _needed(python: str, system: str) -> Iterator[tuple[str, Requirement]]:
    """All that pyproject.toml asks for there, and what that asks for, by the metadata of what is installed here."""
    platform = {"Linux": "linux", "Darwin": "darwin"}[system]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    environment |= {"platform_system": system, "sys_platform": platform}
    extras = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in ("ray", "cloud")}
    declared = sum(extras.values(), PROJECT["dependencies"])  # cluster.lock pins the two
    seen, queue = set(), [("pyproject.toml", Requirement(line)) for line in declared]
    for asker, requirement in queue:
        yield asker, requirement
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen or name.startswith(CUDA):
                continue
            seen.add((name, extra))
            for asked in map(Requirement, distribution(name).requires or []):
                if not asked.marker or asked.marker.evaluate({**environment, "extra": extra}):
                    queue.append((name, asked))


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_for_each_python(python: str, system: str) -> None:
    """It pins whatever anything needs there, in a version that allows that Python."""
    for asker, requirement in _needed(python, system):
        name = canonicalize_name(requirement.name)
        if not name.startswith(CUDA):
            (pin,) = PINS[name].specifier
            assert pin.operator == "=="
            assert requirement.specifier.contains(pin.version), f"{asker}: {requirement}"
            allowed = distribution(name).metadata.get("Requires-Python", "")
            assert f"{python}.0" in SpecifierSet(allowed), name


def _fake_python(version: str, venv: bool = True, locks: bool = True, free: int = 4000) -> str:
    """Answers what the script asks of a Python, and fails to make a venv."""
    return f"""case $2 in
    *version_info*) echo {version} ;;
    *ensurepip*) exit {0 if venv else 1} ;;
    *flock*) exit {0 if locks else 1} ;;
    *disk_usage*) echo {free} ;;
    *) exit 9 ;;
esac
"""


BROKEN = "exit 127\n"
"""A shim of pyenv, which is there for every version and runs for the active ones."""


def set_up(folder: Path, pythons: dict[str, str], **variables: str) -> tuple[int, str, str]:
    """Runs the script where these Pythons (shell scripts by name) are the only ones: exit code, stdout, stderr."""
    commands, script = folder / "bin", folder / ".ci/venv.sh"
    commands.mkdir(exist_ok=True)
    script.parent.mkdir(exist_ok=True)
    shutil.copy(SCRIPT, script)
    for name, lines in pythons.items():
        (commands / name).write_text("#!/bin/sh\n" + lines)
        (commands / name).chmod(0o755)
    for tool in ("git", "grep", "touch"):
        if not (commands / tool).exists():
            (commands / tool).symlink_to(shutil.which(tool) or "")
    environment = {"PATH": str(commands), "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull, **variables}
    done = subprocess.run(["/bin/sh", script], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_newest_python_that_runs_is_taken(tmp_path: Path) -> None:
    known = {f"python{version}": _fake_python(version) for version in ("3.15", "3.13", "3.11")}
    _, said, _ = set_up(tmp_path, {**known, "python3.14": BROKEN, "python3": _fake_python("3.11")})
    assert said.startswith(f"Python 3.13 ({tmp_path}/bin/python3.13) goes into .venv")
    _, said, _ = set_up(tmp_path, {}, PYTHON="python3.11")
    assert said.startswith(f"Python 3.11 ({tmp_path}/bin/python3.11) goes into .venv")


REMEDY = "expected 3.11 to 3.14: install one, or name it (make PYTHON=python3.13)"


@pytest.mark.parametrize(
    ("name", "script", "line"),
    [
        ("python3", _fake_python("3.10"), f"python3 is Python 3.10; {REMEDY}"),
        ("python3", _fake_python("3.15"), f"python3 is Python 3.15; {REMEDY}"),
        (
            "python3",
            BROKEN,
            "no Python found: install 3.11 to 3.14 (on Debian and Ubuntu: apt install python3 python3-venv)",
        ),
        (
            "python3",
            _fake_python("3.14", venv=False),
            "python3 has no venv module: install it (on Debian and Ubuntu: apt install python3.14-venv)",
        ),
        (
            "python3",
            _fake_python("3.14", locks=False),
            "{folder} knows no file locks, which DVC and MLflow need (a network folder?): clone to a local disk",
        ),
        (
            "python3",
            _fake_python("3.14", free=100),
            "/tmp has 100 MB free; expected 4000: name another folder (TMPDIR=/var/tmp make repro)",
        ),
        ("git", BROKEN, "git does not run: install it (on Debian and Ubuntu: apt install git)"),
    ],
)
def test_what_is_missing_is_named_in_one_line(tmp_path: Path, name: str, script: str, line: str) -> None:
    pythons = {"python3": _fake_python("3.14"), name: script}
    assert set_up(tmp_path, pythons) == (1, "", f"make: {line.format(folder=tmp_path)}\n")


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (_fake_python("3.9"), f"old is Python 3.9; {REMEDY}"),
        (BROKEN, "PYTHON=old does not run; expected the command of a Python 3.11 to 3.14"),
    ],
)
def test_a_python_given_by_hand_is_checked(tmp_path: Path, script: str, line: str) -> None:
    pythons = {"python3": _fake_python("3.14"), "old": script}
    assert set_up(tmp_path, pythons, PYTHON="old") == (1, "", f"make: {line}\n")


def _wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel without modules."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        info = f"{name}-{version}.dist-info"
        extras = "Provides-Extra: dev\nProvides-Extra: formats\nProvides-Extra: pipeline\n"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + extras)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _index(folder: Path, version: str) -> str:
    """The address of an index of packages that has one torch."""
    name = _wheel(folder / "torch", "torch", version).name
    (folder / "torch/index.html").write_text(f'<a href="{name}">{name}</a>')
    return folder.as_uri()


def test_another_torch_or_else_the_usual_one(tmp_path: Path) -> None:
    """Real pip and venv, indexes of one empty wheel. Where PyTorch's is out of reach, PyPI's build is installed."""
    wheel = _wheel(tmp_path, "tiny", "0").name
    backend = "import shutil\ndef build_editable(folder, *_):\n    shutil.copy(NAME, folder)\n    return NAME\n"
    (tmp_path / "backend.py").write_text(backend.replace("NAME", repr(wheel)))
    system = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\n{system}")
    (tmp_path / "requirements.lock").write_text("torch==2.13.0\n")
    usual = {"PYTHON": sys.executable, "PIP_INDEX_URL": _index(tmp_path / "usual", "2.13.0")}

    def installed() -> list[str]:
        return [path.name for path in tmp_path.glob(".venv/lib/*/site-packages/torch-*")]

    code, _, noted = set_up(tmp_path, {}, TORCH="cpu", https_proxy="http://127.0.0.1:9", **usual)
    assert (code, installed()) == (0, ["torch-2.13.0.dist-info"]), noted
    assert noted == (
        "make: https://download.pytorch.org/whl/cpu gives no torch==2.13.0; PyPI's build in its place (on Linux one for"
        " CUDA, 3.7 GB more)\n"
    )
    code, _, noted = set_up(tmp_path, {}, TORCH=_index(tmp_path / "cpu", "2.13.0+cpu"), **usual)
    assert (code, installed(), noted) == (0, ["torch-2.13.0+cpu.dist-info"], "")
    assert (tmp_path / ".venv/installed").exists()
    code, _, noted = set_up(tmp_path, {}, **usual)
    assert (code, installed(), noted) == (0, ["torch-2.13.0+cpu.dist-info"], ""), "stays"
