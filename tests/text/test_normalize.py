"""What `prepare` may change, and what it may never drop."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.normalize import lines, prepare

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
troublesome = st.text(
    st.sampled_from("аәАӘййёе\u0301\u0308 \u00a0\u2009\u3000\t\n\r\u200b\u200d\ufeff\u00ad\x00\x1f«».-12")
)


@given(any_text | troublesome)
def test_prepare_is_idempotent(text: str) -> None:
    once = prepare(text)
    assert prepare(once) == once


@given(any_text | troublesome)
def test_no_letter_digit_or_punctuation_mark_is_lost(text: str) -> None:
    def visible(value: str) -> str:
        normal = unicodedata.normalize("NFC", value)
        return "".join(c for c in normal if unicodedata.category(c)[0] in "LNPS")

    # Letters compose with marks that stood behind something invisible, so both sides are compared without marks.
    def base(value: str) -> str:
        return visible("".join(c for c in unicodedata.normalize("NFD", value) if unicodedata.category(c)[0] != "M"))

    assert base(prepare(text)) == base(text)


@given(any_text | troublesome)
def test_only_single_spaces_remain_of_white_space(text: str) -> None:
    prepared = prepare(text)
    assert prepared == " ".join(prepared.split())
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in prepared)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("\ufeffМемлекеттік\u00a0қызмет\u2009–\u3000міндет\t ", "Мемлекеттік қызмет – міндет"),
        ("сло\u00adво\u200b и\u2060 дело", "слово и дело"),
        ("и\u0306 е\u0308", "й ё"),
        ("и\u200b\u0306", "й"),
        ("а\x00б\x1b\x7f", "аб"),
        ("ә і ң ғ ү ұ қ ө һ", "ә і ң ғ ү ұ қ ө һ"),
        ("\u200b \u00ad\n", ""),
        ("", ""),
    ],
)
def test_prepare(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


def test_every_line_ending_ends_a_line() -> None:
    assert lines("а\nб\r\nв\rг\u2028д\u2029е\u0085ж\fз") == list("абвгдежз")
    assert lines("а\n\nб\n") == ["а", "", "б"]
    assert lines("") == []
