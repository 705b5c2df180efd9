"""A trained transformer -> a compact one: a smaller vocabulary, small weights, and the proof that it answers alike.

The forms are tried in the order of the settings; the first whose answers pass the gate is taken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipeline.classifiers.compact import CompactConfig
from pipeline.classifiers.model_folder import ModelInfo, inspect_model_folder, model_card
from pipeline.classifiers.openvino import GRAPH_FILE
from pipeline.classifiers.transformer import TransformerConfig
from pipeline.classifiers.windows import WindowTokenizer
from pipeline.core.arrays import Mask
from pipeline.core.errors import UserError
from pipeline.core.io import atomic_folder, read_json, read_jsonl, write_json, write_text
from pipeline.core.manifest import check_manifest, write_manifest
from pipeline.core.schemas import LabelledRow, Labels, Record
from pipeline.core.settings import Count, Probability, Settings, load_settings
from pipeline.evaluation.metrics import macro_f1
from pipeline.inference.classifier import Classifier
from pipeline.labelling.exemplars import challenge_part, read_exemplars
from pipeline.training.graph import Form, save_graph
from pipeline.training.prune_vocabulary import needed_ids, prune_vocabulary

COPIED_FILES = ("boilerplate.json", "explain", "tfidf")


def run_export(model: Path, labelled: Path, challenge: Path | None, settings: Path, out: Path, report: Path) -> None:
    """The stage `export`: all rows calibrate; gold ones and the challenge set's part `dev` judge.

    Raises:
        UserError: if a file is missing or broken, the model is no transformer, or no form passes the gate.
    """
    labels, rows = inspect_model_folder(model)[0].labels, read_jsonl(labelled, LabelledRow)
    judging = [to_gate_row(row, labels) for row in rows if row.provenance == "gold"]
    for row in read_exemplars(challenge, labels, {}) if challenge else ():
        if challenge_part(row) == "dev":
            judging.append(GateRow(language=row.language, text=row.text, themes=row.themes))
    texts, chosen = [row.text for row in rows], load_settings(settings, ExportSettings)
    with atomic_folder(out) as folder:
        tried = export_compact(model, folder, texts, judging, chosen)
    write_json(report, tried)


class ExportSettings(Settings, frozen=True):
    """The content of configs/export.yaml."""

    alphabet: str
    forms: tuple[Form, ...]
    calibration_rows: Count
    equal_decisions: Probability
    f1_loss: Probability


class GateRow(Record, frozen=True):
    """A paragraph that the gate looks at, and its themes."""

    language: str
    text: str
    themes: tuple[str, ...]


def to_gate_row(row: LabelledRow, labels: Labels) -> GateRow:
    """A gold row; a theme that was not asked for counts as not given."""
    given = zip(labels.names, row.targets, row.weights, strict=True)
    themes = tuple(name for name, target, weight in given if weight and target >= 0.5)
    return GateRow(language=row.language, text=row.text, themes=themes)


class GateResult(Record, frozen=True):
    """How far answers are from the trained model's: the share of equal decisions, and what macro-F1 loses."""

    rows: int
    equal_decisions: float
    f1_loss: float


class SourceTransformer:
    """A trained transformer, read once, with the part of its vocabulary that the alphabet needs.

    Raises:
        UserError: if the folder is damaged, or holds anything but a transformer.
    """

    def __init__(self, folder: Path, alphabet: Iterable[str]) -> None:
        self.folder = folder
        self.info = msgspec.convert(check_manifest(folder, "model").facts, ModelInfo)
        if self.info.model != "transformer":
            raise UserError(f"{folder}: a {self.info.model} model; only a transformer can be exported")
        self.facts = read_json(folder / "facts.json", TransformerConfig)
        config = read_json(folder / "encoder/config.json", dict[str, Any])
        tokenizer = read_json(folder / "encoder/tokenizer.json", dict[str, Any])
        self.kept = needed_ids(tokenizer, alphabet)
        self.tokenizer = prune_vocabulary(tokenizer, self.kept)
        pad = int(np.searchsorted(self.kept, config.get("pad_token_id") or 0))
        self.config = config | {"vocab_size": len(self.kept), "pad_token_id": pad}


