"""Capitals and look-alikes become what would have been written; what is no mistake stays."""

from __future__ import annotations

import json

import pytest

from pipeline.text.letters import in_small_letters, is_in_capitals, without_look_alikes
from tests.conftest import ROOT

TWINS = str.maketrans("аеіорсхәАВСЕНІКМОРТХӘ", "aeiopcxəABCEHIKMOPTXƏ")


@pytest.mark.parametrize(
    ("text", "small"),
    [
        (
            "АУЫЛДА МЕКТЕП САЛЫНДЫ. ҚР ҮКІМЕТІ ҚАРЖЫ БӨЛДІ!",
            "Ауылда мектеп салынды. ҚР үкіметі қаржы бөлді!",
        ),
        ("«В ШКОЛАХ РК ПРОШЛИ УРОКИ» – МВД", "«В школах РК прошли уроки» – МВД"),
    ],
)
def test_capitals_become_small_but_in_abbreviations_and_at_the_start_of_sentences(text: str, small: str) -> None:
    assert is_in_capitals(text)
    assert in_small_letters(text) == small


@pytest.mark.parametrize("text", ["ҚР ҰБТ 2024", "Астана. МӘЖІЛІС отырысы өтті", "Школа", "", "12 %"])
def test_abbreviations_and_words_in_capitals_are_no_text_in_capitals(text: str) -> None:
    assert not is_in_capitals(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Бүгiн тəлiмгерлер Aқтөбеде жиналды.", "Бүгін тәлімгерлер Ақтөбеде жиналды."),
        ("Учитeль и дирeктoр", "Учитель и директор"),
        ("Yкiметте eкi xaт, oл a және oсы бaр", "Үкіметте екі хат, ол а және осы бар"),
    ],
)
def test_latin_look_alikes_in_cyrillic_words_are_folded(text: str, clean: str) -> None:
    assert without_look_alikes(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "IT-сынып, COVID-тен кейін, e-Gov және Tele2-нің тарифі",
        "OPECке мүше елдер, NASAның ғарышкері",
        "WhatsAppта PRшы, «ДосболLIKE» және memkyzmet.kzсайты",
        "Мектеп oxy деген сөз",
        "A copy of the exam",
    ],
)
def test_latin_words_and_their_endings_stay(text: str) -> None:
    assert without_look_alikes(text) == text


def test_exemplars_with_every_second_look_alike_come_back() -> None:
    lines = (ROOT / "seeds/exemplars.jsonl").read_text().splitlines()[::10]
    texts = [row["text"] for row in map(json.loads, lines) if row["language"] in ("kk", "ru")]
    typed = ["".join(letter.translate(TWINS) if at % 2 else letter for at, letter in enumerate(text)) for text in texts]
    same = [
        word == found
        for text, other in zip(texts, typed, strict=True)
        for word, found in zip(text.split(), without_look_alikes(other).split(), strict=True)
    ]
    assert len(texts) > 400
    assert sum(same) >= 0.995 * len(same)
