"""A copy of this repository under git and DVC, made smaller, for the tests that run the real pipeline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# Every Python process of the pipeline writes down which of the project's modules it has loaded.
SPY = """
import atexit, json, os, sys
def tell():
    modules = sorted(name for name in sys.modules if name.startswith("pipeline."))
    with open(os.environ["SPY"], "a") as file:
        file.write(json.dumps({"argv": sys.argv, "modules": modules}) + "\\n")
atexit.register(tell)
"""
FEWER = {
    "configs/pipeline.yaml": [
        ("seeds: [0, 1, 2]", "seeds: [0]"),
        ("resamples: 2000", "resamples: 200"),
        ("threads: 2", "threads: 1"),  # slower, but unmoved by what else the machine does
    ],
    "configs/transformer.yaml": [("\nepochs: ", "\nepochs: 1 # "), ("frozen_layers: 6", "frozen_layers: 10")],
}


class Project:
    """A copy of this repository under git and DVC."""

    def __init__(self, folder: Path, spy: Path) -> None:
        self.folder, self.spy = folder, spy
        self.environment = {**os.environ, "SPY": str(spy / "loaded.jsonl"), "PYTHONPATH": str(spy)}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment |= {
            f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }

    def run(self, *command: str, fails: bool = False) -> str:
        """What a command prints; it has to succeed, or to fail where that is meant."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def replace(self, file: str, old: str, new: str) -> None:
        """Edits a file; what is to be replaced has to be there."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def repro(self, *targets: str) -> list[str]:
        """The stages that `dvc repro` ran; none of them has an empty output, of which DVC warns."""
        lines = self.run("dvc", "repro", *targets).splitlines()
        assert not [line for line in lines if "WARNING" in line and line.endswith("is empty.")]
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "state", "--allow-empty")

    def restore(self) -> None:
        """Back to the last commit, derived files included."""
        self.run("git", "reset", "-q", "--hard")
        self.run("git", "clean", "-fdq")
        self.run("dvc", "checkout", "-q")

    @classmethod
    def copy(cls, folder: Path, spy: Path) -> Project:
        """A repository with this one's files, one seed, one epoch and a quarter of the exemplars, nothing derived."""
        (spy / "sitecustomize.py").write_text(SPY)
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith("reports/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)
        project = cls(folder, spy)
        for file, edits in FEWER.items():
            for old, new in edits:
                project.replace(file, old, new)
        exemplars = folder / "seeds/exemplars.jsonl"
        exemplars.write_text("".join(exemplars.read_text().splitlines(keepends=True)[::4]))
        project.run("git", "init", "-q")
        project.run("git", "config", "user.email", "t@t")
        project.run("git", "config", "user.name", "t")
        return project
