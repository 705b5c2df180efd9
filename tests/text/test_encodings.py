"""Text of every encoding that Kazakh and Russian are kept in comes out as it was written, or not at all."""

from __future__ import annotations

import json
from functools import cache
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.text.encodings import decode, utf8_stream
from tests.conftest import ROOT

UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
PAGES = ("cp1251", "koi8-r", "cp866", "cp855", "mac-cyrillic", "kz1048", "ptcp154")
SIZE = 300


@cache
def passages(language: str) -> list[str]:
    """Paragraphs of a language, joined to passages of at least 300 characters."""
    done, begun = [], ""
    for line in (ROOT / "seeds/exemplars.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["language"] == language:
            begun = f"{begun}\n{row['text']}".strip()
            if len(begun) >= SIZE:
                done.append(begun)
                begun = ""
    return done


def outcome(text: str, encoding: str) -> str:
    """Whether text comes back `right`, `wrong` or `refused`; `none` where the encoding can't hold it."""
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        return "none"
    try:
        return "right" if decode(data, "a.txt") == text else "wrong"
    except UserError:
        return "refused"


@pytest.mark.parametrize("language", ["kk", "ru"])
@pytest.mark.parametrize("encoding", [*UNICODE, *PAGES])
def test_passages_come_back_as_they_were(language: str, encoding: str) -> None:
    found = [outcome(text, encoding) for text in passages(language)]
    held = len(found) - found.count("none")
    assert len(found) > 500
    if language == "kk" and encoding not in (*UNICODE, "kz1048", "ptcp154"):
        assert held < 5  # hardly a Kazakh passage does without Kazakh letters
    else:
        assert held > 400
        assert found.count("right") >= 0.995 * held
        assert found.count("wrong") <= 0.002 * held


def test_kazakh_words_in_russian_are_no_look_alikes() -> None:
    text = "В школах внедряются программы «Адал ұрпақ», а служащие проходят тест. Так решил Нұрлан Әбдіров из Көкшетау."
    for encoding in ("kz1048", "ptcp154"):
        assert decode(text.encode(encoding), "a.txt") == text


@pytest.mark.parametrize(
    "text",
    [
        "id;text\r1;Волонтёры рассказали, почему нельзя давать взятки за оценки.\r2;Акимат Шымкента",
        "Антикоррупционная служба провела в школах Павлодара уроки честности для старшеклассников",
    ],
)
def test_mac_cyrillic_is_told_by_what_other_pages_make_of_it(text: str) -> None:
    assert decode(text.encode("mac-cyrillic"), "a.txt") == text


def test_short_passages_in_mac_cyrillic_are_read_or_refused() -> None:
    found = [outcome(text[:160], "mac-cyrillic") for text in passages("ru")]
    assert found.count("right") >= 0.95 * (len(found) - found.count("none"))
    assert found.count("wrong") <= 0.03 * (len(found) - found.count("none"))


def test_letters_that_russian_lacks_are_kept_where_the_page_is_not_cp1251() -> None:
    text = 'Школы открылись осенью. В них внедряются программы "Єдина їжа", а служащие проходят тест. Так решил отдел.'
    assert decode(text.encode("cp866"), "a.txt") == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32", "cp1251"])
def test_a_stream_that_ends_in_half_a_character_gives_what_no_reader_takes(encoding: str) -> None:
    data = "Тема\nОку".encode(encoding)
    broken = data + b"\x98" if encoding == "cp1251" else data[:-1]
    first, second = utf8_stream(BytesIO(broken), encoding).readlines()
    assert first.decode() == "Тема\n"
    with pytest.raises(UnicodeDecodeError):
        second.decode()


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (
            "Бірінші\nЕкінші ".encode() + "Привет".encode("cp1251"),
            "a.txt:2: byte 0xcf is not UTF-8, though the rest is",
        ),
        ("Тема\n\n".encode() + b"\x00\x01", "a.txt:3: a NUL byte"),
        ("Тема".encode("utf-16")[:-1], "a.txt: byte 9 is no utf-16"),
        ("Снег".encode("cp1251"), "a.txt: neither UTF-8 nor surely anything else (at best "),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01" + bytes(range(256)), "a.txt: image/jpeg, no text"),
    ],
)
def test_what_is_no_text_or_cannot_be_told_is_refused(data: bytes, part: str) -> None:
    with pytest.raises(UserError) as error:
        decode(data, "a.txt")
    assert part in str(error.value)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_utf8_comes_back_whatever_it_says(text: str) -> None:
    assert decode(text.encode(), "a.txt") == text.removeprefix("\ufeff")


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert "\0" not in decode(data, "a.txt")
    except UserError as error:
        assert str(error).startswith("a.txt")
