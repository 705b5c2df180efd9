"""Kazakh in Latin and Arabic letters, written by rule as each alphabet has it, comes back in Cyrillic."""

from __future__ import annotations

import json
import re

import pytest

from pipeline.text.transliteration import arabic_to_cyrillic, is_kazakh_arabic, latin_to_cyrillic
from tests.conftest import ROOT

SHARED = dict(zip("абвгдежзклмнопқрстфхһэ", "abvgdejzklmnopqrstfhhe", strict=True)) | {"ъ": "", "ь": ""}
ACUTE = {"ә": "á", "ғ": "ǵ", "ң": "ń", "ө": "ó", "ү": "ú"}
DOTS = {"ә": "ä", "ғ": "ğ", "ң": "ñ", "ө": "ö", "ү": "ü", "ш": "ş", "щ": "şş"}
DOTLESS = {"и": "ı", "й": "ı", "ы": "y", "і": "i", "ұ": "u", "я": "ıa", "ё": "ıo", "ц": "ts"}
LATIN = {
    "2017": {"ә": "a'", "ғ": "g'", "ң": "n'", "ө": "o'", "ү": "u'", "ш": "s'", "щ": "s's'", "ч": "c'", "у": "y'"}
    | {"ы": "y", "і": "i", "и": "i'", "й": "i'", "ұ": "u", "я": "i'a", "ю": "i'y'", "ё": "i'o", "ц": "ts"},
    "2018": {**ACUTE, **DOTLESS, "ш": "sh", "щ": "shsh", "ч": "ch", "у": "ý", "ю": "ıý"},
    "2019": {**DOTS, **DOTLESS, "ң": "ŋ", "ч": "ç", "у": "w", "ю": "ıw"},
    "2021": {**DOTS, "ч": "ch", "у": "u", "ұ": "ū", "ы": "y", "і": "ı"}
    | {"и": "i", "й": "i", "я": "ia", "ю": "iu", "ё": "io", "ц": "ts"},
    "qazaq": {**DOTS, "ч": "ç", "у": "w", "ұ": "u", "ы": "ı", "і": "i"}
    | {"и": "ï", "й": "y", "я": "ya", "ю": "yu", "ё": "yo", "ц": "c"},
}
ARABIC = dict(zip("абвгғдежзийкқлмнңопрстуұфхһчшыіәөүцэ", "ابۆگعدەجزييكقلمنڭوپرستۋۇفحھچشىىاوۇسە", strict=True))
ARABIC |= {"щ": "شش", "я": "يا", "ю": "يۋ", "ё": "يو", "ъ": "", "ь": ""}


def in_latin(text: str, alphabet: str) -> str:
    letters = SHARED | LATIN[alphabet]
    dotted = {"i": "İ", "ı": "I"} if alphabet in ("2019", "2021", "qazaq") else {"ı": "I"}

    def written(letter: str) -> str:
        new = letters.get(letter.lower(), letter)
        return new if letter.islower() or not new else dotted.get(new[0], new[0].upper()) + new[1:]

    return "".join(map(written, text))


def in_arabic(text: str) -> str:
    def written(word: re.Match[str]) -> str:
        small = word[0].lower()
        new = "".join(ARABIC.get(letter, letter) for letter in small)
        return "ٴ" + new if re.search("[әөүі]", small) and not re.search("[ەكگ]", new) else new

    return re.sub(r"[^\W\d_]+", written, text).translate(str.maketrans(",;?", "،؛؟"))


def exemplars() -> list[str]:
    rows = map(json.loads, (ROOT / "seeds/exemplars.jsonl").read_text().splitlines()[::10])
    return [row["text"] for row in rows if row["language"] == "kk" and not re.search("[A-Za-z]", row["text"])]


def plain(text: str) -> list[str]:
    """Words without what no alphabet tells apart: э and е, һ and х, signs, щ, ё."""
    return re.sub("[ъь]", "", text.lower()).translate(str.maketrans("эһ", "ех")).replace("щ", "шш").split()


@pytest.mark.parametrize("alphabet", LATIN)
def test_latin_comes_back(alphabet: str) -> None:
    texts = exemplars()
    pairs = [(plain(text), plain(latin_to_cyrillic(in_latin(text, alphabet)))) for text in texts]
    same = [one == other for text, found in pairs for one, other in zip(text, found, strict=True)]
    assert len(texts) > 200
    assert sum(same) >= 0.97 * len(same)


def test_arabic_comes_back() -> None:
    texts = exemplars()
    assert all(is_kazakh_arabic(in_arabic(text)) for text in texts)
    pairs = [(plain(text), plain(arabic_to_cyrillic(in_arabic(text)))) for text in texts]
    same = [one == other for text, found in pairs for one, other in zip(text, found, strict=True)]
    assert sum(same) >= 0.95 * len(same)


SENTENCE = "Үкімет мұғалімдердің жалақысын көтеруге ұсыныс жасап, «Дарын» қорын ашты."


@pytest.mark.parametrize(
    "latin",
    [
        "U'kimet mug'alimderdin' jalaqysyn ko'tery'ge usynys jasap, «Daryn» qoryn as'ty.",
        "Úkimet muǵalimderdiń jalaqysyn kóterýge usynys jasap, «Daryn» qoryn ashty.",
        "Ükimet muğalimderdiŋ jalaqysyn köterwge usynys jasap, «Daryn» qoryn aşty.",
        "Ükımet mūğalımderdıñ jalaqysyn köteruge ūsynys jasap, «Daryn» qoryn aşty.",
        "Ükimet muğalimderdiñ jalaqısın köterwge usınıs jasap, «Darın» qorın aştı.",
    ],
)
def test_each_latin_alphabet_reads_alike(latin: str) -> None:
    assert latin_to_cyrillic(latin) == SENTENCE


def test_arabic_letters_and_marks() -> None:
    assert (
        arabic_to_cyrillic("ۇكىمەت ٴبىلىم قورىن اشتى؛ جاڭا جىل، جاڭا ٴۇمىت. قازاق ٴتىلى تۋرالى كىتاپ شىقتى ما؟")
        == "Үкімет білім қорын ашты; жаңа жыл, жаңа үміт. Қазақ тілі туралы кітап шықты ма?"
    )


@pytest.mark.parametrize(
    "text",
    [
        "لا يجوز تعريض أحد للتعذيب",
        "هر کس حق دارد به آموزش و پرورش دسترسی داشته باشد",
        "مەكتەپلەردە يېڭى دەرسلەر باشلاندى، ئوقۇتقۇچىلار قاتناشتى",
        "",
    ],
)
def test_arabic_persian_and_uyghur_are_not_kazakh(text: str) -> None:
    assert not is_kazakh_arabic(text)
