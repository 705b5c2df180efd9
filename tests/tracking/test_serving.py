"""A real `mlflow models serve`, one for all tests: the answers in both languages, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.inference.classifier import Classifier
from pipeline.tracking.logged import save_model
from tests.server import ask, free_port, running
from tests.tracking.test_requests import REFUSED

pytestmark = pytest.mark.slow

TEXTS = ["Мемлекеттік қызметке ашық конкурс өтеді.", "В школах и вузах внедряются программы «Адал ұрпақ»."]


@pytest.fixture(scope="module")
def saved(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TF-IDF as MLflow keeps it."""
    target = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, "tfidf", target)
    return target


@pytest.fixture(scope="module")
def url(saved: Path) -> Iterator[str]:
    """A server of it."""
    url = f"http://127.0.0.1:{free_port()}"
    command = ["mlflow", "models", "serve", "-m", str(saved), "-p", url.rpartition(":")[2], "--env-manager", "local"]
    with running(command, f"{url}/ping", saved.parent):
        yield url


def answers(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    said = Classifier.load(folder)(texts)
    return [
        {"themes": list(p.themes), "undecided": list(p.undecided), "scores": p.scores, "status": p.status} for p in said
    ]


def test_both_languages_get_the_answers_of_the_folder(url: str, folder: Path) -> None:
    assert ask(url, json.dumps({"inputs": {"text": TEXTS}})) == (200, answers(folder, TEXTS))
    for text in TEXTS:
        (alone,) = answers(folder, [text])
        body = json.dumps({"inputs": [{"text": text, "id": "a1"}]}, ensure_ascii=False)
        assert ask(url, body) == (200, [{"id": "a1", **alone}])


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_refused_is_a_400_that_says_what_is_expected(url: str, body: Any, message: str) -> None:
    start = time.monotonic()
    status, said = ask(url, body if isinstance(body, bytes | str) else json.dumps(body))
    assert (status, message in said) == (400, True), said
    assert len(said) < 400
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (f"text\n{'Сөз ' * 5001}\n", "text/csv", "text of row 0: 20004 characters, expected at most 20000"),
        ("text,id\nМектеп,1\nNA,2\n", "text/csv", "text of row 1: expected a text that is not empty, got nan"),
        ("text,id\nМектеп,1\nШкола,\n", "text/csv", "id of row 1: expected a text, or no ids at all, got nan"),
        (
            '{"dataframe_split": {"columns": ["text"], "data": [["Мектеп"], [null]]}}',
            "application/json",
            "text of row 1: expected a text that is not empty, got nan",
        ),
        (
            '{"inputs": {"text": ["Мектеп"]}, "params": {"threshold": 2}}',
            "application/json",
            "threshold: expected a number from 0 to 1",
        ),
        (
            '{"inputs": {"text": ["Школа"]}, "params": {"top_k": -1}}',
            "application/json",
            "top_k: expected 1 or more",
        ),
    ],
)
def test_what_only_the_model_sees_is_refused_too(url: str, body: str, kind: str, message: str) -> None:
    status, said = ask(url, body, kind)
    assert (status, message in said) == (400, True), said


def test_predict_on_the_command_line_refuses_the_same(saved: Path) -> None:
    (saved.parent / "in.json").write_text('{"inputs": {"text": [null]}}')
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", str(saved), "-t", "json"]
    command += ["-i", str(saved.parent / "in.json"), "--env-manager", "local"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=saved.parent)
    assert done.returncode != 0
    assert "Expected `str`, got `null` - at `$.inputs.text[0]`" in done.stderr


def test_large_requests_keep_nobody_waiting_and_the_server_has_no_torch(url: str) -> None:
    """Six of the largest that are taken at once fill the server's threads; a small one beside them is answered soon."""
    largest = json.dumps({"inputs": {"text": [f"{TEXTS[n % 2]} " * 380 for n in range(5)]}})
    with ThreadPoolExecutor(7) as pool:
        waiting = [pool.submit(ask, url, largest) for _ in range(6)]
        time.sleep(0.2)
        start = time.monotonic()
        assert ask(url, json.dumps({"inputs": {"text": TEXTS}}))[0] == 200
        assert time.monotonic() - start < 30
        assert [one.result()[0] for one in waiting] == [200] * 6
    port = int(url.rpartition(":")[2])
    (server,) = {c.pid for c in psutil.net_connections() if c.status == "LISTEN" and c.laddr.port == port}
    loaded = {Path(file.path).name for file in psutil.Process(server).memory_maps()}
    assert not [name for name in loaded if name.startswith(("libtorch", "libsklearn", "_sklearn"))]


def test_a_logged_model_needs_neither_torch_nor_the_whole_of_mlflow(saved: Path, folder: Path) -> None:
    named = {line.partition("==")[0] for line in (saved / "requirements.txt").read_text().split()}
    assert named == {"mlflow-skinny", "msgspec", "numpy", "pandas", "py3langid", "pyyaml", "safetensors", "scipy"}
    assert not [path for path in saved.rglob("*") if path.suffix in (".pkl", ".pickle")]
