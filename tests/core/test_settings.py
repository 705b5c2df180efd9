"""A wrong key or value in a configuration is named with file, place, value and expectation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.classifiers.tfidf_regression import TfidfSettings
from pipeline.core.errors import UserError
from pipeline.core.settings import Settings, load_section, load_settings
from pipeline.evaluation.evaluate import EvaluationSettings
from tests.conftest import ROOT

TFIDF = (ROOT / "configs/tfidf.yaml").read_text()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_a_good_file_loads() -> None:
    assert load_settings(ROOT / "configs/tfidf.yaml", TfidfSettings).char_ngrams == (2, 5)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("min_df: 1 ", "min_df: many", ["min_df", "Expected `int`, got `str`", "found 'many'"]),
        ("min_df: 1 ", "min_df: 0", ["min_df", "Expected `int` >= 1", "found 0"]),
        ("char_ngrams: [2, 5]", "char_ngrams: [2]", ["char_ngrams", "length 2"]),
        ("char_ngrams: [2, 5]", "char_ngrams: [2, x]", ["char_ngrams[1]", "found 'x'"]),
        ("sublinear_tf:", "sublinaer:", ["unknown field `sublinaer`"]),
        ("sublinear_tf: true", "", ["missing required field `sublinear_tf`"]),
    ],
)
def test_a_broken_value_is_named(old: str, new: str, parts: list[str], tmp_path: Path) -> None:
    assert old in TFIDF
    path = written(tmp_path, TFIDF.replace(old, new))
    with pytest.raises(UserError) as error:
        load_settings(path, TfidfSettings)
    for part in ["config.yaml", *parts]:
        assert part in str(error.value)


@pytest.mark.parametrize("number", ["2e-05", "2E-05", "2.0e-05", "+.2e-4", "200.e-7", "0.00002"])
def test_numbers_load_as_dvc_writes_them(number: str, tmp_path: Path) -> None:
    path = written(tmp_path, TFIDF.replace("C: 10", f"C: {number}"))
    assert load_settings(path, TfidfSettings).C == 2e-5


def test_what_only_looks_like_a_number_is_text(tmp_path: Path) -> None:
    path = written(tmp_path, "[1e5x, e-05, 2e-05 and more, 1.2.3e4]")
    assert load_settings(path, list[str]) == ["1e5x", "e-05", "2e-05 and more", "1.2.3e4"]


class OuterSettings(Settings, frozen=True):
    """Settings with others inside, as configs/transformer.yaml has them."""

    tfidf_weight: float
    tfidf: TfidfSettings


@pytest.mark.parametrize(
    ("new", "old", "message"),
    [
        ("tfidf_weight", "lexical_weight", "lexical_weight: is called tfidf_weight now; rename the key"),
        ("tfidf", "lexical", "lexical: is called tfidf now; rename the key"),
        ("min_df", "min_rows", "tfidf.min_rows: is called min_df now; rename the key"),
        ("sublinear_tf", "sublinear", "tfidf.sublinear: is called sublinear_tf now; rename the key"),
        ("C", "inverse_regularisation", "tfidf.inverse_regularisation: is called C now; rename the key"),
        (
            "class_weight",
            "balanced",
            "tfidf.balanced: is called class_weight (balanced or null) now; rename the key",
        ),
    ],
)
def test_a_key_of_an_older_version_is_refused_with_its_new_name(
    new: str, old: str, message: str, tmp_path: Path
) -> None:
    inner = "".join(f"  {line}\n" for line in TFIDF.splitlines())
    text, count = re.subn(rf"^( *){new}:", rf"\1{old}:", f"tfidf_weight: 1.0\ntfidf:\n{inner}", flags=re.M)
    assert count == 1
    with pytest.raises(UserError) as error:
        load_settings(written(tmp_path, text), OuterSettings)
    assert str(error.value).endswith(f"config.yaml: {message}")


def test_what_is_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not valid YAML"):
        load_settings(written(tmp_path, "a: [1, 2"), TfidfSettings)


def test_sections_are_checked(tmp_path: Path) -> None:
    whole = (ROOT / "configs/pipeline.yaml").read_text()
    assert load_section(ROOT / "configs/pipeline.yaml", "evaluation", EvaluationSettings).level == 0.9
    with pytest.raises(UserError, match=r"evaluation\.level: Expected `float` <= 1\.0 \(found 90\)"):
        load_section(written(tmp_path, whole.replace("level: 0.9", "level: 90")), "evaluation", EvaluationSettings)
    with pytest.raises(UserError, match="evalution: not one of encoder"):
        load_section(written(tmp_path, whole.replace("evaluation:", "evalution:")), "evaluation", EvaluationSettings)
    with pytest.raises(UserError, match="lexical: is called tfidf now; rename the key"):
        load_section(written(tmp_path, f"{whole}lexical: {{}}\n"), "evaluation", EvaluationSettings)
    with pytest.raises(UserError, match="section evaluation is missing"):
        load_section(written(tmp_path, "threads: 2\n"), "evaluation", EvaluationSettings)
