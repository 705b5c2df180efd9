"""The command line as users meet it: help with an example, one line an error, and no traceback for their mistakes."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast
from unittest.mock import create_autospec

import pytest
from click import Argument, Option
from click.testing import CliRunner

from pipeline import Classifier
from pipeline.commands.main import cli, main
from pipeline.core.errors import UserError
from pipeline.core.manifest import write_manifest
from pipeline.core.schemas import LabelledRow
from tests.conftest import ROOT, THEMES


def taqyryp(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, from the repository's root."""
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def example_of(command: str) -> list[str]:
    """The words after `taqyryp COMMAND` in the first example of its help."""
    result = CliRunner().invoke(cli, [command, "--help"], prog_name="taqyryp")
    assert result.exit_code == 0
    (example, *_) = re.findall(rf"^  taqyryp {command}\b(?:.*\\\n)*.*$", result.output, re.MULTILINE)
    return shlex.split(example.split(">>")[0].replace("\\\n", ""))[2:]


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_help_with_an_example(command: str) -> None:
    parameters = cli.commands[command].params
    given = cli.commands[command].make_context(command, example_of(command)).params
    assert all(given[parameter.name] for parameter in parameters if parameter.required)
    assert all(parameter.help for parameter in parameters if isinstance(parameter, Option))


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # by MLflow, when it is imported
@pytest.mark.parametrize("command", sorted(set(cli.commands) - {"classify"}))
def test_a_command_hands_its_options_to_a_function_by_their_names(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in with the function's own parameters refuses an option too many, too few or misspelt."""
    source = inspect.getsource(cast(Callable[..., object], cli.commands[command].callback))
    (function,) = re.findall(r"(\w+)\(\*\*given[,)]", source)
    (module,) = re.findall(rf"from (\S+) import {function}\n", source)
    stand_in = create_autospec(getattr(import_module(module), function), return_value=[])
    monkeypatch.setattr(f"{module}.{function}", stand_in)
    result = CliRunner().invoke(cli, [command, *example_of(command)])
    assert result.exit_code == 0, result.exception
    stand_in.assert_called_once()


REQUIRED = [(name, p.name) for name in sorted(cli.commands) for p in cli.commands[name].params if p.required]


@pytest.mark.parametrize(("command", "missing"), REQUIRED)
def test_a_missing_option_is_a_usage_error(command: str, missing: str) -> None:
    """The example without one of the options that it needs: exit code 2, the option's name, and no traceback."""
    words = example_of(command)
    (parameter,) = [p for p in cli.commands[command].params if p.name == missing]
    if isinstance(parameter, Argument):  # it comes first, once or several times
        dropped = set(range(next((place for place, word in enumerate(words) if word.startswith("-")), len(words))))
    else:
        places = [place for place, word in enumerate(words) if word in parameter.opts]
        dropped = {place + step for place in places for step in (0, 1)}
    assert dropped
    left = [word for place, word in enumerate(words) if place not in dropped]
    result = CliRunner().invoke(cli, [command, *left], prog_name="taqyryp")
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert parameter.opts[0] in result.output.lower()


@pytest.mark.parametrize(
    "given", [[], ["--table", "t.csv", "--paragraphs", "p.jsonl"], ["--paragraphs", "p.jsonl"], ["--annotations", "a"]]
)
def test_label_takes_a_table_alone_or_paragraphs_with_annotations(given: list[str]) -> None:
    needed = [part for name in ("out", "labels", "report") for part in (f"--{name}", "never-written")]
    needed += ["--themes", f"{ROOT}/configs/themes.yaml", "--rules", f"{ROOT}/configs/rules.yaml"]
    needed += ["--settings", f"{ROOT}/configs/pipeline.yaml"]
    result = CliRunner().invoke(cli, ["label", *needed, *given])
    assert result.exit_code == 2
    assert "give --table alone, or --paragraphs and --annotations" in result.output


def test_without_the_default_model_the_error_says_what_makes_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "classify", str(ROOT / "seeds/articles"), "-o", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("taqyryp: models/compact: no model folder")
    assert "run `dvc repro`" in done.stderr


def test_what_the_small_install_lacks_is_named() -> None:
    """`pip install .` has no MLflow; who asks it for a stage is told how to get the rest."""
    code = (
        "import sys; sys.modules['mlflow'] = None; sys.argv = ['taqyryp', 'promote', '3']\n"
        "from pipeline.commands.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("taqyryp: mlflow is not installed")
    assert "[pipeline]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_articles_are_classified_paragraph_by_paragraph(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "themes.jsonl"
    done = taqyryp("classify", "seeds/articles", "--model", folder, "-o", out)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    expected = ["id", "source", "article", "position", "language", "text", "themes", "undecided", "scores"]
    expected += ["status", "reason", "model"]
    assert all(list(row) == expected for row in rows)
    kept = [row for row in rows if row["status"] != "rejected"]
    assert len(kept) == 65
    lines = sum(
        bool(line.strip()) for path in (ROOT / "seeds/articles").iterdir() for line in path.read_text().split("\n")
    )
    assert len(rows) == lines
    assert all(row["reason"] for row in rows if row["status"] == "rejected")
    assert f"{len(rows)} rows: " in done.stderr


@pytest.mark.parametrize(("file", "key"), [("settings.json", "sublinear_tf"), ("boilerplate.json", "fragments")])
def test_a_model_of_another_version_is_named_as_such(folder: Path, tmp_path: Path, file: str, key: str) -> None:
    """A whole folder, digests and all, one of whose files has other keys than this code's."""
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    content = json.loads((older / file).read_text())
    del content[key]
    (older / file).write_text(json.dumps(content))
    facts = json.loads((older / "manifest.json").read_text())["facts"]
    (older / "manifest.json").unlink()
    write_manifest(older, "model", facts)
    done = taqyryp("classify", "seeds/articles", "--model", older, "-o", tmp_path / "themes.jsonl")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for part in (f"{older}: made by another version of this project", f"`{key}`", "train the model again"):
        assert part in done.stderr


def test_paragraph_records_are_never_split_or_rejected(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "news.jsonl"
    texts = ["Читайте также", "Мектеп ашылды.\n\nОған оқушылар келді.", ""]
    source.write_text("".join(json.dumps({"id": f"n{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    done = taqyryp("classify", source, "--unit", "paragraph", "--model", folder, "-o", "-")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3, "the empty one is in the quarantine"
    assert [row["id"] for row in rows] == ["n0", "n1"]
    assert {row["status"] for row in rows} <= {"classified", "abstained"}
    assert rows[1]["text"] == "Мектеп ашылды. Оған оқушылар келді."


def test_command_and_class_agree(folder: Path, tmp_path: Path, rows: list[LabelledRow]) -> None:
    out = tmp_path / "themes.jsonl"
    taqyryp("classify", "seeds/articles", "--model", folder, "-o", out)
    told = {row["text"]: row for row in map(json.loads, out.read_text().splitlines()) if row["status"] != "rejected"}
    classifier = Classifier.load(folder)
    for row in rows:
        prediction = classifier(row.text)
        assert prediction.scores == told[row.text]["scores"]
        assert list(prediction.themes) == told[row.text]["themes"]
    several = classifier(row.text for row in rows)
    assert [p.themes for p in several] == [classifier(row.text).themes for row in rows]


def test_raw_text_is_prepared(folder: Path) -> None:
    classifier = Classifier.load(folder)
    assert classifier("  Мектептер\u00a0\u200bашылды. ") == classifier("Мектептер ашылды.")


def test_thresholds_are_overridden_a_call(folder: Path) -> None:
    classifier = Classifier.load(folder)
    assert classifier("Қар жауды.", thresholds=dict.fromkeys(THEMES, 0.0)).themes == THEMES
    assert classifier("Мектеп", thresholds=dict.fromkeys(THEMES, 1.0)).themes == ()
    with pytest.raises(UserError, match="'sport' is not one of education"):
        classifier("Қар", thresholds={"sport": 0.1})


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda f: (f / "tfidf.safetensors").write_bytes(b"x"), "tfidf.safetensors: changed"),
        (lambda f: (f / "vocabularies.json").unlink(), "vocabularies.json: missing"),
        (lambda f: (f / "extra.pkl").write_bytes(b"x"), "extra.pkl: not in the manifest"),
    ],
)
def test_a_damaged_model_is_refused(damage: Callable[[Path], object], part: str, folder: Path, tmp_path: Path) -> None:
    import shutil

    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    damage(bad)
    with pytest.raises(UserError) as error:
        Classifier.load(bad)
    assert part in str(error.value)


def test_a_model_of_another_text_preparation_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.classifiers.model_folder.TEXT_VERSION", 99)
    with pytest.raises(UserError, match="made for text preparation"):
        Classifier.load(folder)


def test_users_mistakes_are_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "empty").mkdir()
    cases = [
        (["classify", "absent.txt", "--model", folder, "-o", "-"], "absent.txt: no such file or folder"),
        (["classify", "seeds/articles", "--model", tmp_path / "none", "-o", "-"], "no model folder"),
        (["classify", "seeds/articles", "--model", folder, "--threshold", "x", "-o", "-"], "expected THEME=P"),
        (["annotate", "absent.txt"], "absent.txt: cannot be read"),
        (
            ["paragraphs", "--articles", tmp_path / "empty", "--boilerplate", "configs/boilerplate.yaml",
             "--settings", "configs/pipeline.yaml", "--out", tmp_path / "o", "--rejected", tmp_path / "r",
             "--report", tmp_path / "p"],
            "no .txt file in it",
        ),
    ]  # fmt: skip
    for arguments, part in cases:
        monkeypatch.setattr(sys, "argv", ["taqyryp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        assert stopped.value.code == 1
        assert part in printed.err
        assert printed.err.startswith("taqyryp: ")
        assert printed.out == ""


def test_an_article_to_annotate_is_printed_row_by_row(tmp_path: Path) -> None:
    article = tmp_path / "005.txt"
    article.write_text("Мектептерде жаңа порталы іске қосылды.\n\nЧитайте также\n\nКеше қар жауды.\n")
    done = taqyryp("annotate", article)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["article"], row["themes"], row["asked"]) for row in rows] == [("005", None, list(THEMES))] * 2
    assert "education" in rows[0]["suggested"]
    assert "suggested" not in rows[1]


def test_an_annotated_article_has_nothing_left_to_ask() -> None:
    done = taqyryp("annotate", sorted((ROOT / "seeds/articles").iterdir())[0])
    assert (done.returncode, done.stdout) == (0, "")


def test_an_annotated_article_is_known_by_a_macs_spelling_of_its_name(tmp_path: Path) -> None:
    text = "Мектептерде жаңа порталы іске қосылды."
    article = tmp_path / f"{unicodedata.normalize('NFD', 'й')}.txt"
    article.write_text(text)
    row = {"article": "й", "text": text, "asked": list(THEMES), "themes": [], "readings": {}}
    (tmp_path / "annotations.jsonl").write_text(json.dumps(row) + "\n")
    done = taqyryp("annotate", article, "--annotations", tmp_path / "annotations.jsonl")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_an_article_without_content_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "005.txt").write_text("Пікір қалдыру\n")
    done = taqyryp("annotate", tmp_path / "005.txt")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{tmp_path}/005.txt: no paragraph in it, so nothing to annotate\n"
