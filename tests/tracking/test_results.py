"""What dvc.lock says of a result, without MLflow; and the scored rows from which models are compared."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.metrics import ScoredTable
from pipeline.tracking.results import _figures, lineage, lineage_params

LOCK = {
    "label": {
        "outs": [{"path": "data/labelled.jsonl", "md5": "a"}],
        "params": {"configs/themes.yaml": {"task": "multi-label", "labels": ["a", "b"]}},
    },
    "encoder": {
        "outs": [{"path": "models/encoder", "md5": "b.dir"}],
        "params": {"configs/pipeline.yaml": {"encoder": 1}},
    },
    "crossval@one": {
        "deps": [{"path": "data/labelled.jsonl", "md5": "a"}, {"path": "pipeline/training/crossval.py", "md5": "c"}],
        "outs": [{"path": "data/oof/one.jsonl", "md5": "d"}],
        "params": {
            "configs/one.yaml": {"rate": 0.5, "ngrams": [1, 2]},
            "configs/pipeline.yaml": {"crossval": {"seeds": [0], "transfer": True}},
            "configs/themes.yaml": {"names": {"a": {"en": "A"}}, "descriptions": {"a": "about a"}},
        },
    },
    "evaluate@two": {"deps": [{"path": "models/encoder"}], "outs": [{"path": "reports/two", "md5": "e"}]},
    "evaluate@one": {"deps": [{"path": "data/oof/one.jsonl"}], "outs": [{"path": "reports/one", "md5": "f.dir"}]},
    "compare": {"deps": [{"path": "reports/one"}], "outs": [{"path": "reports/verdicts.json", "md5": "g"}]},
}


def test_a_result_has_the_stages_it_came_from_and_no_others() -> None:
    assert list(lineage(LOCK, "one")) == ["crossval@one", "evaluate@one", "label"]
    assert list(lineage(LOCK, "two")) == ["encoder", "evaluate@two"]


def test_parameters_are_flat_and_named_as_in_the_files_without_display_names() -> None:
    assert lineage_params(lineage(LOCK, "one")) == {
        "crossval.seeds": "[0]",
        "crossval.transfer": "true",
        "descriptions.a": "about a",
        "labels": '["a","b"]',
        "ngrams": "[1,2]",
        "rate": "0.5",
        "task": "multi-label",
    }


def test_figures_have_the_names_that_mlflow_groups_into_charts() -> None:
    overall = {"f1_macro": 0.5, "f1/a": 0.25, "false_alarms": None}
    report = {"figures": overall, "languages": {"kk": {"f1_macro": 0.75, "f1/a": 1.0}}}
    assert _figures(report) == {"f1_macro": 0.5, "f1/a": 0.25, "f1_macro/kk": 0.75, "f1_kk/a": 1.0}
    assert _figures(report, challenge=True) == {
        "challenge/f1_macro": 0.5,
        "challenge_f1/a": 0.25,
        "challenge/f1_macro_kk": 0.75,
        "challenge_f1_kk/a": 1.0,
    }


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_scored_rows_come_back_as_they_went(seeds: int, rows: int, themes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scored = ScoredTable(
        ids=np.array([f"r{n}" for n in range(rows)]),
        texts=np.array([f"digest {n}" for n in range(rows)]),
        articles=np.array([f"a{n // 2}" for n in range(rows)]),
        languages=np.array(["kk"] * rows),
        targets=rng.random((rows, themes)) > 0.5,
        known=rng.random((rows, themes)) > 0.2,
        scores=rng.random((seeds, rows, themes)),
        decisions=rng.random((seeds, rows, themes)) > 0.5,
    )
    back = ScoredTable.from_rows(scored.to_rows())
    for name in ("ids", "texts", "articles", "languages", "targets", "known", "scores", "decisions"):
        assert (getattr(back, name) == getattr(scored, name)).all(), name
        assert getattr(back, name).shape == getattr(scored, name).shape
