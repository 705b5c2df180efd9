"""What a text holds is what scikit-learn finds in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.classifiers.vectorizer import TOKEN, CharVectorizer, Vectorizer, WordVectorizer
from pipeline.core.schemas import LabelledRow

KINDS: dict[type[Vectorizer], dict[str, Any]] = {
    CharVectorizer: {"analyzer": "char_wb", "ngram_range": (2, 5)},
    WordVectorizer: {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": TOKEN},
}


def pair(
    kind: type[Vectorizer], texts: list[str], sublinear_tf: bool, least: int
) -> tuple[TfidfVectorizer, Vectorizer]:
    theirs = TfidfVectorizer(**KINDS[kind], sublinear_tf=sublinear_tf, min_df=least).fit(texts)
    ours = kind(KINDS[kind]["ngram_range"], sublinear_tf, least)
    features = ours.fit_transform(texts)
    assert abs(theirs.transform(texts) - features).max() < 1e-15
    assert list(ours.vocabulary) == list(theirs.get_feature_names_out())
    assert np.abs(ours.idf - theirs.idf_).max() < 1e-15
    return theirs, ours


def difference(theirs: TfidfVectorizer, ours: Vectorizer, texts: list[str]) -> float:
    return float(abs(theirs.transform(texts) - ours.transform(texts)).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sublinear_tf", "least"), [(True, 1), (False, 2)])
def test_paragraphs_hold_what_scikit_learn_finds(
    rows: list[LabelledRow], kind: type[Vectorizer], sublinear_tf: bool, least: int
) -> None:
    texts = [row.text for row in rows]
    theirs, ours = pair(kind, texts[::2], sublinear_tf, least)
    assert difference(theirs, ours, texts) < 1e-15
    assert ours.transform([]).shape == (0, len(ours.idf))


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.text(st.sampled_from("әаіi Iİß\t\n\u00a0\u2003.-_«1ёЁǅ"), max_size=12), min_size=1))
@settings(max_examples=200, deadline=None)
def test_odd_letters_and_spaces_too(kind: type[Vectorizer], texts: list[str]) -> None:
    theirs, ours = pair(kind, ["аә іi", "İß 1_ё", *texts[::2]], sublinear_tf=True, least=1)
    assert difference(theirs, ours, texts) < 1e-15


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_frequent_enough_there_are_no_terms(kind: type[Vectorizer]) -> None:
    vectorizer = kind((3, 3), sublinear_tf=True, min_df=2)
    vectorizer.fit_transform(["суд", "мектеп"])
    assert vectorizer.vocabulary == {}


def test_a_text_without_a_known_term_has_a_row_of_zeros() -> None:
    _, ours = pair(WordVectorizer, ["мектеп пен білім"], sublinear_tf=True, least=1)
    assert np.array_equal(ours.transform(["", "суд", "білім"]).toarray().sum(axis=1), [0, 0, 1])
