"""What dvc.lock says of a result, without MLflow; and the scored rows from which models are compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.evaluation.metrics import ScoredTable
from pipeline.tracking.lock import lineage, lineage_params, model_kinds, needed_outs
from pipeline.tracking.results import ModelFolder, _check_exported, _figures, _gate

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


def test_what_people_serve_belongs_to_the_result_of_what_it_was_made_of() -> None:
    trained = {"outs": [{"path": "models/transformer", "md5": "1.dir"}]}
    deps = [{"path": "models/transformer", "md5": "1.dir"}, {"path": "data/labelled.jsonl", "md5": "a"}]
    exported = {
        "deps": deps,
        "outs": [{"path": "models/compact", "md5": "2.dir"}],
        "params": {"configs/export.yaml": {"forms": ["int8"]}},
    }
    lock = {"label": LOCK["label"], "train@transformer": trained, "train@tfidf": {}, "export": exported}
    assert list(lineage(lock, "transformer")) == ["export", "label", "train@transformer"]
    assert lineage_params(lineage(lock, "transformer"))["forms"] == '["int8"]'
    assert list(lineage(lock, "tfidf")) == ["train@tfidf"]
    assert model_kinds("transformer", lock) == ["transformer", "compact"]
    assert model_kinds("transformer", {"train@transformer": trained}) == ["transformer"]
    assert (model_kinds("tfidf", lock), model_kinds("majority", lock)) == (["tfidf"], [])
    assert needed_outs("transformer", lock)[-2:] == ["models/transformer", "models/compact"]


def test_what_was_made_of_an_earlier_training_is_refused() -> None:
    stage = {"deps": [{"path": "models/transformer", "md5": "1.dir"}, {"path": "pipeline/core", "md5": "3.dir"}]}
    served = ModelFolder("compact", Path("models/compact"), "0123456789", "2.dir", {})
    trained = ModelFolder("transformer", Path("models/transformer"), "ab", "1.dir", {})
    _check_exported(served, trained, stage)
    assert served.name == "compact-01234567"
    later = trained._replace(stored="4.dir")
    with pytest.raises(UserError, match=r"models/compact: not made of this models/transformer.*run `dvc repro export`"):
        _check_exported(served, later, stage)


def test_the_gate_of_the_form_that_was_taken_is_told(tmp_path: Path) -> None:
    found = {"rows": 111, "equal_decisions": 0.9955, "f1_loss": 0.001}
    refused = {"rows": 111, "equal_decisions": 0.9, "f1_loss": 0.1}
    (tmp_path / "export.json").write_text(json.dumps({"int4": {"kk": refused}, "int8": {"kk": found}}))
    assert _gate(tmp_path / "export.json") == {
        "gate/equal_decisions_kk": 0.9955,
        "gate/f1_loss_kk": 0.001,
        "gate/rows_kk": 111,
    }


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
