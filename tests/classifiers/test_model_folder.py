"""A model folder of other code is named as such, whatever that code has written in another way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from pipeline import Classifier
from pipeline.classifiers.model_folder import label_rates
from pipeline.core.errors import UserError
from pipeline.core.manifest import write_manifest
from pipeline.core.schemas import LabelledRow, Labels


def rename_boilerplate(folder: Path) -> None:
    (folder / "boilerplate.json").rename(folder / "furniture.json")


def rename_settings(folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    settings["min_rows"] = settings.pop("min_df")
    (folder / "settings.json").write_text(json.dumps(settings))


def move_into_a_folder(folder: Path) -> None:
    (folder / "tfidf").mkdir()
    (folder / "tfidf.safetensors").rename(folder / "tfidf/tfidf.safetensors")


def rename_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "tfidf.safetensors")
    tensors["weights"] = tensors.pop("coefficients")
    save_file(tensors, folder / "tfidf.safetensors")


@pytest.mark.parametrize("change", [rename_boilerplate, rename_settings, move_into_a_folder, rename_a_tensor])
def test_a_folder_with_other_files_is_of_another_version(
    change: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    facts = json.loads((older / "manifest.json").read_text())["facts"]
    change(older)
    (older / "manifest.json").unlink()
    write_manifest(older, "model", facts)
    with pytest.raises(UserError, match=f"^{older}: made by another version of this project .*; train the model again"):
        Classifier.load(older)


def test_facts_of_another_version_say_so(folder: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    facts = json.loads((older / "manifest.json").read_text())["facts"]
    del facts["label_rates"]
    (older / "manifest.json").unlink()
    write_manifest(older, "model", facts)
    with pytest.raises(UserError, match=r"made by another version of this project .*label_rates"):
        Classifier.load(older)


def test_a_folder_with_the_band_as_a_probability_is_refused(folder: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    facts = json.loads((older / "manifest.json").read_text())["facts"]
    facts["abstain_band"] = facts.pop("abstain_log_odds") / 5
    (older / "manifest.json").unlink()
    write_manifest(older, "model", facts)
    with pytest.raises(UserError, match=r"made by another version of this project .*abstain_.*; train the model again"):
        Classifier.load(older)


def test_rates_are_weighted_shares(rows: list[LabelledRow], labels: Labels) -> None:
    rates = label_rates(rows, labels)
    for column, name in enumerate(labels.names):
        weights = [row.weights[column] for row in rows]
        positive = sum(row.targets[column] * row.weights[column] for row in rows)
        assert rates[name] == (round(positive / sum(weights), 4) if sum(weights) else 0.0)
