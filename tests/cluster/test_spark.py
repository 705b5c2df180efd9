"""The logged model as a function of Spark: answers of `classify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from pipeline.tracking.logged import save_model
from tests.cluster.conftest import classify
from tests.conftest import ROOT

ANSWER = "themes array<string>, undecided array<string>, scores map<string,double>, status string"


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Spark on two cores of this machine."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        settings = {"spark.ui.enabled": "false", "spark.sql.execution.arrow.maxRecordsPerBatch": "100"}
        session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


def test_spark_gives_the_answers_of_classify(spark: Any, compact: Path, tmp_path: Path) -> None:
    texts = [json.loads(line)["text"] for line in (ROOT / "tests/golden.jsonl").read_text().splitlines()]
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    news = tmp_path / "news.jsonl"
    news.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    classify(news, "--model", compact, "-o", tmp_path / "rows.jsonl", code=0)
    expected = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]

    save_model(compact, "compact", tmp_path / "served")
    themes = mlflow.pyfunc.spark_udf(spark, str(tmp_path / "served"), result_type=ANSWER, env_manager="local")
    table = spark.read.schema("id string, text string").json(str(news)).repartition(2)
    answered = table.withColumn("answer", themes("text")).select("id", "answer.*").collect()

    found = {row["id"]: row.asDict() for row in answered}
    assert len(found) == len(expected) == len(rows)
    for row in expected:
        answer = found[row["id"]]
        assert {name: answer[name] for name in ("themes", "undecided", "status")} == {
            name: row[name] for name in ("themes", "undecided", "status")
        }
        assert answer["scores"] == pytest.approx(row["scores"], abs=1e-6)
