"""A model trained on whole records classifies records as they are, in the languages of its table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline import Classifier, classify_records
from pipeline.classifiers.base import Setup
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.commands.main import cli
from pipeline.core.io import read_json, read_jsonl
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.inference.batch.rows import BatchOptions
from pipeline.labelling.label import run_label
from pipeline.text.articles import read_articles
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.normalize import prepare
from pipeline.training.train import train_model
from tests.conftest import ROOT

SETTINGS = ROOT / "configs/pipeline.yaml"
ARTICLES = {article.id: article.text for article in read_articles(ROOT / "seeds/articles")}
# From the Universal Declaration of Human Rights
KYRGYZ = {
    "rights": "Бардык адамдар өз беделинде жана укуктарында эркин жана тең укуктуу болуп жаралат.\n"
    "Алардын аң-сезими менен абийири бар жана бири-бирине бир туугандык мамиле кылууга тийиш.",
    "school": "Ар бир адам билим алууга укуктуу.\nБилим берүү, жок дегенде башталгыч жана жалпы билим берүү акысыз "
    "болууга тийиш.",
}
CABINET = "Кыргыз Республикасынын Министрлер кабинети"
"""Kazakh to whoever doesn't expect Kyrgyz."""


def model_from_table(folder: Path, task: str) -> Path:
    """TF-IDF on the five articles and two Kyrgyz texts, each whole, by the road that a labelled table goes."""
    rows = [(id_, "kk" if "Қ" in text else "ru", text) for id_, text in ARTICLES.items()]
    rows += [(id_, "ky", text) for id_, text in KYRGYZ.items()]
    with (folder / "table.jsonl").open("w") as file:
        for number, (id_, language, text) in enumerate(rows):
            row = {"id": id_, "article": id_, "language": language, "text": text, "themes": ["ab"[number % 2]]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "themes.yaml").write_text(f"task: {task}\nlabels: [a, b]\n")
    (folder / "rules.yaml").write_text("rules: []\n")
    out = (folder / "labelled.jsonl", folder / "labels.json", folder / "report.json")
    run_label(folder / "themes.yaml", folder / "rules.yaml", SETTINGS, *out, print, table=folder / "table.jsonl")
    labels = read_json(folder / "labels.json", Labels)
    setup = Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)
    model, info = train_model("tfidf", read_jsonl(out[0], LabelledRow), setup, {"a": 0.5, "b": 0.5}, 0.25)
    save_model_folder(folder / "model", model, info, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    return folder / "model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_from_table(tmp_path_factory.mktemp("whole"), "multi-label")


def classify(source: Path, model: Path, *options: str) -> tuple[list[dict[str, object]], str]:
    """The rows and what was said on stderr."""
    out = source.with_suffix(".out.jsonl")
    done = CliRunner().invoke(cli, ["classify", str(source), "--model", str(model), "-o", str(out), *options])
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in out.read_text().split("\n")[:-1]], done.stderr


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    lines = (json.dumps({"id": id_, "text": text}, ensure_ascii=False) for id_, text in ARTICLES.items())
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_records_are_classified_as_the_table_held_them(whole: Path, records: Path) -> None:
    rows, said = classify(records, whole)
    assert [(row["id"], row["text"]) for row in rows] == [(id_, prepare(text)) for id_, text in ARTICLES.items()]
    assert [row["language"] for row in rows] == ["ru", "ru", "kk", "ru", "kk"]
    assert said.startswith("5 records: 5 answered, 0 quarantined\n5 rows: ")
    classifier = Classifier.load(whole)
    texts = [{"id": id_, "text": text} for id_, text in ARTICLES.items()]
    assert [row["id"] for row in classify_records(texts, classifier)] == list(ARTICLES)
    split = list(classify_records(texts, classifier, BatchOptions(unit="article")))
    assert len(split) == 189


def test_splitting_them_warns_in_one_line(whole: Path, folder: Path, records: Path) -> None:
    rows, said = classify(records, whole, "--unit", "article")
    assert len(rows) == 189
    first, second, *_ = said.splitlines()
    assert first == (
        "--unit article: this model learnt whole records, and split ones cost it some ten points of F1; "
        "leave --unit out to classify each record as it is"
    )
    assert second == "5 records: 5 answered, 0 quarantined"
    assert "--unit" not in classify(records, whole, "--unit", "paragraph")[1]
    rows, said = classify(records, folder)  # trained on paragraphs of articles
    assert (len(rows), "--unit" in said) == (189, False)


def test_articles_taken_as_paragraphs_by_a_model_of_paragraphs_are_counted(folder: Path, records: Path) -> None:
    with records.open("a") as file:
        file.write(json.dumps({"id": "one", "text": "Мектепте жаңа оқу жылы басталды."}) + "\n")
    rows, said = classify(records, folder, "--unit", "paragraph")
    assert len(rows) == 6
    assert "\n5 records of several lines taken as one paragraph each; leave --unit out, as the model learnt" in said


def test_kyrgyz_is_told_by_a_model_that_learnt_it_and_kazakh_and_russian_as_ever(
    whole: Path, folder: Path, tmp_path: Path
) -> None:
    classifier, other = Classifier.load(whole), Classifier.load(folder)
    texts = [CABINET, *KYRGYZ.values(), *ARTICLES.values()]
    options = BatchOptions(unit="paragraph")
    rows, others = (
        list(classify_records(({"text": text} for text in texts), each, options)) for each in (classifier, other)
    )
    assert [row["language"] for row in rows] == ["ky", "ky", "ky", "ru", "ru", "kk", "ru", "kk"]
    assert [row["language"] for row in others] == ["kk", "ky", "ky", "ru", "ru", "kk", "ru", "kk"]
    assert {row["reason"] for row in rows} == {""}
    assert [row["reason"] for row in others] == ["", "language", "language", "", "", "", "", ""]
    source = tmp_path / "ky.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert "\nlanguages: ky 3, ru 3, kk 2\n" in classify(source, whole)[1]


def test_the_card_says_what_was_learnt(whole: Path, tmp_path: Path) -> None:
    card = (whole / "README.md").read_text()
    assert "\nTakes a whole record, as the rows of its table were, and gives a probability per theme." in card
    assert "\n| theme | threshold | share of training rows |\n| --- | ---: | ---: |\n| a | 0.500 | 57.1% |\n" in card
    assert "below it by at most 0.25 in log-odds" in card
    single = (model_from_table(tmp_path, "single-label") / "README.md").read_text()
    assert "\n| theme | share of training rows |\n| --- | ---: |\n| a | 57.1% |\n| b | 42.9% |\n" in single
    assert "threshold" not in single
