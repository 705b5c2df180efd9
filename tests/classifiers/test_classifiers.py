"""What both models promise: weights and unknowns count as they say, and what is saved answers as what was trained."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.classifiers.base import MODELS, Setup, TextClassifier, model_class
from pipeline.classifiers.transformer import Transformer, _shared
from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow, Labels
from tests.conftest import ROOT

TRANSFORMER = """
epochs: 3
article_epochs: 1
article_rate: 0.5
replay: 2
batch_size: 8
frozen_layers: 2
learning_rate: 0.001
head_learning_rate: 0.01
probe_penalty: 0.001
weight_decay: 0.01
warmup: 0.1
dropout: 0.1
precision: float32
tfidf_weight: 1.0
tfidf:
  char_ngrams: [2, 3]
  word_ngrams: [1, 1]
  min_df: 1
  sublinear_tf: true
  C: 10
  class_weight: null
"""
UNSEEN = ["Ауыл мектебіне жаңа директор келді.", "В городе открыли бассейн 🏊.", "", "ß", "ә" * 700]


@pytest.fixture(scope="module")
def rows(rows: list[LabelledRow]) -> list[LabelledRow]:
    """The gold rows with the beginnings of their texts: the tiny encoder reads characters, and these tests are fast."""
    return [msgspec.structs.replace(row, text=row.text[:150]) for row in rows]


@pytest.fixture(scope="module")
def setup(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory, labels: Labels) -> dict[str, Setup]:
    """What each model is made from, the transformer on the tiny encoder."""
    config = tmp_path_factory.mktemp("config") / "transformer.yaml"
    config.write_text(TRANSFORMER)
    configs = dict.fromkeys(MODELS, ROOT / "configs/themes.yaml")
    configs |= {"rules": ROOT / "configs/rules.yaml", "tfidf": ROOT / "configs/tfidf.yaml", "transformer": config}
    return {name: Setup(labels, path, tiny_encoder, threads=1, seed=0) for name, path in configs.items()}


def fitted(name: str, setup: Setup, rows: Sequence[LabelledRow]) -> TextClassifier:
    model = model_class(name)(setup)
    model.fit(rows)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_a_probability_a_theme(name: str, setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    model = fitted(name, setup[name], rows[:40])
    scores = model.predict([row.text for row in rows[40:]] + UNSEEN)
    assert scores.shape == (len(rows) - 40 + len(UNSEEN), 4)
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_what_is_loaded_answers_as_what_was_trained(
    name: str, setup: dict[str, Setup], rows: list[LabelledRow], tmp_path: Path, labels: Labels
) -> None:
    model = fitted(name, setup[name], rows)
    texts = [row.text for row in rows] + UNSEEN
    before = model.predict(texts)
    model.save(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".bin", ".joblib", ".pt")]
    loaded = model_class(name).load(tmp_path, labels, threads=1)
    assert loaded.predict(texts) == pytest.approx(before, abs=1e-6)


def test_exemplars_are_learnt_once_and_articles_after_them(setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    """What fits share changes no answer: alone, or after a fit with other articles, a model is the same."""
    written = [msgspec.structs.replace(row, provenance="exemplar") for row in rows[:20]]
    texts = [row.text for row in rows]
    _shared.cache_clear()
    alone = fitted("transformer", setup["transformer"], [*written, *rows[20:40]]).predict(texts)
    other = fitted("transformer", setup["transformer"], [*written, *rows[40:]])
    again = fitted("transformer", setup["transformer"], [*written, *rows[20:40]])
    assert isinstance(again, Transformer)
    assert len(again.shared.exemplar_fits) == 1
    exemplar_windows = again.shared.tokenizer([row.text for row in written]).ids
    assert set(again.shared.untrained) == {tuple(window) for window in exemplar_windows}, "known by their tokens"
    assert (again.predict(texts) == alone).all()
    assert np.abs(other.predict(texts) - alone).max() > 1e-4
    _shared.cache_clear()


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_the_same_rows_and_seed_give_the_same_bytes(
    name: str, setup: dict[str, Setup], rows: list[LabelledRow], tmp_path: Path
) -> None:
    files = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        fitted(name, setup[name], rows[:30]).save(tmp_path / run)
        files.append({p.name: p.read_bytes() for p in sorted((tmp_path / run).rglob("*")) if p.is_file()})
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_an_answer_does_not_depend_on_other_texts(name: str, setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    model = fitted(name, setup[name], rows[:30])
    texts = [row.text for row in rows[30:50]]
    alone = np.concatenate([model.predict([text]) for text in texts])
    assert model.predict(texts) == pytest.approx(alone, abs=1e-5)
    assert model.predict(texts[::-1])[::-1] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_an_unknown_theme_teaches_nothing(name: str, setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    """Whatever stands in the target of a theme that weighs nothing, the model is the same."""
    masked = [
        msgspec.structs.replace(row, weights=(1.0, 1.0, 0.0, 1.0) if n % 2 else row.weights)
        for n, row in enumerate(rows)
    ]
    flipped = [
        msgspec.structs.replace(row, targets=(*row.targets[:2], 1 - row.targets[2], row.targets[3])) if n % 2 else row
        for n, row in enumerate(masked)
    ]
    texts = [row.text for row in rows]
    one, other = (fitted(name, setup[name], several).predict(texts) for several in (masked, flipped))
    assert one == pytest.approx(other, abs=1e-6)
    whole = fitted(name, setup[name], rows).predict(texts)
    assert not np.allclose(whole[:, 2], one[:, 2], atol=1e-3)


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_weights_and_soft_targets_count(name: str, setup: dict[str, Setup]) -> None:
    """Two contradicting readings of one text: the heavier one wins, and a soft target lands between."""

    def prediction(*readings: tuple[float, float]) -> float:
        fact = {"id": "x", "article": "a", "language": "kk", "kind": "body", "provenance": "gold"}
        rows = [
            LabelledRow(**fact, text=text, targets=(t,) * 4, weights=(w,) * 4, rule_targets=(), rule_weights=())  # type: ignore[arg-type]
            for t, w in readings
            for text in ["Мектеп ашылды.", "Қар жауды.", "Снег идет.", "Школа открыта."]
        ]
        return float(fitted(name, setup[name], rows).predict(["Мектеп ашылды."])[0, 0])

    assert prediction((1.0, 1.0), (0.0, 0.1)) > 0.6
    assert prediction((1.0, 0.1), (0.0, 1.0)) < 0.4
    assert 0.6 < prediction((0.8, 1.0)) < 0.95


def test_majority_says_the_prior(setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    shares = np.mean([row.targets for row in rows], axis=0)
    assert fitted("majority", setup["majority"], rows).predict(["Кез келген мәтін"])[0] == pytest.approx(shares)


def test_rules_say_what_they_vote(setup: dict[str, Setup]) -> None:
    """Two cases of one rule are one vote, two rules are two."""
    texts = ["Ауылдағы мектептерге мұғалімдер жетіспейді.", "Ауылдағы мектептерге университет студенттері келді."]
    scores = model_class("rules")(setup["rules"]).predict(texts)
    assert scores[0, 0] == pytest.approx(0.88)
    assert scores[1, 0] > 0.95
    assert (scores[:, 1:] < 0.5).all()


def test_text_beyond_the_window_is_read(setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    """Windows of 160 tokens: what stands after 1,000 characters can only raise the probabilities, and is not cut."""
    model = fitted("transformer", setup["transformer"], rows)
    filler = "Қар жауды. " * 100
    texts = [row.text[:150] for row in rows[:20]]
    head = model.predict([filler] * len(texts))
    whole = model.predict([filler + text for text in texts])
    assert (np.abs(whole - head) > 1e-6).any()


def test_references_are_not_shipped(setup: dict[str, Setup], tmp_path: Path, labels: Labels) -> None:
    for name in ("majority", "rules", "zeroshot"):
        with pytest.raises(UserError, match="is a reference"):
            model_class(name)(setup[name]).save(tmp_path)
        with pytest.raises(UserError, match="is a reference"):
            model_class(name).load(tmp_path, labels, 1)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UserError, match="'svm' is not one of majority"):
        model_class("svm")


def test_no_encoder_no_transformer(setup: dict[str, Setup], labels: Labels) -> None:
    with pytest.raises(UserError, match="give --encoder"):
        model_class("transformer")(Setup(labels, setup["transformer"].config, None, 1, 0))


@pytest.mark.parametrize("name", ["tfidf", "transformer"])
def test_a_single_label_task_shares_out_one(name: str, setup: dict[str, Setup], rows: list[LabelledRow]) -> None:
    single = Labels(task="single-label", names=("kk", "ru", "en"))
    facts = {"weights": (1.0, 1.0, 1.0), "rule_targets": (), "rule_weights": ()}
    by_language = [
        msgspec.structs.replace(row, targets=(float(row.language == "kk"), float(row.language == "ru"), 0.0), **facts)
        for row in rows
    ]
    base = setup[name]
    model = fitted(name, Setup(single, base.config, base.encoder, 1, 0), by_language)
    scores = model.predict([row.text for row in rows])
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    right = [("kk", "ru", "en")[best] == row.language for best, row in zip(scores.argmax(1), rows, strict=True)]
    assert np.mean(right) > 0.9


def test_a_missing_or_damaged_encoder_is_refused(setup: dict[str, Setup], tiny_encoder: Path, tmp_path: Path) -> None:
    base = setup["transformer"]
    with pytest.raises(UserError, match="no encoder folder"):
        model_class("transformer")(Setup(base.labels, base.config, tmp_path / "none", 1, 0))
    bad = tmp_path / "bad"
    shutil.copytree(tiny_encoder, bad)
    weights = bytearray((bad / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (bad / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=r"model\.safetensors: changed"):
        model_class("transformer")(Setup(base.labels, base.config, bad, 1, 0))
