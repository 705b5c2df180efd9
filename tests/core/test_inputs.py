"""A file that is edited while its stage runs ends the stage: DVC would record the edit as what made the output."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core import inputs
from pipeline.core.errors import UserError
from pipeline.core.io import atomic_folder, read_bytes, read_json, write_json
from pipeline.core.manifest import check_manifest, write_manifest


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a stage has read."""
    monkeypatch.setattr(inputs, "_inputs", {})
    monkeypatch.setenv("DVC_STAGE", "crossval@tfidf")
    path = tmp_path / "tfidf.yaml"
    path.write_text("C: 0.5")
    read_bytes(path)
    return path


def test_an_edited_input_is_an_error_and_nothing_is_written(settings: Path, tmp_path: Path) -> None:
    settings.write_text("C: 20.0")
    expected = f"^{settings}: was changed while crossval@tfidf ran; nothing is written, run `dvc repro` again$"
    with pytest.raises(UserError, match=expected):
        write_json(tmp_path / "scores.json", [])
    with pytest.raises(UserError, match=expected), atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("0")
    assert [path.name for path in tmp_path.iterdir()] == ["tfidf.yaml"]


def test_a_lost_input_is_an_error(settings: Path, tmp_path: Path) -> None:
    settings.unlink()
    with pytest.raises(UserError, match="was changed while"):
        write_json(tmp_path / "scores.json", [])


def test_an_input_that_is_touched_or_edited_back_is_none(settings: Path, tmp_path: Path) -> None:
    settings.write_text("C: 20.0")
    settings.write_text("C: 0.5")
    os.utime(settings, (0, 0))
    write_json(tmp_path / "scores.json", [])


def test_a_folder_that_is_an_input_is_looked_at_again(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/weights").write_text("0")
    write_manifest(tmp_path / "encoder", "encoder", {})
    check_manifest(tmp_path / "encoder", "encoder")
    (tmp_path / "encoder/weights").write_text("1")
    with pytest.raises(UserError, match="encoder/weights: was changed while"):
        write_json(tmp_path / "scores.json", [])


def test_what_a_stage_writes_is_no_input(settings: Path, tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as folder:
        write_json(folder / "facts.json", 1)
        assert read_json(folder / "facts.json", int) == 1
        write_json(folder / "facts.json", 2)
    write_json(tmp_path / "report.json", [])


def test_by_hand_nothing_is_noted(settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")
    other = tmp_path / "README.md"
    other.write_text("1")
    read_bytes(other)
    other.write_text("2")
    monkeypatch.setenv("DVC_STAGE", "docs")
    write_json(tmp_path / "report.json", [])


def test_an_edit_of_loaded_code_counts_and_one_of_the_command_line_does_not(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs.note_code()
    for name, fails in (("commands/main.py", False), ("core/io.py", True)):
        path = inputs.PACKAGE / name
        monkeypatch.setitem(inputs._inputs, path, inputs._inputs[path]._replace(size=0, digest=""))
        if fails:
            with pytest.raises(UserError, match=r"core/io\.py: was changed while"):
                write_json(tmp_path / "report.json", [])
        else:
            write_json(tmp_path / "report.json", [])
