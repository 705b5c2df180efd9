"""A cascade gives TF-IDF's answer where TF-IDF is sure, and the compact model's everywhere else."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Classifier
from pipeline.classifiers.cascade import ConfidenceBand, is_confident
from pipeline.classifiers.decision import decide
from pipeline.classifiers.model_folder import ModelInfo
from pipeline.core.errors import UserError
from pipeline.core.manifest import check_manifest, write_manifest
from pipeline.core.schemas import MULTI_LABEL, SINGLE_LABEL, FoldRow, LabelledRow, Labels, Scores
from pipeline.training.cascade import CascadeEvidence, fit_bands, tradeoff_curve, write_cascade
from tests.training.test_export import GateRow, gate, judging, made, scores, trained

__all__ = ["judging", "trained"]  # fixtures

TWO = Labels(task=MULTI_LABEL, names=("one", "two"))
THRESHOLDS = {"one": 0.3, "two": 0.4}
FACTS = cast(ModelInfo, SimpleNamespace(labels=TWO, thresholds=THRESHOLDS, abstain_log_odds=0.25, unlearnt=()))


def evidence(first: Any, second: Any) -> CascadeEvidence:
    first, second = np.array(first, float).reshape(-1, 2), np.array(second, bool).reshape(-1, 2)
    count = len(first)
    languages = np.array(["kk", "ru"] * count)[:count]
    return CascadeEvidence(first, second, second, np.ones_like(second), np.arange(count) % 3, languages)


@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 2, *[st.booleans()] * 2), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.05, 0.3, 1.0]),
)
def test_in_a_zone_the_second_model_says_otherwise_no_oftener_than_allowed(
    rows: list[tuple[float, float, bool, bool]], share: float
) -> None:
    found = evidence([row[:2] for row in rows], [row[2:] for row in rows])
    for column, zone in enumerate(fit_bands(found.first, found.second, FACTS, share)):
        values, given_ = found.first[:, column], found.second[:, column]
        assert given_[values <= zone.low].sum() <= share * (values <= zone.low).sum()
        assert (~given_[values >= zone.high]).sum() <= share * (values >= zone.high).sum()
        for value in values[(values <= zone.low) | (values >= zone.high)]:
            told = decide([value, 0], TWO, {"one": FACTS.thresholds[TWO.names[column]], "two": 0.4}, 0.25)
            assert ("one" in told.themes) == (value >= zone.high)
            assert "one" not in told.undecided


def test_zones_by_hand() -> None:
    first = [[0.01, 0.9], [0.02, 0.9], [0.2, 0.9], [0.5, 0.9], [0.9, 0.9]]
    scored = evidence(first, [[0, 1], [0, 1], [1, 0], [0, 1], [1, 1]])
    found = fit_bands(scored.first, scored.second, FACTS, 0.0)
    assert found[0] == ConfidenceBand(low=0.02, high=0.9)
    assert found[1].low == -1  # the lowest score there is goes with the theme
    assert found[1].high == 2  # and with its absence


def test_sure_is_sure_of_every_theme() -> None:
    given_ = np.array([[0.1, 0.9], [0.1, 0.5], [0.1, 0.1], [0.9, 0.9]])
    both = [ConfidenceBand(low=0.2, high=0.8)] * 2
    assert is_confident(given_, both, MULTI_LABEL).tolist() == [True, False, True, True]
    assert is_confident(given_, both, SINGLE_LABEL).tolist() == [True, False, False, True]


def test_a_theme_that_was_not_learnt_is_surely_absent() -> None:
    """TF-IDF's .5 for it would else hold every paragraph up."""
    first = [[0.01, 0.5], [0.9, 0.5]]
    scored = evidence(first, [[0, 0], [1, 0]])
    info = cast(ModelInfo, SimpleNamespace(**{**vars(FACTS), "unlearnt": ("two",)}))
    bands = fit_bands(scored.first, scored.second, info, 0)
    assert is_confident(scored.first, bands, MULTI_LABEL).tolist() == [True, True]
    assert not (scored.first[:, 1] >= bands[1].high).any()


