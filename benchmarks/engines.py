"""The engines on the cores of this machine, whole commands in turn: processes, Ray, and MLflow's function in Spark.

python benchmarks/engines.py        # after `make repro` and `make cluster`, ten minutes
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from growth import ROOT, written

SIZES = {"tfidf": 100_000, "compact": 20_000}
ANSWER = "themes array<string>, undecided array<string>, scores map<string,double>, status string"


def command(engine: str, model: str, news: Path, folder: Path) -> float:
    """Seconds of the whole command."""
    options = ["--unit", "paragraph", "--model", ROOT / "models" / model, "--engine", engine]
    out = folder / f"{engine}.jsonl"
    began = time.monotonic()
    arguments = [sys.executable, "-m", "pipeline", "classify", news, *options, "-o", out]
    subprocess.run([*map(str, arguments)], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def in_spark(model: str, news: Path, folder: Path) -> float:
    """Seconds of Spark from its start to rows in Parquet."""
    import mlflow
    from pyspark.sql import SparkSession

    from pipeline.tracking.logged import save_model

    os.environ["PYSPARK_PYTHON"] = sys.executable
    save_model(ROOT / "models" / model, model, folder / f"served-{model}")
    began = time.monotonic()
    settings = {"spark.ui.enabled": "false", "spark.sql.execution.arrow.maxRecordsPerBatch": "100"}
    spark = SparkSession.builder.master(f"local[{os.cpu_count()}]").config(map=settings).getOrCreate()
    themes = mlflow.pyfunc.spark_udf(spark, str(folder / f"served-{model}"), result_type=ANSWER, env_manager="local")
    table = spark.read.schema("id string, text string").json(str(news)).repartition(os.cpu_count() or 1)
    table.withColumn("answer", themes("text")).write.parquet(str(folder / f"spark-{model}"))
    spark.stop()
    return time.monotonic() - began


@click.command()
@click.option("--rounds", default=3)
@click.option("--spark/--no-spark", default=True)
def main(rounds: int, spark: bool) -> None:
    """Prints a table: seconds, paragraphs a second, and times as long as processes take."""
    click.echo("| model | paragraphs | engine | seconds | paragraphs/s | times as long |")
    click.echo("| --- | ---: | --- | ---: | ---: | ---: |")
    for model, count in SIZES.items():
        with TemporaryDirectory() as name:
            folder = Path(name)
            news = written(count, folder)
            runs = [
                {engine: command(engine, model, news, folder) for engine in ("local", "ray")} for _ in range(rounds)
            ]
            if (folder / "local.jsonl").read_bytes() != (folder / "ray.jsonl").read_bytes():
                raise click.ClickException(f"{model}: the engines differ")
            ratios = {"local": 1.0, "ray": statistics.median(run["ray"] / run["local"] for run in runs)}
            seconds = {engine: statistics.median(run[engine] for run in runs) for engine in ratios}
            if spark:
                seconds["spark"] = in_spark(model, news, folder)
                ratios["spark"] = seconds["spark"] / seconds["local"]
            for engine, took in seconds.items():
                rate = f"{count / took:,.0f} | {ratios[engine]:.2f}"
                click.echo(f"| {model} | {count:,} | {engine} | {took:.1f} | {rate} |")


if __name__ == "__main__":
    main()
