"""A trained transformer -> a compact one: fewer pieces, small weights, and the proof that its answers are the same.

The forms are tried in the order of the settings; the first whose answers pass the gate is taken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.metrics import f1_score

from pipeline.classifiers.compact import CompactConfig
from pipeline.classifiers.model_folder import ModelInfo, inspect_model_folder, model_card
from pipeline.classifiers.openvino import Engine
from pipeline.classifiers.quantization import WORDS, Shape, Tensors, rows_in_int8, smoothquant_int8, to_float16
from pipeline.classifiers.windows import WindowTokenizer
from pipeline.core.arrays import Mask
from pipeline.core.errors import UserError
from pipeline.core.io import atomic_folder, read_json, read_jsonl, write_json, write_text
from pipeline.core.manifest import check_manifest, write_manifest
from pipeline.core.schemas import LabelledRow, Labels, Record
from pipeline.core.settings import Count, Probability, Settings, load_settings
from pipeline.inference.classifier import Classifier
from pipeline.labelling.exemplars import challenge_part, read_exemplars
from pipeline.training import prune_vocabulary as vocabulary

Form = Literal["int8", "bfloat16", "float32"]
COPIED = ("boilerplate.json", "explain", "tfidf")
HEAD_FILE = {"linear.weight": "head.weight", "linear.bias": "head.bias", "centre": "head.centre", "scale": "head.scale"}


def run_export(model: Path, labelled: Path, challenge: Path, settings: Path, out: Path, report: Path) -> None:
    """The stage `export`: all rows calibrate; gold ones and the challenge set's part `dev` judge.

    Raises:
        UserError: if a file is missing or broken, the model is no transformer, or no form passes the gate.
    """
    labels, rows = inspect_model_folder(model)[0].labels, read_jsonl(labelled, LabelledRow)
    judging = [to_gate_row(row, labels) for row in rows if row.provenance == "gold"]
    for row in read_exemplars(challenge, labels, {}):
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


class Trained(msgspec.Struct, frozen=True):
    """What is read of a transformer's facts.json."""

    settings: dict[str, Any]
    prefix: str
    pooling: str
    max_tokens: int


class Original:
    """A trained transformer, read once, with the pieces that the alphabet needs.

    Raises:
        UserError: if the folder is damaged, or holds anything but a BERT-like encoder with gelu.
    """

    def __init__(self, folder: Path, alphabet: Iterable[str]) -> None:
        self.folder = folder
        self.facts = msgspec.convert(check_manifest(folder, "model").facts, ModelInfo)
        if self.facts.model != "transformer":
            raise UserError(f"{folder}: a {self.facts.model} model; only a transformer can be exported")
        self.trained = read_json(folder / "facts.json", Trained)
        config = read_json(folder / "encoder/config.json", dict[str, Any])
        tokenizer = read_json(folder / "encoder/tokenizer.json", dict[str, Any])
        kept = vocabulary.needed_ids(tokenizer, alphabet)
        self.tokenizer = vocabulary.prune_vocabulary(tokenizer, kept)
        pad = int(np.searchsorted(kept, config.get("pad_token_id") or 0))
        self.config = config | {"vocab_size": len(kept), "pad_token_id": pad}
        head = load_file(folder / "head.safetensors")
        self.tensors = load_file(folder / "encoder/model.safetensors") | {
            new: head[old] for old, new in HEAD_FILE.items()
        }
        self.tensors[WORDS] = self.tensors[WORDS][kept]

    @property
    def shape(self) -> Shape:
        """What the engine has to know beside the weights."""
        kind, activation = self.config["model_type"], self.config["hidden_act"]
        if kind not in ("bert", "roberta", "xlm-roberta", "camembert") or activation != "gelu":
            raise UserError(f"{self.folder}: {kind} with {activation} can't be exported; BERT or RoBERTa with gelu can")
        return Shape(
            layers=self.config["num_hidden_layers"],
            heads=self.config["num_attention_heads"],
            first_position=0 if kind == "bert" else self.config["pad_token_id"] + 1,
            epsilon=self.config["layer_norm_eps"],
            pooling=self.trained.pooling,
        )

    def reduced(self, form: Form, texts: Sequence[str], tokenizer: WindowTokenizer) -> Tensors:
        """The weights in that form; `texts` show which values the inputs of a layer take."""
        if form == "float32":
            return self.tensors
        if form == "bfloat16":
            return to_float16(self.tensors)
        watching = Engine(self.tensors, self.shape, "float32", self.facts.threads, watched=True)
        small = to_float16(smoothquant_int8(self.tensors, watching.extremes(tokenizer(texts).ids)))
        small[WORDS], small[f"{WORDS}_scale"] = rows_in_int8(self.tensors[WORDS])
        return small


