"""A folder that is checked before it is trusted: `manifest.json` holds the digest of every file and is written last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.io import file_sha256, read_json, sha256, write_json
from pipeline.core.schemas import Record

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1


class Manifest(Record, frozen=True):
    """What a folder holds: its `kind` (encoder, model), facts about it, and SHA-256 by file name."""

    format: int
    kind: str
    facts: dict[str, Any]
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over the whole manifest, and so over every byte of the folder."""
        return sha256(msgspec.json.encode(self))


def write_manifest(folder: Path, kind: str, facts: dict[str, Any]) -> Manifest:
    """Digests every file below `folder` and writes the manifest. Call it last."""
    manifest = Manifest(format=MANIFEST_FORMAT, kind=kind, facts=facts, files=_digests(folder))
    write_json(folder / MANIFEST, manifest)
    return manifest


def check_manifest(folder: Path, kind: str) -> Manifest:
    """The manifest of a folder whose files are exactly those it names, byte for byte.

    Raises:
        UserError: if the folder or its manifest is missing, of another kind or format, or a file is missing, changed or
            not named.
    """
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder}: no {kind} folder ({MANIFEST} is missing); run `dvc repro` or name another folder")
    manifest = read_json(folder / MANIFEST, Manifest)
    found, expected = f"{manifest.kind} of format {manifest.format}", f"{kind} of format {MANIFEST_FORMAT}"
    if found != expected:
        raise UserError(f"{folder}/{MANIFEST}: {found}, expected {expected}; make the folder again with this version")
    present = _digests(folder)
    for name in sorted(manifest.files.keys() | present.keys()):
        if manifest.files.get(name) != present.get(name):
            state = "changed" if name in manifest.files else "not in the manifest"
            state = state if name in present else "missing"
            raise UserError(f"{folder}/{name}: {state}; the folder is damaged, make it again with `dvc repro`")
    return manifest


def _digests(folder: Path) -> dict[str, str]:
    present = (path for path in folder.rglob("*") if not path.name.startswith((".DS_Store", "._")))  # a Mac leaves them
    files = sorted(path for path in present if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
