"""A compact model answers as the one that it was made from."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, XLMRobertaConfig, XLMRobertaModel

from pipeline import Classifier
from pipeline.classifiers import openvino
from pipeline.classifiers.base import Setup, model_class
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.classifiers.openvino import GRAPH_FILE, Engine
from pipeline.core.errors import UserError
from pipeline.core.manifest import check_manifest
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.text.boilerplate import Boilerplate
from pipeline.training.export import (
    ExportSettings,
    GateRow,
    SourceTransformer,
    export_compact,
    judge_form,
    to_gate_row,
)
from pipeline.training.graph import Form, WordVectors, load_network, save_graph
from pipeline.training.prune_vocabulary import needed_ids, prune_vocabulary
from pipeline.training.train import train_model
from tests.classifiers.test_classifiers import TRANSFORMER
from tests.conftest import ROOT, THEMES

LONG = "Мектептегі білім сапасы туралы айтылды. " * 12
UNSEEN = ["Ауыл мектебіне жаңа директор келді.", "В городе открыли бассейн 🏊.", "ß", "ә" * 700, LONG]


@pytest.fixture(scope="module")
def trained(
    tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory, rows: list[LabelledRow], labels: Labels
) -> Path:
    """A folder of a transformer on the tiny encoder."""
    path = tmp_path_factory.mktemp("trained")
    (path / "transformer.yaml").write_text(TRANSFORMER)
    short = [msgspec.structs.replace(row, text=row.text[:150]) for row in rows]
    setup = Setup(labels, path / "transformer.yaml", tiny_encoder, 1, 0)
    model, facts = train_model("transformer", short, setup, dict.fromkeys(THEMES, 0.4), 0.25)
    save_model_folder(path / "model", model, facts, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    return path / "model"


def gate(*forms: Any, **changes: Any) -> ExportSettings:
    facts = {"alphabet": "", "calibration_rows": 30, "equal_decisions": 0.99, "f1_loss": 0.01}
    return ExportSettings(forms=forms, **(facts | changes))


@pytest.fixture(scope="module")
def judging(rows: list[LabelledRow], labels: Labels) -> list[GateRow]:
    return [to_gate_row(row, labels) for row in rows]


def made(trained: Path, folder: Path, judging: list[GateRow], settings: ExportSettings) -> dict[str, Any]:
    folder.mkdir()
    return msgspec.to_builtins(export_compact(trained, folder, [row.text for row in judging], judging, settings))


def scores(classifier: Classifier, texts: list[str]) -> np.ndarray:
    return np.array([list(prediction.scores.values()) for prediction in classifier(texts)])


@pytest.mark.parametrize(("form", "near"), [("float32", 1e-5), ("bfloat16", 2e-2), ("int8", 5e-2)])
def test_each_form_answers_as_the_trained_model(
    form: str, near: float, trained: Path, tmp_path: Path, judging: list[GateRow]
) -> None:
    tried = made(trained, tmp_path / "model", judging, gate(form, equal_decisions=0.9, f1_loss=1.0))
    assert list(tried) == [form]
    compact = Classifier.load(tmp_path / "model")
    texts = [row.text for row in judging] + UNSEEN
    assert scores(compact, texts) == pytest.approx(scores(Classifier.load(trained), texts), abs=near)
    assert check_manifest(tmp_path / "model", "model").facts["model"] == "compact"
    assert compact.facts.thresholds == Classifier.load(trained).facts.thresholds


def test_a_missing_openvino_is_an_error_that_names_it(
    trained: Path, tmp_path: Path, judging: list[GateRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(trained, tmp_path / "model", judging, gate("float32", equal_decisions=0.5, f1_loss=1.0))
    monkeypatch.delitem(sys.modules, "pipeline.classifiers.openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"^[^(]*model: needs the package openvino; run `pip install openvino`$"):
        Classifier.load(tmp_path / "model")


def test_an_answer_does_not_hang_on_its_neighbours(trained: Path, tmp_path: Path, judging: list[GateRow]) -> None:
    made(trained, tmp_path / "model", judging, gate("int8", equal_decisions=0.5, f1_loss=1.0))
    compact = Classifier.load(tmp_path / "model", threads=2)
    texts = [row.text for row in judging] + UNSEEN
    alone = np.concatenate([scores(compact, [text]) for text in texts])
    assert scores(compact, texts) == pytest.approx(alone, abs=1e-3)
    assert scores(compact, texts[::-1])[::-1] == pytest.approx(alone, abs=1e-3)


def sharp(trained: Path, folder: Path) -> Path:
    """The same model with sharp attention: a random encoder attends to all alike, and a wrong mask would not show."""
    shutil.copytree(trained, folder)
    weights = folder / "encoder/model.safetensors"
    tensors = load_file(weights)
    for name in tensors:
        if "attention.self.query.weight" in name or "attention.self.key.weight" in name:
            tensors[name] = tensors[name] * 20
    save_file(tensors, weights, {"format": "pt"})
    return folder


@pytest.mark.parametrize("form", ["float32", "bfloat16", "int8"])
def test_padding_is_not_seen_and_attention_is_sharp(
    trained: Path, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sharp(trained, tmp_path / "sharp")
    network = load_network(folder, "mean", np.arange(len(SourceTransformer(trained, "").kept)), "float32")
    known, chance = network.body.config.vocab_size, np.random.default_rng(0)
    windows = [chance.integers(5, known, length).tolist() for length in (3, 15, 16, 17, 31, 40, 40, 59)]
    textbook = AutoModel.from_pretrained(folder / "encoder", add_pooling_layer=False, dtype=torch.float64).eval()
    with torch.no_grad():  # each window alone, without padding, in float64
        alone = [textbook(torch.tensor([window])).last_hidden_state.mean(1) for window in windows]
        expected = network.head.standardise(torch.cat(alone)).numpy()
    save_graph(folder, "mean", np.arange(known), form, windows, tmp_path / GRAPH_FILE)
    near = {"float32": 1e-5, "bfloat16": 4e-3, "int8": 4e-3}[form] * expected.std()
    for has_vnni in (openvino.HAS_VNNI, False):  # without, inputs stay float32: right on every processor
        monkeypatch.setattr(openvino, "HAS_VNNI", has_vnni)
        found = Engine(tmp_path / GRAPH_FILE, 160, 2, bfloat16=form != "float32")(windows)[1]
        assert np.abs(found - expected).mean() < near


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_an_encoder_of_another_family_is_converted_too(form: Form, tmp_path: Path) -> None:
    """RoBERTa counts positions from behind the padding token's id; a window of all 64 positions must still fit."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = XLMRobertaConfig(**sizes, intermediate_size=64, max_position_embeddings=66, pad_token_id=1)
    body = XLMRobertaModel(config, add_pooling_layer=False).eval()
    body.embeddings.position_embeddings.weight.data *= 20  # or a wrong position would not show
    body.save_pretrained(tmp_path / "encoder")
    head = {"linear.weight": np.ones((4, 32)), "linear.bias": np.zeros(4), "centre": np.zeros(32), "scale": np.ones(32)}
    save_file({name: values.astype(np.float32) for name, values in head.items()}, tmp_path / "head.safetensors")
    windows = [np.random.default_rng(0).integers(3, 200, length).tolist() for length in (3, 16, 17, 63, 64)]
    with torch.no_grad():
        expected = torch.cat([body(torch.tensor([window])).last_hidden_state.mean(1) for window in windows]).numpy()
    save_graph(tmp_path, "mean", np.arange(200), form, windows, tmp_path / GRAPH_FILE)
    found = Engine(tmp_path / GRAPH_FILE, 64, 1, bfloat16=False)(windows)[1]
    assert np.abs(found - expected).mean() < 4e-3 * expected.std()