def write_compact(source: SourceTransformer, form: Form, texts: Sequence[str], folder: Path) -> None:
    """Makes `folder`, which is empty, a model folder in that form."""
    facts, encoder = source.facts, folder / "encoder"
    for path in (source.folder / name for name in COPIED_FILES):
        if path.exists():
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, folder / path.name)
    encoder.mkdir()
    write_json(encoder / "config.json", source.config)
    write_text(encoder / "tokenizer.json", json.dumps(source.tokenizer, ensure_ascii=False))
    windows = WindowTokenizer(encoder, facts.prefix, facts.max_tokens)(texts).ids
    save_graph(source.folder, facts.pooling, source.kept, form, windows, folder / GRAPH_FILE)
    config = CompactConfig(
        prefix=facts.prefix,
        max_tokens=facts.max_tokens,
        tfidf_weight=facts.settings.tfidf_weight,
        form=form,
    )
    write_json(folder / "facts.json", config)
    info = msgspec.structs.replace(source.info, model="compact")
    write_text(folder / "README.md", model_card(info))
    write_manifest(folder, "model", msgspec.to_builtins(info))


def export_compact(
    source: Path, folder: Path, texts: Sequence[str], rows: Sequence[GateRow], settings: ExportSettings
) -> dict[str, dict[str, GateResult]]:
    """Fills `folder`, which is empty, with the first form that passes; the results of every form that was tried.

    `texts` are those of the training rows: they calibrate, and their letters count as named in the alphabet.

    Raises:
        UserError: if none passes; the folder is then empty.
    """
    transformer, trained = SourceTransformer(source, set(settings.alphabet).union(*texts)), Classifier.load(source)
    calibrating = texts[:: max(1, -(-len(texts) // settings.calibration_rows))]  # evenly spread over all rows
    tried: dict[str, dict[str, GateResult]] = {}
    for form in settings.forms:
        write_compact(transformer, form, calibrating, folder)
        tried[form] = judge_form(trained, Classifier.load(folder), rows)
        if passes_gate(tried[form], settings):
            return tried
        shutil.rmtree(folder)
        folder.mkdir()
    results = msgspec.json.encode(tried).decode()
    raise UserError(f"{source}: no form passes the gate ({results}); add another to the settings, or widen it")


def judge_form(trained: Classifier, compact: Classifier, rows: Sequence[GateRow]) -> dict[str, GateResult]:
    """By language, how far the answers on rows differ."""
    names = trained.facts.labels.names
    results = {}
    for language in sorted({row.language for row in rows}):
        some = [row for row in rows if row.language == language]
        texts = [row.text for row in some]
        truth = _theme_mask([row.themes for row in some], names)
        before, after = (_theme_mask([p.themes for p in model(texts)], names) for model in (trained, compact))
        loss = macro_f1(truth, before) - macro_f1(truth, after)
        results[language] = GateResult(
            rows=len(some),
            equal_decisions=round(float((before == after).mean()), 5),
            f1_loss=round(float(np.nan_to_num(loss)), 5),  # NaN where no row has a theme: nothing to lose
        )
    return results


def passes_gate(results: Mapping[str, GateResult], settings: ExportSettings) -> bool:
    """Whether answers are as near as the settings ask, in every language."""
    equal = all(result.equal_decisions >= settings.equal_decisions for result in results.values())
    return equal and all(result.f1_loss <= settings.f1_loss for result in results.values())


def _theme_mask(themes: Sequence[Sequence[str]], names: Sequence[str]) -> Mask:
    return np.array([[name in given for name in names] for given in themes])
