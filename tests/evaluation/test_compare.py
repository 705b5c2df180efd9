"""Better, worse or within noise, on the same resampled rows."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.schemas import GOLD, Labels
from pipeline.evaluation.compare import compare_models, comparison_table
from pipeline.evaluation.evaluate import EvaluationSettings, evaluate_model, headlines
from pipeline.evaluation.metrics import ScoredTable

SETTINGS = EvaluationSettings(level=0.9, resamples=400, seed=0, worst=1)


def scored(error: float, articles: int = 12, seed: int = 0, shuffle: bool = False) -> ScoredTable:
    """120 rows of which a share is decided wrong."""
    truth = np.random.default_rng(1).random((120, 2)) < 0.4
    wrong = np.random.default_rng(seed).random((1, 120, 2)) < error
    whole = ScoredTable(
        ids=np.array([str(n) for n in range(120)]),
        texts=np.array([f"digest {n}" for n in range(120)]),
        articles=np.array([f"{n % articles:02}" for n in range(120)]),
        languages=np.array(["kk"] * 120),
        targets=truth,
        known=np.ones_like(truth),
        scores=np.zeros((1, 120, 2)),
        decisions=truth ^ wrong,
    )
    if not shuffle:
        return whole
    order = np.random.default_rng(2).permutation(120)
    return ScoredTable(
        whole.ids[order],
        whole.texts[order],
        whole.articles[order],
        whole.languages[order],
        whole.targets[order],
        whole.known[order],
        whole.scores[:, order],
        whole.decisions[:, order],
    )


def test_a_clear_difference_is_said() -> None:
    (pair,) = compare_models({"good": scored(0.02), "bad": scored(0.4, seed=3)}, SETTINGS)
    assert (pair["first"], pair["second"], pair["verdict"]) == ("good", "bad", "better")
    assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
    (pair,) = compare_models({"bad": scored(0.4, seed=3), "good": scored(0.02)}, SETTINGS)
    assert pair["verdict"] == "worse"


def test_without_a_theme_that_can_be_measured_nothing_is_compared() -> None:
    nothing = [scored(error).only(np.array([False])) for error in (0.1, 0.4)]
    (pair,) = compare_models(dict(zip("ab", nothing, strict=True)), SETTINGS)
    assert (pair["difference"], pair["interval"], pair["verdict"]) == (None, None, "not measured")
    labels = Labels(task="multi-label", names=("school", "sport"))
    report = evaluate_model({GOLD: nothing[0]}, labels, SETTINGS) | {"scarce": {"school": "can't be learnt yet: …"}}
    assert (report["measured"], report["figures"], headlines(report, labels)) == ([], {}, {})
    page = comparison_table({"a": report, "b": report}, [pair], {"school": "Мектеп", "sport": "Спорт"}, 0.9)
    assert "Macro-F1 is the mean over no theme." in page
    assert "\n- Мектеп can't be learnt yet: ….\n" in page
    assert "| a | – | – | – | – | – | – | – | – |\n" in page
    assert "| theme | F1 a | interval | F1 b | interval |\n" in page
    assert "| Спорт | – | – | – | – |\n" in page
    assert "| a | b | – | – | not measured |\n" in page


def test_a_model_is_within_noise_of_itself_whatever_the_order_of_rows() -> None:
    (pair,) = compare_models({"a": scored(0.2), "b": scored(0.2, shuffle=True)}, SETTINGS)
    assert (pair["difference"], pair["interval"], pair["verdict"]) == (0.0, [0.0, 0.0], "within noise")


def test_two_like_models_are_within_noise() -> None:
    (pair,) = compare_models({"a": scored(0.2, seed=5), "b": scored(0.2, seed=6)}, SETTINGS)
    assert pair["verdict"] == "within noise"


@pytest.mark.parametrize(("articles", "narrow"), [(4, True), (5, False)])
def test_few_articles_are_said_to_be_too_few(articles: int, narrow: bool) -> None:
    (pair,) = compare_models({"a": scored(0.2, articles), "b": scored(0.3, articles, seed=1)}, SETTINGS)
    assert pair["too_narrow"] is narrow
