"""A folder is trusted only if every file is there, unchanged and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.manifest import check_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    (path / "deep").mkdir(parents=True)
    (path / "a.bin").write_bytes(b"weights")
    (path / "deep/b.json").write_text("{}")
    write_manifest(path, "model", {"model": "tfidf"})
    return path


def test_an_unchanged_folder_is_trusted(folder: Path) -> None:
    manifest = check_manifest(folder, "model")
    assert manifest.facts == {"model": "tfidf"}
    assert sorted(manifest.files) == ["a.bin", "deep/b.json"]


def test_what_a_mac_leaves_behind_is_no_damage(folder: Path) -> None:
    before = check_manifest(folder, "model")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "deep/._b.json").write_bytes(b"\0\5\26\7")
    assert check_manifest(folder, "model") == before == write_manifest(folder, "model", {"model": "tfidf"})


def test_the_digest_changes_with_any_byte(folder: Path) -> None:
    before = check_manifest(folder, "model").digest
    (folder / "deep/b.json").write_text("{ }")
    assert write_manifest(folder, "model", {"model": "tfidf"}).digest != before


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda f: (f / "a.bin").write_bytes(b"weightz"), "a.bin: changed"),
        (lambda f: (f / "a.bin").unlink(), "a.bin: missing"),
        (lambda f: (f / "deep/c.pkl").write_bytes(b"x"), "deep/c.pkl: not in the manifest"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json: Input data was truncated"),
    ],
)
def test_damage_is_refused(damage: Callable[[Path], object], part: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(UserError) as error:
        check_manifest(folder, "model")
    assert part in str(error.value)


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="model of format 1, expected encoder"):
        check_manifest(folder, "encoder")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model folder"):
        check_manifest(tmp_path / "nowhere", "model")
