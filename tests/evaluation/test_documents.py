"""README and cards say what the reports say: by hand on a small sample, and in the real documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.commands.main import cli
from pipeline.core.errors import UserError
from pipeline.evaluation.documents import document_blocks, replace_blocks
from tests.conftest import ROOT

DOCUMENTS = ("README.md", "docs/model-card.md", "seeds/README.md")
MARKED = "Before.\n\n<!-- a: written by make docs -->\nold\n<!-- end a -->\n\nAfter.\n"


def figures(f1: float, **more: Any) -> dict[str, Any]:
    values = {"f1_macro": f1, "ap_macro": 0.9, "exact_match": 0.5, "brier": 0.1, "ece": 0.1, "f1/sport": f1}
    return {
        "figures": values | more,
        "languages": {"kk": {"f1_macro": 0.25}, "xx": {}},
        "intervals": {"all": {"f1_macro": [0.1, 0.85]}},
    }


def pair(first: str, second: str, difference: float, interval: list[float], verdict: str) -> dict[str, Any]:
    return {"first": first, "second": second, "difference": difference, "interval": interval, "verdict": verdict}


REPORTS: dict[str, Any] = {
    "tfidf/scores.json": figures(0.51234) | {"seeds": {"f1_macro": [0.5], "std": 0.0}, "other_settings": {}},
    "transformer/scores.json": figures(0.75)
    | {"seeds": {"f1_macro": [0.7, 0.8], "std": 0.05}, "other_settings": {"transfer:kk": {"f1_macro": 0.1}}},
    "verdicts.json": [
        pair("rules", "transformer", 0.03, [-0.09, 0.15], "within noise"),
        pair("tfidf", "transformer", -0.1339, [-0.2764, -0.033], "worse"),
        pair("rules", "tfidf", 0.2, [0.1, 0.3], "better"),
        pair("transformer", "zeroshot", -0.2, [-0.3, -0.1], "worse"),
    ],
    "challenge/tfidf/dev.json": figures(0.6, false_alarms=0.0444),
    "challenge/transformer/dev.json": figures(0.7, false_alarms=None),
    "labelling.json": {
        "exemplars": {
            "kk": {
                "plain": {"rows": 1000, "sport": 0, "music": 0, "none": 1000},
                "combination": {"rows": 3, "sport": 3, "music": 2, "none": 0},
            },
            "ru": {"near-miss": {"rows": 7, "sport": 1, "music": 0, "none": 6}},
        }
    },
    "export.json": {
        "int8": {"kk": {"rows": 10, "equal_decisions": 0.9, "f1_loss": 0.1}},
        "float32": {
            "kk": {"rows": 1110, "equal_decisions": 0.99775, "f1_loss": -0.00423},
            "ru": {"rows": 149, "equal_decisions": 1.0, "f1_loss": 0.0},
        },
    },
}
EXPECTED = {
    "scores": """\
| model | macro-F1 | interval | ± seeds | Sport | music | macro-AP |
| --- | ---: | --- | ---: | ---: | ---: | ---: |
| tfidf | 0.512 | 0.100 … 0.850 | – | 0.512 | – | 0.900 |
| transformer | 0.750 | 0.100 … 0.850 | 0.050 | 0.750 | – | 0.900 |""",
    "teachers": """\
| model | learnt from | macro-F1 | macro-AP |
| --- | --- | ---: | ---: |
| transformer | transfer:kk | 0.100 | – |""",
    "verdicts": """\
- transformer against tfidf: macro-F1 +0.134 (90% interval 0.033 … 0.276), better beyond noise.
- transformer against zeroshot: macro-F1 -0.200 (90% interval -0.300 … -0.100), worse beyond noise.
- transformer against rules: macro-F1 -0.030 (90% interval -0.150 … 0.090), within noise.""",
    "challenge": """\
| model | macro-F1 | interval | kk | xx | Sport | music | macro-AP | false alarms |
| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| tfidf | 0.600 | 0.100 … 0.850 | 0.250 | – | 0.600 | – | 0.900 | 0.044 |
| transformer | 0.700 | 0.100 … 0.850 | 0.250 | – | 0.700 | – | 0.900 | – |""",
    "exemplars": """\