def write_compact(original: Original, form: Form, texts: Sequence[str], folder: Path) -> None:
    """Makes `folder`, which is empty, a model folder in that form."""
    trained, encoder = original.trained, folder / "encoder"
    for source in (original.folder / name for name in COPIED):
        if source.exists():
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / source.name)
    encoder.mkdir()
    write_json(encoder / "config.json", original.config)
    write_text(encoder / "tokenizer.json", json.dumps(original.tokenizer, ensure_ascii=False))
    tokenizer = WindowTokenizer(encoder, trained.prefix, trained.max_tokens)
    tensors = original.reduced(form, texts, tokenizer)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, folder / "weights.safetensors")
    facts = CompactConfig(
        shape=original.shape,
        prefix=trained.prefix,
        max_tokens=trained.max_tokens,
        tfidf_weight=trained.settings["tfidf_weight"],
        form=form,
    )
    write_json(folder / "facts.json", facts)
    described = msgspec.structs.replace(original.facts, model="compact")
    write_text(folder / "README.md", model_card(described))
    write_manifest(folder, "model", msgspec.to_builtins(described))


def export_compact(
    source: Path, folder: Path, texts: Sequence[str], rows: Sequence[GateRow], settings: ExportSettings
) -> dict[str, dict[str, GateResult]]:
    """Fills `folder`, which is empty, with the first form that passes; every form that was tried, and its judgement.

    `texts` are those learnt from: their letters count as named in the alphabet.

    Raises:
        UserError: if none passes.
    """
    original, trained = Original(source, set(settings.alphabet).union(*texts)), Classifier.load(source)
    calibrating = texts[:: max(1, -(-len(texts) // settings.calibration_rows))]
    tried: dict[str, dict[str, GateResult]] = {}
    for form in settings.forms:
        with TemporaryDirectory(dir=folder.parent) as name:
            candidate = Path(name) / "model"
            candidate.mkdir()
            write_compact(original, form, calibrating, candidate)
            tried[form] = judge_form(trained, Classifier.load(candidate), rows)
            if passes_gate(tried[form], settings):
                for path in candidate.iterdir():
                    path.rename(folder / path.name)
                return tried
    said = msgspec.json.encode(tried).decode()
    raise UserError(f"{source}: no form passes the gate ({said}); add another to the settings, or widen it")


def judge_form(trained: Classifier, compact: Classifier, rows: Sequence[GateRow]) -> dict[str, GateResult]:
    """By language, how far the answers on rows differ."""
    names = trained.facts.labels.names
    found = {}
    for language in sorted({row.language for row in rows}):
        some = [row for row in rows if row.language == language]
        before, after = (
            _given([p.themes for p in model([row.text for row in some])], names) for model in (trained, compact)
        )
        truth = _given([row.themes for row in some], names)
        loss = _macro_f1(truth, before) - _macro_f1(truth, after)
        found[language] = GateResult(
            rows=len(some), equal_decisions=round(float((before == after).mean()), 5), f1_loss=round(loss, 5)
        )
    return found


def passes_gate(found: Mapping[str, GateResult], settings: ExportSettings) -> bool:
    """Whether answers are as near as the settings ask, in every language."""
    return all(j.equal_decisions >= settings.equal_decisions and j.f1_loss <= settings.f1_loss for j in found.values())


def _given(themes: Sequence[Sequence[str]], names: Sequence[str]) -> Mask:
    return np.array([[name in each for name in names] for each in themes])


def _macro_f1(truth: Mask, given: Mask) -> float:
    return float(f1_score(truth, given, average="macro", zero_division=0))
