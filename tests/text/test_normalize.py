"""What `prepare` may change, and what it may never drop."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.normalize import for_scoring, lines, prepare
from tests.conftest import ROOT

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


@pytest.mark.parametrize(
    ("text", "scored"),
    [
        ("Aýylda jańa mektep ashyldy, balalar qýanyp keldi.", "Ауылда жаңа мектеп ашылды, балалар қуанып келді."),
        ("اۋىلدا جاڭا مەكتەپ اشىلدى، بالالار قۋانىپ كەلدى.", "Ауылда жаңа мектеп ашылды, балалар қуанып келді."),
        ("АУЫЛДА ЖАҢА МЕКТЕП АШЫЛДЫ.", "Ауылда жаңа мектеп ашылды."),
        ("AÝYLDA JAŃA MEKTEP ASHYLDY, BALALAR QÝANDY.", "Ауылда жаңа мектеп ашылды, балалар қуанды."),
        ("Aуылдa жaңa мeктeп aшылды.", "Ауылда жаңа мектеп ашылды."),
        ("В ШКОЛЕ ПРОШЁЛ УРОК ЧЕСТНОСТИ", "В школе прошёл урок честности"),
        ("АСТАНА, 5 мамыр. ҚазАқпарат – Бүгін мектеп ашылды.", "Бүгін мектеп ашылды."),
        ("АЛМАТЫ. 12 мая 2024 г. – «Школа открылась», – сказал он.", "«Школа открылась», – сказал он."),
        ("Школа открылась. https://a.kz/1?b=2 www.b.kz", "Школа открылась."),
        ("Портал www.b.kz открыт.", "Портал www.b.kz открыт."),
        ("ҰБТ – Ұлттық бірыңғай тестілеу.", "ҰБТ – Ұлттық бірыңғай тестілеу."),
        (
            "Okullarda yeni dersler başladı, öğretmenler katıldı.",
            "Okullarda yeni dersler başladı, öğretmenler katıldı.",
        ),
        ("Schools opened new courses for teachers.", "Schools opened new courses for teachers."),
    ],
)
def test_scripts_capitals_and_look_alikes_are_scored_as_models_have_read_them(text: str, scored: str) -> None:
    assert for_scoring(text, {"kk", "ru"}) == scored


def test_a_model_without_kazakh_reads_other_scripts_as_they_are() -> None:
    text = "Aýylda jańa mektep ashyldy, balalar qýanyp keldi."
    assert for_scoring(text, {"tr"}) == text
    assert for_scoring("АУЫЛДА ЖАҢА МЕКТЕП АШЫЛДЫ.", set()) == "Ауылда жаңа мектеп ашылды."


def test_what_our_models_learn_from_and_are_scored_on_stays_in_every_bit() -> None:
    files = ("seeds/exemplars.jsonl", "seeds/challenge.jsonl", "seeds/annotations.jsonl", "tests/golden.jsonl")
    texts = [prepare(json.loads(line)["text"]) for name in files for line in (ROOT / name).read_text().splitlines()]
    assert len(texts) > 5000
    assert [text for text in texts if for_scoring(text, {"kk", "ru", "en"}) != text] == []
