"""Draws that keep articles together, intervals that are wide enough for few of them, verdicts that are seldom wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.verdicts import verdicts
from pipeline.core.arrays import Array
from pipeline.core.settings import load_section
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.evaluation.metrics import ScoredTable, count_decisions

SETTINGS = load_section(Path("configs/pipeline.yaml"), "evaluation", EvaluationSettings)
FEWER = msgspec.structs.replace(SETTINGS, resamples=1000)
"""Half of the samples, so that many pairs are judged in a second."""


def whole(bootstrap: Bootstrap) -> Array:
    return np.concatenate(list(bootstrap.weights()))


def test_weighted_counts_are_counts_of_the_sample() -> None:
    rng = np.random.default_rng(0)
    articles = np.array([f"art{n % 6}" for n in range(40)])
    targets, decisions = rng.random((40, 3)) < 0.4, rng.random((2, 40, 3)) < 0.4
    known = rng.random((40, 3)) < 0.8
    data = ScoredTable(articles, articles, articles, articles, targets, known, decisions.astype(float), decisions)
    bootstrap = Bootstrap(articles, 5, seed=1)
    for sample, f1 in zip(whole(bootstrap), count_decisions(data, bootstrap.weights()).f1(), strict=True):
        assert f1 == pytest.approx(count_decisions(data.where(np.repeat(np.arange(40), sample.astype(int)))).f1())


def test_articles_are_drawn_whole_and_their_rows_within() -> None:
    articles = np.array(["e", "a", "b", "c", "d"] * 10)
    weights = whole(Bootstrap(articles, 400, seed=0))
    per_article = weights.reshape(400, 10, 5).sum(axis=1)
    assert set((per_article % 10).ravel().tolist()) == {0.0}
    assert per_article.mean(axis=0) == pytest.approx(10, abs=1.5)
    assert weights.max() > per_article.max() / 10  # rows of an article are not all drawn equally often


def test_behind_four_articles_rows_are_drawn_alone() -> None:
    bootstrap = Bootstrap(np.array(["a", "b", "c", "d"] * 10), 400, seed=0)
    assert bootstrap.too_narrow
    assert (whole(bootstrap).sum(axis=1) == 40).all()
    assert len(set(whole(bootstrap).reshape(400, 10, 4).sum(axis=1).ravel().tolist())) > 10


def test_blocks_are_of_one_stream_and_the_same_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = Bootstrap(np.array([f"{n % 7}" for n in range(50)]), 30, seed=3)
    once = whole(bootstrap)
    assert (once == whole(bootstrap)).all()
    assert len(list(bootstrap.weights())) == 1
    monkeypatch.setattr("pipeline.evaluation.bootstrap._DRAWS", 400)
    assert [block.shape for block in bootstrap.weights()] == [(8, 50)] * 3 + [(6, 50)]


@pytest.mark.parametrize(("articles", "low"), [(5, 0.0165), (30, 0.0447), (10_000, 0.05)])
def test_few_articles_reach_as_far_as_students_t(articles: int, low: float) -> None:
    bootstrap = Bootstrap(np.arange(articles).astype(str), 1, seed=0)
    assert bootstrap.interval(np.linspace(0, 1, 100_001), 0.9) == pytest.approx((low, 1 - low), abs=1e-4)


def test_samples_without_positives_do_not_count() -> None:
    bootstrap = Bootstrap(np.array(["a", "b"]), 3, seed=0)
    assert bootstrap.interval(np.array([np.nan, 0.5, 0.5]), 0.9) == (0.5, 0.5)
    assert bootstrap.interval(np.array([np.nan, np.nan]), 0.9) is None


def test_one_row_has_an_interval_without_width() -> None:
    assert Bootstrap(np.array(["a"]), 3, seed=0).interval(np.array([0.4, 0.4, 0.4]), 0.9) == (0.4, 0.4)


@pytest.mark.parametrize("by_article", [0.0, 1.5])
def test_equally_good_models_are_seldom_told_apart(by_article: float) -> None:
    said = verdicts(500, 0.0, by_article, FEWER)
    assert said["better"] + said["worse"] <= 60  # with z in place of t 91 where models differ by article


def test_a_difference_is_found_as_often_as_the_design_says() -> None:
    said = verdicts(200, 0.15, 0.0, FEWER)
    assert 0.45 <= said["better"] / 200 <= 0.65
    assert said["worse"] == 0