def test_the_curve_grows_with_what_is_allowed() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((300, 2)) < 0.3
    found = evidence(np.clip(truth * 0.6 + rng.normal(0.2, 0.15, truth.shape), 0, 1), truth)
    points = [row for row in tradeoff_curve(found, FACTS) if row["language"] == "kk"]
    shares = [row["answered_by_first"] for row in points]
    assert shares == sorted(shares)
    assert shares[-1] > 0.6 > shares[0]
    assert points[0]["equal_decisions"] > 0.98
    assert all(row["f1_macro_second"] == 1 and row["f1_macro"] <= 1 for row in points)


def test_each_paragraph_has_the_answer_of_one_of_the_two(
    trained: Path, folder: Path, tmp_path: Path, judging: list[GateRow]
) -> None:
    made(trained, tmp_path / "compact", judging, gate("float32", equal_decisions=0.5, f1_loss=1.0))
    texts = [row.text for row in judging]
    first, second = (scores(Classifier.load(path), texts) for path in (folder, tmp_path / "compact"))
    chosen = [ConfidenceBand(low=0.1, high=0.6)] * first.shape[1]
    (tmp_path / "cascade").mkdir()
    write_cascade(folder, tmp_path / "compact", tmp_path / "cascade", chosen)
    certain = is_confident(first, chosen, MULTI_LABEL)
    assert 0 < certain.sum() < len(texts)
    cascade = Classifier.load(tmp_path / "cascade")
    assert scores(cascade, texts) == pytest.approx(np.where(certain[:, None], first, second), abs=1e-5)
    assert cascade.facts.thresholds == Classifier.load(tmp_path / "compact").facts.thresholds
    assert cascade.name.startswith("cascade-")
    assert cascade([]) == []


def test_one_and_the_same_tfidf_is_kept_once(
    trained: Path, folder: Path, tmp_path: Path, judging: list[GateRow]
) -> None:
    made(trained, tmp_path / "compact", judging, gate("float32", equal_decisions=0.5, f1_loss=1.0))
    alike = shutil.copytree(folder, tmp_path / "tfidf")
    for path in (tmp_path / "compact/tfidf").iterdir():
        shutil.copy(path, alike / path.name)
    write_manifest(alike, "model", check_manifest(folder, "model").facts)
    for name, source in (("same", alike), ("other", folder)):
        (tmp_path / name).mkdir()
        write_cascade(source, tmp_path / "compact", tmp_path / name, [ConfidenceBand(low=0.1, high=0.9)] * 4)
        assert (tmp_path / name / "first").exists() == (name == "other")
    assert len(Classifier.load(tmp_path / "same")("Мектепте жаңа оқу жылы басталды.").scores) == 4


def test_models_for_different_labels_are_refused(
    trained: Path, folder: Path, tmp_path: Path, judging: list[GateRow]
) -> None:
    made(trained, tmp_path / "compact", judging, gate("float32", equal_decisions=0.5, f1_loss=1.0))
    other = shutil.copytree(folder, tmp_path / "tfidf")
    facts = check_manifest(folder, "model").facts
    write_manifest(other, "model", facts | {"labels": facts["labels"] | {"names": list("abcd")}})
    with pytest.raises(UserError, match="for different labels"):
        write_cascade(other, tmp_path / "compact", tmp_path, [])
    with pytest.raises(UserError, match="a compact model, expected tfidf"):
        write_cascade(tmp_path / "compact", tmp_path / "compact", tmp_path, [])


def test_scores_that_never_meet_are_refused(rows: list[LabelledRow]) -> None:
    score = Scores(id=rows[0].id, setting="gold", seed=0, fold=0, scores=(0.1, 0.2))
    stranger = msgspec.structs.replace(score, id="x")
    fold = FoldRow(article=rows[0].article, fold=0, role="test")
    with pytest.raises(UserError, match="by both models"):
        CascadeEvidence.join(rows, [fold], [score], [stranger], FACTS)
