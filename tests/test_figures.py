"""What `python -m tests.figures` lets pass from one processor to another, and what not."""

from __future__ import annotations

import copy
import json

from pipeline.classifiers.base import MODELS
from tests.conftest import ROOT
from tests.figures import changed_verdicts, differences, read_figures

METRICS = read_figures(lambda name: (ROOT / name).read_bytes(), list(MODELS))
VERDICTS = json.loads((ROOT / "reports/verdicts.json").read_text())


def test_only_what_seeds_move_may_differ_and_by_no_more_than_they_do() -> None:
    made = copy.deepcopy(METRICS)
    tfidf, transformer = made["tfidf"], made["transformer"]
    tfidf["brier"] += 0.0001
    transformer["f1_macro"] += 0.9 * transformer["f1_macro_seed_std"]
    transformer["f1_macro/kk"] += 0.1
    assert list(differences(METRICS, made)) == []
    tfidf["f1_micro"] += 0.002
    transformer["f1_macro"] += 0.2 * transformer["f1_macro_seed_std"]
    del made["rules"]["ece"]
    first, second, third = differences(METRICS, made)
    assert first == f"rules ece: {METRICS['rules']['ece']} committed, None here"
    assert second.startswith("tfidf f1_micro: ")
    assert third.endswith(f"(± {METRICS['transformer']['f1_macro_seed_std']} over seeds)")


def test_a_verdict_has_to_stay() -> None:
    made = copy.deepcopy(VERDICTS)
    assert list(changed_verdicts(VERDICTS, made)) == []
    made[0]["verdict"] = "better"
    assert list(changed_verdicts(VERDICTS, made)) == ["majority against rules: worse committed, better here"]
