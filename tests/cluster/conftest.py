"""A Ray cluster of two nodes on this machine, an S3 server on loopback, and models to classify with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.classifiers.base import Setup
from pipeline.classifiers.model_folder import save_model_folder
from pipeline.core.io import read_jsonl
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.text.boilerplate import Boilerplate
from pipeline.training.export import ExportSettings, export_compact, to_gate_row
from pipeline.training.train import train_model
from tests.conftest import ROOT, THEMES

if find_spec("ray") is None:  # `make cluster` installs it
    collect_ignore_glob = ["test_*.py"]

NODE = {"num_cpus": 1, "object_store_memory": 200_000_000, "include_dashboard": False}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if "cluster" in item.path.parts:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.filterwarnings("default"))  # Ray's and Spark's own


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes with a core each: real raylets, which share a disk."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.add_node(num_cpus=1, object_store_memory=NODE["object_store_memory"])
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="session")
def store() -> Iterator[dict[str, str]]:
    """A server that speaks S3, with a bucket `news`; the variables that lead to it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    names["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="news")
        yield names
    server.stop()


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Real paragraphs and exemplars, in both languages."""
    exemplars = [row.text for row in read_jsonl(ROOT / "seeds/exemplars.jsonl", Text)]
    articles = [line for file in sorted((ROOT / "seeds/articles").iterdir()) for line in file.read_text().splitlines()]
    return [text for text in (*articles, *exemplars) if len(text) > 40]


class Text(msgspec.Struct):
    text: str


@pytest.fixture(scope="session")
def written(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A file of so many different paragraphs; each hundredth line is broken."""
    folder = tmp_path_factory.mktemp("news")

    def write(count: int) -> Path:
        path = folder / f"news-{count}.jsonl"
        with path.open("w") as file:
            for at in range(count):
                row = {"id": f"p{at}", "text": f"{texts[at % len(texts)]} № {at}", "views": at}
                file.write("{broken\n" if at % 100 == 99 else json.dumps(row, ensure_ascii=False) + "\n")
        return path

    return write


def classify(*arguments: object, code: int = 3, **options: Any) -> str:
    """What the command says; some lines are broken, so it ends with 3."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=600, **options)
    assert done.returncode == code, done.stderr
    return done.stderr


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline", "classify", "--unit", "paragraph", *map(str, arguments)]


@pytest.fixture(scope="session")
def compact(tmp_path_factory: pytest.TempPathFactory, rows: list[LabelledRow], labels: Labels) -> Path:
    """A compact model of the real encoder: the checkout's, or for want of it one that knows the gold rows alone."""
    if (ROOT / "models/compact/manifest.json").is_file():
        return ROOT / "models/compact"
    folder = tmp_path_factory.mktemp("compact")
    encoder, config = folder / "encoder", ROOT / "configs/transformer.yaml"
    stage = ["encoder", "--settings", ROOT / "configs/pipeline.yaml", "--out", encoder]
    subprocess.run([sys.executable, "-m", "pipeline", *map(str, stage)], cwd=ROOT, check=True)
    model, facts = train_model(
        "transformer", rows, Setup(labels, config, encoder, 2, 0), dict.fromkeys(THEMES, 0.4), 0.05
    )
    save_model_folder(folder / "trained", model, facts, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    (folder / "compact").mkdir()
    judging = [to_gate_row(row, labels) for row in rows]
    gate = ExportSettings(forms=("int8",), alphabet="", calibration_rows=30, equal_decisions=0.5, f1_loss=1.0)
    export_compact(folder / "trained", folder / "compact", [row.text for row in rows], judging, gate)
    return folder / "compact"
