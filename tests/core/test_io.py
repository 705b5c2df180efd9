"""Files appear whole or not at all, and what is wrong in one is named with its line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from pipeline.core.errors import UserError
from pipeline.core.io import (
    atomic_folder,
    read_json,
    read_jsonl,
    write_csv,
    write_json,
    write_jsonl,
)
from pipeline.core.schemas import FoldRow, Rejected


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_a_jsonl_file(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    rows = [Rejected(article="ә", line=1, reason="menu", text=text), Rejected(article="б", line=2, reason="", text="x")]
    write_jsonl(path, rows)
    assert read_jsonl(path, Rejected) == rows


def test_line_separators_inside_strings_do_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"article":"a","line":1,"reason":"r","text":"бір\u2028екі\u0085үш"}\n')
    assert read_jsonl(path, Rejected)[0].text == "бір\u2028екі\u0085үш"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "truncated"),
        ('{"article":"a","fold":0}', "missing required field `role`"),
        ('{"article":"a","fold":0,"role":"exam"}', "Invalid enum value 'exam'"),
        ('{"article":"a","fold":"x","role":"test"}', "Expected `int | null`, got `str`"),
        ('{"article":"a","fold":0,"role":"test","colour":1}', "unknown field `colour`"),
        ('{"article":"a","fold":NaN,"role":"test"}', "malformed"),
    ],
)
def test_a_broken_line_is_named(line: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "folds.jsonl"
    path.write_text('{"article":"a","fold":0,"role":"test"}\n\n' + line + "\n")
    with pytest.raises(UserError, match=r"folds\.jsonl:3: ") as error:
        read_jsonl(path, FoldRow)
    assert part in str(error.value)


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "folds.jsonl"
    path.write_bytes(b'{"article":"\xff","fold":0,"role":"test"}\n')
    with pytest.raises(UserError, match=r"folds\.jsonl:1: .*utf-8"):
        read_jsonl(path, FoldRow)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.json: cannot be read \(No such file"):
        read_json(tmp_path / "absent.json", dict[str, int])


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_jsonl(path, [1])

    def rows() -> object:
        yield 2
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError):
        write_jsonl(path, rows())  # type: ignore[arg-type]
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_the_old_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with atomic_folder(path) as folder:
        write_json(folder / "a.json", 1)
    with pytest.raises(RuntimeError), atomic_folder(path) as folder:
        write_json(folder / "b.json", 2)
        raise RuntimeError("killed")
    assert [p.name for p in path.iterdir()] == ["a.json"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_keeps_its_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"theme": "a;б", "text": 'ол «"былай"», деді\nкейін'}])
    assert (tmp_path / "t.csv").read_text() == 'theme,text\na;б,"ол «""былай""», деді\nкейін"\n'


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_list_a_folder_may_read_its_files(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        with atomic_folder(tmp_path / "model") as folder:
            (folder / "tfidf").mkdir()
            save_file({"idf": np.zeros(1)}, folder / "tfidf/tfidf.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "model/tfidf/tfidf.safetensors").stat().st_mode & 0o777 == mode