| language | Sport | music | with a theme | without | all |
| --- | ---: | ---: | ---: | ---: | ---: |
| kk | 3 | 2 | 3 | 1,000 | 1,003 |
| ru | 1 | 0 | 1 | 6 | 7 |""",
    "export": """\
Form taken: float32.

| language | paragraphs | equal decisions | macro-F1 lost |
| --- | ---: | ---: | ---: |
| kk | 1,110 | 99.78% | -0.004 |
| ru | 149 | 100.00% | 0.000 |""",
}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder with reports/ and themes.yaml."""
    for name, report in REPORTS.items():
        path = tmp_path / "reports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report))
    (tmp_path / "themes.yaml").write_text(
        "task: multi-label\nlabels: [sport, music]\nnames: {sport: {kk: Спорт, en: Sport}}\n"
    )
    return tmp_path


def test_blocks_by_hand(sample: Path) -> None:
    blocks = document_blocks(sample / "reports", sample / "themes.yaml", ROOT / "configs/pipeline.yaml")
    assert blocks == EXPECTED


def test_many_themes_have_rows_in_place_of_columns(sample: Path) -> None:
    labels = ["sport", *(f"theme{n}" for n in range(8))]
    (sample / "themes.yaml").write_text(f"task: multi-label\nlabels: [{', '.join(labels)}]\nnames: {{}}\n")
    themes = dict.fromkeys(labels, 0)
    counts = {"exemplars": {"kk": {"plain": {"rows": 0, "none": 0, **themes}}}}
    (sample / "reports" / "labelling.json").write_text(json.dumps(counts))
    blocks = document_blocks(sample / "reports", sample / "themes.yaml", ROOT / "configs/pipeline.yaml")
    table, by_theme = blocks["scores"].split("\n\n")
    assert table.splitlines()[0] == "| model | macro-F1 | interval | ± seeds | macro-AP |"
    assert by_theme.splitlines()[:3] == [
        "| F1 | tfidf | transformer |",
        "| --- | ---: | ---: |",
        "| sport | 0.512 | 0.750 |",
    ]
    assert len(by_theme.splitlines()) == 2 + 9


def test_what_stands_between_markers_is_replaced_and_nothing_else() -> None:
    new = replace_blocks(MARKED + MARKED, {"a": "| new |", "b": "unused"}, Path("x.md"))
    once = "Before.\n\n<!-- a: written by make docs -->\n\n| new |\n\n<!-- end a -->\n\nAfter.\n"
    assert new == once + once
    assert replace_blocks(new, {"a": "| new |"}, Path("x.md")) == new
    assert replace_blocks("no marker", {"a": "| new |"}, Path("x.md")) == "no marker"


@pytest.mark.parametrize("text", [MARKED.replace(" a", " c"), MARKED.replace("<!-- end a -->", "")])
def test_a_marker_that_leads_nowhere_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match=r"x\.md: <!-- .: written by make docs -->: names none of a, or lacks its"):
        replace_blocks(text, {"a": "| new |"}, Path("x.md"))


def test_the_command_writes_the_documents(sample: Path) -> None:
    document = sample / "page.md"
    document.write_text(MARKED.replace(" a", " export"))
    options = ["--reports", str(sample / "reports"), "--themes", str(sample / "themes.yaml")]
    options += ["--settings", str(ROOT / "configs/pipeline.yaml")]
    CliRunner().invoke(cli, ["docs", str(document), *options], catch_exceptions=False)
    assert EXPECTED["export"] in document.read_text()
    assert "old" not in document.read_text()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_say_what_the_reports_say(name: str) -> None:
    """If this fails, run `make docs`."""
    blocks = document_blocks(ROOT / "reports", ROOT / "configs/themes.yaml", ROOT / "configs/pipeline.yaml")
    text = (ROOT / name).read_text()
    assert replace_blocks(text, blocks, ROOT / name) == text
