"""What a stage has read, looked at again before it writes.

DVC hashes a stage's dependencies when the stage has ended, so a file that was edited meanwhile would be recorded as
what made the output (https://github.com/iterative/dvc/issues/11058), and nothing would run again. A stage that finds
such a file ends in an error instead, without output.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import UserError

PACKAGE = Path(__file__).parents[1]


class InputState(NamedTuple):
    """Size in bytes and time of change (ns) of a file, and the SHA-256 of what was read."""

    size: int
    changed: int
    digest: str


_inputs: dict[Path, InputState] = {}
_own_folders: set[Path] = set()


def note_own_folder(folder: Path) -> None:
    """What lies below this folder was written by this process, and is no input."""
    _own_folders.add(folder.absolute())


def is_stage() -> bool:
    """Whether DVC runs this process. By hand nothing is noted: nobody records what was read."""
    return "DVC_STAGE" in os.environ


def note_input(path: Path, digest: str) -> None:
    """Remembers what a file held when it was first read."""
    place = path.absolute()
    if place not in _inputs and _own_folders.isdisjoint(place.parents):
        status = path.stat()
        _inputs[place] = InputState(status.st_size, status.st_mtime_ns, digest)


def note_code() -> None:
    """Remembers the modules of the package. Call it before they are loaded."""
    for path in PACKAGE.rglob("*.py"):
        note_input(path, hashlib.sha256(path.read_bytes()).hexdigest())


def check_inputs() -> None:
    """Looks again at all that was noted, but for code that was not loaded and the command line, which no stage names.

    Raises:
        UserError: if a file has changed since.
    """
    if not _inputs:  # `classify` asks after each part of its output
        return
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for path, state in _inputs.items():
        is_code = path.is_relative_to(PACKAGE)
        if is_code and (str(path) not in loaded or path.is_relative_to(PACKAGE / "commands")):
            continue
        try:
            status = path.stat()
            same = (status.st_size, status.st_mtime_ns) == (state.size, state.changed)
            same = same or hashlib.sha256(path.read_bytes()).hexdigest() == state.digest
        except OSError:
            same = False
        if not same:
            stage = os.environ["DVC_STAGE"]
            raise UserError(f"{path}: was changed while {stage} ran; nothing is written, run `dvc repro` again")
