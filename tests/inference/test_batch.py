"""Batches as users run them: nothing lost, nothing half written, the same rows whatever the way they were made."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pytest
from click.testing import CliRunner
from pyarrow import parquet
from tqdm import tqdm

from pipeline import Classifier
from pipeline.classifiers import model_folder
from pipeline.classifiers.model_folder import inspect_model_folder
from pipeline.commands.main import main
from pipeline.inference.batch.job import run_batch
from pipeline.inference.batch.request import BatchRequest
from pipeline.inference.batch.rows import BatchOptions, classify_batch, classify_records
from pipeline.inference.batch.shards import SHARD_BYTES, ShardJob, Worker
from pipeline.inference.batch.summary import column_kind, merge_kinds
from pipeline.inference.readers.schema import InputRecord
from tests.conftest import ROOT, THEMES

TEXTS = {
    "education": "Мектеп оқушыларына адалдық сабағы өтті, мұғалімдер мен студенттер қатысты.",
    "none": "Қар жауды, жол тайғақ.",
    "digitalisation": "Портал и новая цифровая услуга доступны в электронном виде, сообщили в министерстве.",
}


@pytest.fixture
def classifier(folder: Path) -> Classifier:
    return Classifier.load(folder)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline", "classify", *map(str, arguments)]


@dataclass
class Done:
    stdout: bytes
    stderr: bytes


def classify(*arguments: object, code: int = 0, stdin: bytes = b"") -> Done:
    """The command as the shell runs it, but in this process, which has loaded everything already."""
    argv, here = sys.argv, Path.cwd()
    sys.argv = ["taqyryp", "classify", *map(str, arguments)]
    os.chdir(ROOT)
    try:
        with CliRunner().isolation(stdin) as (out, err, _):
            main()
            found = 0
    except SystemExit as stopped:
        found = stopped.code
    finally:
        sys.argv = argv
        os.chdir(here)
    done = Done(out.getvalue(), err.getvalue())
    assert found == code, done.stderr.decode()
    return done


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def many(path: Path, parts: int) -> Path:
    """Articles of real paragraphs, each with a number in it, enough for so many parts."""
    paragraphs = [
        line for file in sorted((ROOT / "seeds/articles").iterdir()) for line in file.read_text().splitlines() if line
    ]
    with path.open("w") as file:
        number = size = 0
        while size < SHARD_BYTES * (parts - 0.5):
            chosen = [paragraphs[(number * 7 + k) % len(paragraphs)] for k in range(8)]
            line = json.dumps({"id": f"n{number}", "text": f"{number}\n" + "\n".join(chosen)}, ensure_ascii=False)
            size, number = size + len(line.encode()) + 60, number + 1
            file.write(line + "\n")
    return path


IN_OTHER_SCRIPTS = {
    "kk-Latn": "Mektep oqýshylaryna adaldyq sabaǵy ótti, muǵalimder men stýdentter qatysty.",
    "kk-Arab": "مەكتەپ وقۋشىلارىنا ادالدىق ساباعى ٴوتتى، مۇعالىمدەر مەن ستۋدەنتتەر قاتىستى.",
    "kk": "МЕКТЕП ОҚУШЫЛАРЫНА АДАЛДЫҚ САБАҒЫ ӨТТІ, МҰҒАЛІМДЕР МЕН СТУДЕНТТЕР ҚАТЫСТЫ.",
}


def test_kazakh_in_other_scripts_and_capitals_has_its_twins_themes_and_its_own_text(classifier: Classifier) -> None:
    twin = classifier(TEXTS["education"])
    typed = TEXTS["education"].replace("о", "o").replace("а", "a").replace("і", "i")
    records = [{"id": language, "text": text} for language, text in IN_OTHER_SCRIPTS.items()]
    rows = list(classify_records([*records, {"id": "kk", "text": typed}], classifier, BatchOptions(unit="paragraph")))
    assert [row["language"] for row in rows] == [*IN_OTHER_SCRIPTS, "kk"]
    assert [row["text"] for row in rows] == [*IN_OTHER_SCRIPTS.values(), typed]
    assert [row["status"] for row in rows] == ["classified"] * 4
    assert {row["themes"] for row in rows} == {twin.themes}
    assert rows[3]["scores"] == twin.scores


OUTSIDE = {
    "uk": ("Школярам розповіли, чому не можна давати хабарі за оцінки.", "language"),
    "ky": ("Окуучуларга баа үчүн эмне себептен пара берүүгө болбой турганы түшүндүрүлдү.", "language"),
    "tr": ("Öğrencilere not için neden rüşvet verilmemesi gerektiği anlatıldı.", "language"),
    "und": ("დღეს სკოლაში გაკვეთილი იყო.", "script"),
    "kk": ("О?ушылар?а адалды? саба?ы ?тті.", "script"),
}


@pytest.mark.parametrize("unit", ["paragraph", "article"])
def test_what_the_model_cannot_know_is_abstained_with_the_reason(unit: str, folder: Path, tmp_path: Path) -> None:
    records = [{"id": language, "text": text} for language, (text, _) in OUTSIDE.items()]
    source = write(tmp_path / "n.jsonl", *records, {"id": "known", "text": TEXTS["education"]})
    out, counts = tmp_path / "themes.jsonl", tmp_path / "counts.json"
    done = classify(source, "--unit", unit, "--model", folder, "-o", out, "--summary", counts)
    *rows, known = read(out)
    assert [(row["language"], row["status"], row["reason"]) for row in rows] == [
        (language, "abstained", reason) for language, (_, reason) in OUTSIDE.items()
    ]
    assert [(row["themes"], row["undecided"], row["scores"]) for row in rows] == [([], [], {})] * len(OUTSIDE)
    assert (known["status"], known["reason"]) == ("classified", "")
    found = json.loads(counts.read_text())
    assert found["rows"] == {"written": 6, "abstained": 5, "classified": 1}
    assert found["reasons"] == {"language": 3, "script": 2}
    assert b"\n3 rows abstained: the model has not learnt their language" in done.stderr
    assert b"\n2 rows abstained: their letters are of no language that the model knows" in done.stderr


def test_rows_that_were_not_judged_are_whole_rows_of_a_table_and_of_articles(folder: Path, tmp_path: Path) -> None:
    records = [{"id": language, "text": text} for language, (text, _) in OUTSIDE.items()]
    source = write(tmp_path / "n.jsonl", *records, {"id": "known", "text": TEXTS["education"]})
    classify(source, "--unit", "paragraph", "--model", folder, "-o", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["score_education"] == "" for row in rows] == [True] * 5 + [False]
    classify(source, "--level", "article", "--model", folder, "-o", tmp_path / "a.jsonl")
    assert [row["status"] for row in read(tmp_path / "a.jsonl")] == ["abstained"] * 5 + ["classified"]


def test_a_language_that_is_given_and_known_is_judged(classifier: Classifier) -> None:
    records = [{"id": "1", "language": "kk", "text": OUTSIDE["ky"][0]}, {"id": "2", "text": OUTSIDE["ky"][0]}]
    rows = list(classify_records(records, classifier, BatchOptions(unit="paragraph")))
    assert [(row["language"], row["status"]) for row in rows] == [("kk", "classified"), ("ky", "abstained")]


def test_a_record_in_a_wrong_encoding_is_mended_and_counted(folder: Path, tmp_path: Path) -> None:
    sound = TEXTS["digitalisation"]
    garbled = sound.encode().decode("cp1251")
    source = write(tmp_path / "n.jsonl", {"id": "1", "text": garbled}, {"id": "2", "text": sound})
    out, counts = tmp_path / "themes.jsonl", tmp_path / "counts.json"
    done = classify(source, "--unit", "paragraph", "--model", folder, "-o", out, "--summary", counts)
    first, second = read(out)
    assert first | {"id": "2", "article": "2"} == second
    assert list(json.loads(counts.read_text())["notes"].values()) == [1]
    assert "\n1 records read in a wrong encoding (РњРµРєС‚РµРї for Мектеп) and mended".encode() in done.stderr


def test_every_record_is_answered_or_quarantined(folder: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "n.jsonl", *({"id": name, "text": text, "n": 1} for name, text in TEXTS.items()))
    with source.open("a") as file:
        file.write('{"id": "empty", "text": ""}\n{"id": "invisible", "text": "\\u200b"}\nno json\n')
    out, counts = tmp_path / "out/themes.jsonl", tmp_path / "counts.json"
    done = classify(source, "--unit", "paragraph", "--model", folder, "-o", out, "--summary", counts, code=3)
    assert [row["id"] for row in read(out)] == list(TEXTS)
    assert [(row["id"], row["reason"].split(" (")[0]) for row in read(tmp_path / "out/themes.quarantine.jsonl")] == [
        ("empty", "no text in it"),
        ("invisible", "no text in it"),
        ("n-6", "line 6: no JSON"),
    ]
    found = json.loads(counts.read_text())
    assert found["records"] == {"read": 6, "answered": 3, "quarantined": 3, "repeated_ids": 0}
    assert found["rows"]["written"] == 3
    assert found["reasons"] == {"no text in it": 2, "no JSON": 1}
    assert found["languages"] == {"kk": 2, "ru": 1}
    assert set(found["themes"]["education"]) == {"rows", "share", "share_in_training"}
    assert b"6 records: 3 answered, 3 quarantined" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["themes.jsonl", "themes.quarantine.jsonl"]
    write(source, {"text": "x"})
    classify(source, "--model", folder, "-o", out)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["themes.jsonl"], "an old quarantine misleads"


def test_exit_code_of_nothing_classified(folder: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "n.jsonl", {"body": "x"})
    done = classify(source, "--model", folder, "-o", tmp_path / "o.jsonl", code=4)
    assert b"no field 'text'" in done.stderr
    assert (tmp_path / "o.jsonl").read_bytes() == b""


@pytest.mark.parametrize("level", ["paragraph", "article"])
def test_tables_say_what_the_jsonl_says(level: str, folder: Path, tmp_path: Path) -> None:
    records = [
        {"text": TEXTS["education"], "views": 1, "score_education": "x", "tags": ["a"], "when": None, "ok": True},
        {"text": TEXTS["digitalisation"] + "\n" + TEXTS["none"], "views": 2.5, "tags": "b", "status": 'a,"b"\nc'},
    ]
    source = write(tmp_path / "n.jsonl", *records)
    for ending in ("jsonl", "csv", "parquet"):
        classify(source, "--model", folder, "--level", level, "-o", tmp_path / f"o.{ending}")
    rows = read(tmp_path / "o.jsonl")
    assert rows[0]["input.score_education"] == "x"
    assert rows[-1]["input.status"] == 'a,"b"\nc'
    with (tmp_path / "o.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "o.parquet")
    assert table.schema.names == list(cells[0])
    assert table.schema.field("views").type == pyarrow.float64()
    for row, cell, line in zip(rows, cells, table.to_pylist(), strict=True):
        assert cell["id"] == line["id"] == row["id"]
        assert cell["themes"] == ";".join(row["themes"])
        assert line["themes"] == row["themes"]
        assert cell["views"] == f"{row['views']}"
        assert cell["tags"] == line["tags"] == (row["tags"] if isinstance(row["tags"], str) else '["a"]')
        assert (cell["when"], line["when"]) == ("", None)
        assert cell["ok"] == ("true" if row.get("ok") else "")
        for name, column in (("score", "scores"), ("share", "shares")):
            for theme, value in row.get(column, {}).items():
                assert float(cell[f"{name}_{theme}"]) == line[f"{name}_{theme}"] == value


def test_text_can_stay_out(folder: Path, tmp_path: Path) -> None:
    classify(ROOT / "seeds/articles", "--model", folder, "--no-text", "-o", tmp_path / "o.csv")
    with (tmp_path / "o.csv").open() as file:
        assert "text" not in next(csv.reader(file))


def test_articles_are_rolled_up(folder: Path, tmp_path: Path) -> None:
    classify(ROOT / "seeds/articles", "--model", folder, "--level", "both", "-o", tmp_path / "o.jsonl")
    rows, articles = read(tmp_path / "o.jsonl"), read(tmp_path / "o.articles.jsonl")
    assert len(articles) == 5
    for article in articles:
        mine = [row for row in rows if row["article"] == article["id"]]
        judged = [row for row in mine if row["status"] != "rejected"]
        assert article["paragraphs"] == len(judged)
        assert article["rejected"] == len(mine) - len(judged)
        for theme in THEMES:
            given = [row for row in judged if theme in row["themes"]]
            assert article["shares"].get(theme, 0) == round(len(given) / len(judged), 4)
            if given:
                best = max(given, key=lambda row: row["scores"][theme])
                assert article["evidence"][theme] == {
                    "id": best["id"], "score": best["scores"][theme], "text": best["text"]
                }  # fmt: skip
        assert article["themes"] == sorted(article["shares"], key=lambda theme: -article["shares"][theme])


def test_a_title_is_the_first_paragraph_once(classifier: Classifier) -> None:
    body = f"{TEXTS['education']}\n{TEXTS['digitalisation']}"
    title = "Адалдық сағаты туралы хабар"
    first = [
        classify_batch([InputRecord(id="a", source="s", text=text, title=given)], classifier, BatchOptions()).rows[0][
            "text"
        ]
        for text, given in ((body, title), (f"{title}\n{body}", title), (body, ""))
    ]
    assert first == [title, title, TEXTS["education"]]


def test_repeated_ids_and_texts(folder: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "n.jsonl", *({"id": "same", "text": TEXTS["education"]} for _ in range(3)))
    done = classify(source, "--unit", "paragraph", "--model", folder, "-o", tmp_path / "o.jsonl")
    rows = read(tmp_path / "o.jsonl")
    assert len(rows) == 3
    assert rows[0] == rows[1] == rows[2]
    assert b"1 id stands more than once" in done.stderr


def test_what_stands_twice_is_computed_once(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    predict = classifier._model.predict
    monkeypatch.setattr(classifier._model, "predict", lambda texts: [seen.extend(texts), predict(texts)][1])
    entries = [InputRecord(id=str(n), source="s", text=list(TEXTS.values())[n % 3]) for n in range(30)]
    assert len(classify_batch(entries, classifier, BatchOptions()).rows) == 30
    assert sorted(seen) == sorted(TEXTS.values())


def test_only_what_is_wanted_comes_out(classifier: Classifier) -> None:
    text = f"{TEXTS['education']} {TEXTS['digitalisation']}"
    low = dict.fromkeys(THEMES, 0.0)
    whole = classifier(text, thresholds=low)
    assert whole.themes == THEMES
    best = max(THEMES, key=lambda name: whole.scores[name])
    assert classifier(text, thresholds=low, top_k=1).themes == (best,)
    some = classifier(text, thresholds=low, themes=("prevention", "education"))
    assert some.themes == ("education", "prevention")
    assert some.scores == {name: whole.scores[name] for name in some.themes}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "sport=0.3"], "theme 'sport' is not one of education"),
        (["--threshold", "education=3"], "education is 3.0; expected a number from 0 to 1"),
        (["--threshold", "education"], "expected THEME=P"),
        (["--themes", "education,sport"], "theme 'sport' is not one of education"),
        (["--top-k", "0"], "top-k: 0; expected 1 or more"),
        (["--encoding", "klingon"], "no such encoding"),
        (["--format", "docx"], "is none of txt, html, jsonl"),
        (["--unit", "paragraph", "--title-field", "t"], "a paragraph has no title"),
        (["--unit", "paragraph", "--level", "article"], "has no article"),
        (["-o", "o.xlsx"], "ends in none of .jsonl, .csv, .parquet"),
        (["-o", "seeds/articles/o.jsonl"], "lies in the input seeds/articles"),
        (["-o", "/proc/o.jsonl"], "write elsewhere"),
        (["--model", "seeds"], "seeds"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], message: str, folder: Path, tmp_path: Path) -> None:
    out = [] if "-o" in options else ["-o", tmp_path / "o.jsonl"]
    done = classify("seeds/articles", "--model", folder, *out, *options, code=1)
    assert message in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_runs_go_on_and_end_in_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    source = many(tmp_path / "n.jsonl", parts=12)
    undisturbed, out = tmp_path / "whole.jsonl", tmp_path / "o.jsonl"
    arguments = (source, "--model", folder, "-o")
    classify(*arguments, undisturbed, "--workers", 1)
    parts = tmp_path / "o.jsonl.parts"
    kills, done = 0, 0
    while not out.exists():
        process = subprocess.Popen(command(*arguments, out, "--workers", 2), cwd=ROOT, stderr=subprocess.PIPE)
        target = done + 3
        while process.poll() is None and (not parts.is_dir() or len(list(parts.glob("[0-9]*"))) < target):
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
            assert not out.exists()
        _, told = process.communicate()
        done = len(list(parts.glob("[0-9]*"))) if parts.is_dir() else 0
    assert kills >= 3
    assert b"parts done before: " in told
    assert out.read_bytes() == undisturbed.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.jsonl", "o.jsonl", "whole.jsonl"]


def test_parts_of_another_option_are_not_used(folder: Path, tmp_path: Path) -> None:
    source, out = many(tmp_path / "n.jsonl", parts=3), tmp_path / "o.jsonl"
    arguments = (source, "--model", folder, "-o", out, "--workers", 1)
    process = subprocess.Popen(command(*arguments), cwd=ROOT, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("o.jsonl.parts/0*")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = classify(*arguments, "--threshold", "education=0")
    assert b"nothing of it was used" in done.stderr
    assert all("education" in row["themes"] for row in read(out) if row["status"] != "rejected")


@pytest.mark.slow
def test_rows_do_not_depend_on_workers_order_or_format(folder: Path, tmp_path: Path) -> None:
    source = many(tmp_path / "n.jsonl", parts=4)
    records = read(source)
    backwards = write(tmp_path / "m.jsonl", *reversed(records))
    table = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(records), table)
    found = []
    for number, (path, workers) in enumerate(((source, 1), (source, 2), (backwards, 2), (table, 1))):
        classify(path, "--model", folder, "-o", tmp_path / f"{number}.jsonl", "--workers", workers)
        rows = read(tmp_path / f"{number}.jsonl")
        found.append(sorted(({**row, "source": ""} for row in rows), key=lambda row: str(row["id"])))
    assert found[0] == found[1] == found[2] == found[3]
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()


def test_one_output_has_one_writer(folder: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "o.jsonl.parts").mkdir()
    with (tmp_path / "o.jsonl.parts/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = classify("seeds/articles", "--model", folder, "-o", tmp_path / "o.jsonl", code=1)
    assert b"another process is writing it" in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_line_and_the_run_goes_on(workers: int, folder: Path, tmp_path: Path) -> None:
    source, out = many(tmp_path / "n.jsonl", parts=3), tmp_path / "o.jsonl"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SHARD_BYTES, SHARD_BYTES))

    full = subprocess.run(
        command(source, "--model", folder, "-o", out, "--workers", workers),
        cwd=ROOT, capture_output=True, preexec_fn=limit, check=False,
    )  # fmt: skip
    assert full.returncode == 1
    assert b"File too large; the same command goes on where it was" in full.stderr
    assert b"Traceback" not in full.stderr
    assert not out.exists()
    classify(source, "--model", folder, "-o", out)
    assert len({row["article"] for row in read(out)}) == len(read(source))


def test_a_dead_worker_is_one_line(folder: Path, tmp_path: Path) -> None:
    source, out = many(tmp_path / "n.jsonl", parts=40), tmp_path / "o.jsonl"
    process = subprocess.Popen(
        command(source, "--model", folder, "-o", out, "--workers", 2), cwd=ROOT, stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob("o.jsonl.parts/0*")):
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    worker = next(pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(int(worker), signal.SIGKILL)
    _, told = process.communicate()
    assert process.returncode == 1
    assert b"a worker died" in told
    assert b"Traceback" not in told


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_stops_at_once_and_keeps_what_is_done(workers: int, folder: Path, tmp_path: Path) -> None:
    source, out = many(tmp_path / "n.jsonl", parts=40), tmp_path / "o.jsonl"
    process = subprocess.Popen(
        command(source, "--model", folder, "-o", out, "--workers", workers),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    while not list(tmp_path.glob("o.jsonl.parts/0*")):
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told == b"stopped; the same command goes on where it was\n"
    assert list(tmp_path.glob("o.jsonl.parts/0*"))
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def test_stdin_and_stdout(folder: Path, tmp_path: Path) -> None:
    record = {"id": "a", "text": TEXTS["education"]}
    lines = json.dumps(record).encode() + b"\nno json\n"
    done = classify("-", "--format", "jsonl", "--model", folder, "-o", "-", stdin=lines, code=3)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a-001"]
    assert b"-: stdin-2: line 2: no JSON" in done.stderr
    classify("-", "--format", "jsonl", "--model", folder, "-o", tmp_path / "o.jsonl", stdin=lines, code=3)
    assert (tmp_path / "o.jsonl").read_bytes() == done.stdout
    classify(
        "-",
        "--format",
        "jsonl",
        "--model",
        folder,
        "-o",
        "-",
        "--quarantine",
        tmp_path / "q.jsonl",
        stdin=lines,
        code=3,
    )
    assert [row["id"] for row in read(tmp_path / "q.jsonl")] == ["stdin-2"]


def test_a_closed_pipe_ends_quietly(folder: Path, tmp_path: Path) -> None:
    source = many(tmp_path / "n.jsonl", parts=4)
    line = shlex.join(command(source, "--model", folder, "-o", "-"))
    done = subprocess.run(["bash", "-c", f"{line} | head -1"], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr


def test_a_cache_gives_the_same_rows_without_the_model(folder: Path, tmp_path: Path) -> None:
    def rows() -> list[dict[str, Any]]:
        arguments = ("seeds/articles", "--model", folder, "--cache", tmp_path / "cache", "-o", "-")
        return [json.loads(line) for line in classify(*arguments).stdout.splitlines()]

    plain = classify("seeds/articles", "--model", folder, "-o", "-").stdout
    first = rows()
    assert [json.loads(line) for line in plain.splitlines()] == first
    cached = Classifier.load(folder, cache=tmp_path / "cache")
    cached._model = None  # type: ignore[assignment]  # what is known needs no model
    kept = [row for row in first if row["status"] != "rejected"]
    assert [p.scores for p in cached([row["text"] for row in kept])] == [row["scores"] for row in kept]
    assert rows() == first
    (store,) = (tmp_path / "cache").glob("*.sqlite")
    assert store.stem == first[0]["model"]
    connection = cached._cache._store  # type: ignore[union-attr]
    del cached
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / store.name).write_bytes(b"no database, but long enough to be looked at" * 100)
    done = classify("seeds/articles", "--model", folder, "--cache", tmp_path / "other", "-o", "-", code=1)
    assert b"no cache that can be used" in done.stderr


def test_records_in_memory_become_the_rows_of_the_command(classifier: Classifier, folder: Path, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"id": str(n), "text": f"{n} {text}", "n": n} for n, text in enumerate(TEXTS.values())
    ]
    records.insert(1, {"id": "no", "body": "x"})
    source = write(tmp_path / "n.jsonl", *records)
    classify(source, "--model", folder, "-o", tmp_path / "o.jsonl", code=3)
    rows = list(classify_records(iter(records), classifier))
    assert [row["status"] for row in rows] == ["classified", "failed", "classified", "classified"]
    assert "no field 'text'; there are id, body" in rows[1]["reason"]
    assert [{**row, "source": "n.jsonl"} for row in rows if row["status"] != "failed"] == [
        {**row, "themes": tuple(row["themes"]), "undecided": tuple(row["undecided"])}
        for row in read(tmp_path / "o.jsonl")
    ]


def test_records_in_memory_are_rolled_up_as_asked(classifier: Classifier) -> None:
    records = [{"id": "a", "text": "\n".join(TEXTS.values())}, {"id": "b"}, {"id": "c", "text": TEXTS["none"]}]
    told = {
        level: [row["id"] for row in classify_records(records, classifier, BatchOptions(level=level))]  # type: ignore[arg-type]
        for level in ("paragraph", "article", "both")
    }
    assert told["article"] == ["a", "2", "c"]
    assert told["both"] == ["a-001", "a-002", "a-003", "a", "2", "c-001", "c"]
    assert told["paragraph"] == [name for name in told["both"] if name not in ("a", "c")]


def test_what_can_go_on_says_so(folder: Path) -> None:
    for source, out, resumes in (("n.jsonl", "o.jsonl", True), ("-", "o.jsonl", False), ("n.jsonl", "-", False)):
        request = BatchRequest(inputs=[Path(source)], out=Path(out), model=folder)
        assert ("goes on where it was" in request.remedy) is resumes
        assert ("starts anew" in request.remedy) is not resumes


def test_the_shell_completes() -> None:
    environment = {
        **os.environ,
        "_TAQYRYP_COMPLETE": "bash_complete",
        "COMP_WORDS": "taqyryp classify --th",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipeline"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["plain,--threshold", "plain,--themes"]


def test_nothing_but_the_batch_draws_a_bar(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, drawn = Terminal(), []
    monkeypatch.setattr(sys, "stderr", terminal)
    job = ShardJob(folder, inspect_model_folder(folder), BatchOptions(), tmp_path, tmp_path)
    worker = Worker(job)
    predict = worker._classifier._model.predict

    def watched(texts: list[str]) -> Any:
        drawn.append(not tqdm(texts, disable=None).disable)
        sys.stderr.write("a message\n")
        return predict(texts)

    monkeypatch.setattr(worker._classifier._model, "predict", watched)
    worker("part", msgspec.json.encode(InputRecord(id="a", source="s", text=TEXTS["education"])))
    assert drawn == [False]
    assert terminal.getvalue() == "a message\n"
    assert not tqdm([], disable=None).disable, "outside of a part bars are drawn"


def test_a_model_is_checked_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    check = model_folder.check_manifest
    monkeypatch.setattr(model_folder, "check_manifest", lambda *args: [checked.append(args), check(*args)][1])
    classify("seeds/articles", "--model", folder, "-o", tmp_path / "o.jsonl")
    assert len(checked) == 1


def test_kinds_of_columns() -> None:
    assert [column_kind(value) for value in (None, True, 1, 2**63, 1.5, "a", [1])] == [
        "", "bool", "int", "json", "float", "text", "json"
    ]  # fmt: skip
    assert [merge_kinds(*pair) for pair in (("", "int"), ("int", ""), ("int", "float"), ("int", "text"))] == [
        "int", "int", "float", "json"
    ]  # fmt: skip


def test_html_is_classified_by_its_article(classifier: Classifier) -> None:
    body = "".join(f"<p>{text * 3}</p>" for text in TEXTS.values())
    markup = f"<html><head><title>Т</title></head><body><nav>Басты бет</nav><article>{body}</article></body></html>"
    found = classify_batch(
        [InputRecord(id="a", source="a.html", text=markup, markup=True)], classifier, BatchOptions(unit="paragraph")
    )
    assert all(text in found.rows[0]["text"] for text in TEXTS.values())
    assert "Басты бет" not in found.rows[0]["text"]


def test_rows_as_many_files_are_those_of_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    news = many(tmp_path / "news.jsonl", parts=5)
    monkeypatch.setattr("pipeline.inference.batch.many_files.SHARDS_A_FILE", 2)
    options = BatchOptions(level="both")
    for out in ("one.parquet", "many", "many"):  # twice: nothing of the first time is in the way
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many/rows-000009.parquet").write_bytes(b"of an earlier run")
        (tmp_path / "many/notes.txt").write_text("somebody's own")
        run_batch(BatchRequest([news], tmp_path / out, folder, options, workers=1), print)
    names = [f"rows-00000{number}.parquet" for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == ["_manifest.json", "notes.txt", *names]
    (tmp_path / "many/notes.txt").unlink()
    for name in ("", ".articles"):
        whole = parquet.read_table(tmp_path / f"one{name}.parquet")
        assert parquet.read_table(tmp_path / f"many{name}").equals(whole)
        manifest = json.loads((tmp_path / f"many{name}/_manifest.json").read_text())
        assert manifest["rows"] == len(whole) == sum(file["rows"] for file in manifest["files"])