def test_int8_suits_what_reads_a_layer_and_leaves_the_rest(trained: Path, tmp_path: Path) -> None:
    windows = [[0, 5, 6, 7, 2]] * 3
    save_graph(trained, "mean", SourceTransformer(trained, "").kept, "int8", windows, tmp_path / GRAPH_FILE)
    nodes = ov.Core().read_model(tmp_path / GRAPH_FILE).get_ops()
    # in each of the 4 layers: what queries, keys and values are made from, what attention gives, what goes into gelu
    assert [node.get_type_name() for node in nodes].count("FakeQuantize") == 3 * 4
    kinds = [node.get_element_type() for node in nodes if node.get_type_name() == "Constant"]
    assert kinds.count(ov.Type.i8) == 1 + 5 * 4  # words; queries, keys, values, output of attention, input of gelu
    halved = {node.get_friendly_name() for node in nodes if node.get_element_type() == ov.Type.f16}
    assert "self.body.encoder.layer.1.output.dense.weight_compressed" in halved


@pytest.mark.parametrize(("in_hardware", "hint"), [(True, "bf16"), (False, "f32")])
def test_bfloat16_is_asked_for_where_the_processor_has_it(
    in_hardware: bool, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = []

    class Core:
        def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> None:
            hints.append(settings["INFERENCE_PRECISION_HINT"])

    monkeypatch.setattr(openvino, "HAS_BFLOAT16", in_hardware)
    monkeypatch.setattr(openvino, "_read_graph", lambda path: None)
    monkeypatch.setattr(openvino, "_run_once", lambda compiled: None)
    monkeypatch.setattr(openvino.ov, "Core", Core)
    for bfloat16 in (False, True):
        Engine(Path("graph"), 512, 1, bfloat16=bfloat16)._compiled.result()
    assert hints == ["f32", hint]


def test_a_window_that_fails_is_an_error_and_the_engine_goes_on(
    trained: Path, tmp_path: Path, judging: list[GateRow]
) -> None:
    made(trained, tmp_path / "model", judging, gate("float32", equal_decisions=0.5, f1_loss=1.0))
    engine = Classifier.load(tmp_path / "model", threads=2)._model.engine  # type: ignore[attr-defined]
    broken: list[Any] = [["x"] * length for length in (1, 2, 3, 4)]  # more batches than streams
    with pytest.raises(ValueError, match="x"):
        engine([[0, 1, 2], *broken])
    assert engine([[0, 1, 2]])[0].shape == (1, 4)


def test_the_first_form_that_passes_is_taken_and_none_is_an_error(
    trained: Path, tmp_path: Path, judging: list[GateRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(vectors: torch.Tensor) -> WordVectors:
        return WordVectors(vectors.roll(7, 0))

    monkeypatch.setattr("pipeline.training.graph.WordVectors", spoilt)
    settings = gate("int8", "float32", equal_decisions=1.0, f1_loss=0.0)
    tried = made(trained, tmp_path / "model", judging, settings)
    assert list(tried) == ["int8", "float32"]
    assert min(found["equal_decisions"] for found in tried["int8"].values()) < 1
    with pytest.raises(UserError, match="no form passes the gate"):
        made(trained, tmp_path / "none", judging, gate("int8", equal_decisions=1.0, f1_loss=0.0))
    assert not list((tmp_path / "none").iterdir())


def test_only_a_transformer_is_exported(folder: Path) -> None:
    with pytest.raises(UserError, match="a tfidf model; only a transformer can be exported"):
        SourceTransformer(folder, "")


def test_judgement_counts_decisions_and_f1_by_language(folder: Path, judging: list[GateRow]) -> None:
    same = judge_form(Classifier.load(folder), Classifier.load(folder), judging)
    assert {language: (found.equal_decisions, found.f1_loss) for language, found in same.items()} == {
        "kk": (1.0, 0.0),
        "ru": (1.0, 0.0),
    }
    assert sum(found.rows for found in same.values()) == len(judging)


def test_what_is_exported_is_not_trained(labels: Labels) -> None:
    with pytest.raises(UserError, match="compact is exported, not trained"):
        model_class("compact")(Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0))


def unigram() -> dict[str, Any]:
    """Pieces of three alphabets, whole words and their parts."""
    words = ["▁", "▁мек", "теп", "▁school", "sch", "ool", "▁学校", "学", "校", "é", "▁é", "1", "!", "meктеп"]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *words, *"абвгдежзиклмнопрстшчьх", *"abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(models.Unigram([(piece, -float(n % 7)) for n, piece in enumerate(pieces)], 3, False))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    content: dict[str, Any] = json.loads(made.to_str())
    return content


@given(st.text(st.sampled_from("мектепшкола school学校é1! "), max_size=30))
def test_text_whose_pieces_are_kept_is_cut_as_before(text: str) -> None:
    whole = unigram()
    kept = needed_ids(whole, "абвгдежзиклмнопрстшчьхabcdefghijklmnopqrstuvwxyz")
    few = Tokenizer.from_str(json.dumps(prune_vocabulary(whole, kept)))
    before = Tokenizer.from_str(json.dumps(whole)).encode(text)
    if set(before.ids) <= set(kept.tolist()):
        assert [int(kept[id_]) for id_ in few.encode(text).ids] == before.ids
    assert few.encode("").tokens == ["<s>", "</s>"]


def test_pieces_with_other_letters_leave_and_what_has_no_letter_stays() -> None:
    whole = unigram()
    names = [piece for piece, _ in whole["model"]["vocab"]]
    kept = [names[id_] for id_ in needed_ids(whole, "мектп")]
    assert kept == ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁мек", "теп", "1", "!", *"екмпт"]


@given(st.integers(0, 2**31), st.floats(0.01, 100))
def test_a_word_in_int8_is_within_half_a_step(seed: int, spread: float) -> None:
    vectors = torch.tensor(np.random.default_rng(seed).normal(0, spread, (5, 7)), dtype=torch.float32)
    small = WordVectors(vectors)
    assert (small(torch.arange(5)) - vectors).abs().max() <= small.scale.max() * 0.5001
    assert (small.rounded.abs().amax(1) == 127).all()
