"""Text that was read in a wrong encoding comes back as it was written, or stays as it is."""

from __future__ import annotations

import json

import pytest

from pipeline.text.mojibake import mended
from tests.conftest import ROOT


def misread(text: str, written: str, read: str) -> str:
    """Bytes of one encoding as another page shows them; what it lacks is the byte's own character."""
    return "".join(bytes([byte]).decode(read, "ignore") or chr(byte) for byte in text.encode(written))


def exemplars(language: str) -> list[str]:
    rows = map(json.loads, (ROOT / "seeds/exemplars.jsonl").read_text().splitlines()[::20])
    return [row["text"] for row in rows if row["language"] == language]


@pytest.mark.parametrize("language", ["kk", "ru"])
@pytest.mark.parametrize("read", ["cp1251", "cp1252", "latin-1"])
def test_utf8_in_another_page_comes_back(language: str, read: str) -> None:
    texts = exemplars(language)
    assert len(texts) > 100
    assert [mended(misread(text, "utf-8", read)) for text in texts] == texts


@pytest.mark.parametrize("read", ["cp1252", "latin-1"])
def test_cp1251_as_western_european_comes_back(read: str) -> None:
    texts = [text for text in exemplars("ru") if not set("әғқңөұүһі").intersection(text.lower())]
    held = [text for text in texts if text.encode("cp1251", "ignore").decode("cp1251") == text]
    assert len(held) > 80
    assert [mended(misread(text, "cp1251", read)) for text in held] == held


def test_lines_are_mended_one_by_one() -> None:
    text = "Мектеп ашылды\nРњРµРєС‚РµРї Р°С€С‹Р»РґС‹\nШкола"
    assert mended(text) == "Мектеп ашылды\nМектеп ашылды\nШкола"


def test_spaces_and_letters_that_were_tidied_away_come_back() -> None:
    text = "Россия и Казахстан. И Роза Рашидова"
    assert mended(misread(text, "utf-8", "cp1251").replace("\xa0", " ")) == text


@pytest.mark.parametrize(
    "text",
    ["Бүгін РЎРґ деген жазу", "Café à l'été, señor Ñañez", "Müäöüß ist kein Wort", "Р°Р°", "Ðа", "", "Школа №5 – ЁЖ"],
)
def test_what_is_sound_or_uncertain_stays(text: str) -> None:
    assert mended(text) == text
