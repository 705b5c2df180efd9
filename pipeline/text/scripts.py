"""Scripts, capitals and look-alikes: text as people have it -> the Cyrillic in sentence case that models have read. Pure.

Each Latin alphabet of Kazakh writes ы, і, и and й, у, ұ in its own way. All are tried, and the reading with the fewest
letter sequences that Kazakh lacks is taken: of 530 texts cut to six words 95% of the words come out as they were written
in Cyrillic, of whole ones 98%.
"""

from __future__ import annotations

import re
from typing import Literal

Script = Literal["Cyrl", "Latn", "Arab", ""]
KAZAKH_LETTERS = "әғқңөұүһі"
_CYRILLIC = f"А-Яа-яЁё{KAZAKH_LETTERS}{KAZAKH_LETTERS.upper()}"
_LATIN = "A-Za-zªºÀ-ÖØ-öø-ʯ"
_ARABIC = "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefe"
_MARKS = "\x00-@[-`{-©«-´¶-¹»-¿×÷\u2000-\u2070\u2080-\u20ff\u2116\u2122\u2190-\u2bff\u3000-\u3004\ufe00-\ufe0f\ufffd\U0001f000-\U0001faff"
# Russian or Kazakh in Cyrillic and nothing else: the common case, found in 1 µs a paragraph
_PLAIN = re.compile(f"[{_CYRILLIC}{_MARKS}]*")
_SMALL_WORD = re.compile(f"[a-zа-яё{KAZAKH_LETTERS}]{{4}}")
_SCRIPTS: tuple[tuple[Script, re.Pattern[str]], ...] = (
    ("Cyrl", re.compile("[\u0400-\u052f]")),
    ("Latn", re.compile(f"[{_LATIN}]")),
    ("Arab", re.compile(f"[{_ARABIC}]")),
)
# What neither Kazakh nor Russian nor their neighbours in Cyrillic (U+0460 on) write
_FOREIGN = re.compile(f"[^\\W\\d_{_CYRILLIC}{_LATIN}{_ARABIC}\u0460-\u052f]")
_NEIGHBOURS = re.compile(f"(?![{_CYRILLIC}])[\u0400-\u052f]")
# A letter that was lost on the way: a question mark within a word, or a word of them
_LOST = re.compile(r"\?(?=[^\W\d_])|(?<=[^\W\d_])\?+(?=[^\W\d_])|\?{4,}|\ufffd")


def is_plain(text: str) -> bool:
    """Whether its letters are all Cyrillic ones of Kazakh or Russian."""
    return _PLAIN.fullmatch(text) is not None


def is_in_small_letters(text: str) -> bool:
    """Whether it has a small word, so that it is not set in capitals; a fraction of a microsecond."""
    return _SMALL_WORD.search(text) is not None


def has_neighbours_letters(text: str) -> bool:
    """Whether it has a Cyrillic letter that neither Kazakh nor Russian has, as most lines of Ukrainian or Tajik do."""
    return _NEIGHBOURS.search(text) is not None


def main_script(text: str) -> Script:
    """The script of most of its letters; "" if that is none of the three, or if there is no letter."""
    letters = sum(map(str.isalpha, text))
    counts = {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS}
    best = max(counts, key=lambda script: counts[script])
    return best if 2 * counts[best] > letters else ""


def is_unreadable(text: str) -> bool:
    """Whether 15% of its letters are of no language known (nor of its alphabets), or a twentieth of them are lost."""
    lost = sum(map(len, _LOST.findall(text))) if text.count("?") + text.count("\ufffd") > 2 else 0
    if lost > 2 and 20 * lost >= lost + sum(map(str.isalpha, text)):
        return True
    return not is_plain(text) and 20 * len(_FOREIGN.findall(text)) >= max(1, 3 * sum(map(str.isalpha, text)))


# Kazakh in Latin letters. What all alphabets read alike; H is both х and һ, which is rare.
_SHARED = dict(zip("abvgdejzklmnopqrstfhxcäáğǵñńŋöóüúşçš", "абвгдежзклмнопқрстфххцәәғғңңңөөүүшчш", strict=True))
_SHARED |= {"sh": "ш", "ch": "ч"}
_I = "ӣ"  # и or й: the letters beside it tell
_ALPHABETS: tuple[dict[str, str], ...] = (
    {"y": "ы", "i": "і", "ı": _I, "ý": "у", "u": "ұ"},  # decree 637 of 19 February 2018
    {"y": "ы", "ı": "і", "i": _I, "u": "у", "ū": "ұ"},  # the government's draft of 28 January 2021
    {"ı": "ы", "i": "і", "ï": "и", "y": "й", "w": "у", "u": "ұ"},  # Qazaq Latin: QazAqparat, Kazakh Wikipedia
    {"y": "ы", "i": "і", "ı": _I, "w": "у", "u": "ұ"},  # the national commission's draft of 2019
    {"y": "ы", "i": "і", "i'": _I, "y'": "у", "u": "ұ", "a'": "ә", "g'": "ғ", "n'": "ң", "o'": "ө", "u'": "ү"}
    | {"s'": "ш", "c'": "ч"},  # decree 569 of 26 October 2017
)
_READINGS = [_SHARED | alphabet for alphabet in _ALPHABETS]
_UNITS = [re.compile("|".join(sorted(map(re.escape, table), key=len, reverse=True))) for table in _READINGS]
_APOSTROPHES = str.maketrans("’ʼ‘`´ʹʻ", "'" * 7)
_V, _C = "аәеоөұүыіия", "бвгғджзйкқлмнңпрстфхцчш"
_SPELLING = tuple(
    (re.compile(pattern), letters)
    for pattern, letters in (
        (rf"\b{_I}(?=[аұу])", "й"),
        (f"(?<![{_V}{_I}й]){_I}", "и"),  # behind a consonant, and at a word's start
        (_I, "й"),
        ("йа", "я"),
        (f"й[уұ]|(?<=[{_C}])иу(?=[{_C}])", "ю"),
        (r"\bтс|тс(?=и)|(?<=н)тс", "ц"),
        (r"\bе(?=кон|кол|ксп|лек|нер)", "э"),
    )
)
# What Kazakh words hardly have, and a wrong alphabet gives by the dozen: й, и, у between consonants, ұ behind the first
# syllable, four consonants, two plain vowels, an apostrophe or a letter that was not read
_ODD = re.compile(
    rf"(?<=[{_C}])[йиу](?=[{_C}])|\bй(?=[{_C}])|(?<=[{_V}у])[{_C}]{{1,2}}ұ|ұ\b|[{_C}]{{4}}|[аәеоөұүыі]{{2}}"
    rf"|[^\W\d_{_CYRILLIC}]|(?<=[{_C}])[{_C}]й|(?<=\w)'"
)


def latin_to_cyrillic(text: str) -> str:
    """Kazakh in any of its Latin alphabets, in Cyrillic; a word with a capital keeps it."""
    return min((_read(text, at) for at in range(len(_ALPHABETS))), key=lambda reading: len(_ODD.findall(reading.lower())))


def _read(text: str, at: int) -> str:
    """The text as one alphabet reads it. A capital I is ı where İ is i, otherwise either."""
    table, dotless = _READINGS[at], "ı" if "İ" in text and at in (1, 2, 3) else "i"
    small = text.replace("İ", "i").replace("I", dotless).lower().translate(_APOSTROPHES)
    small = _UNITS[at].sub(lambda unit: table[unit[0]], small)
    words = zip(_spelt(small).split(" "), text.split(" "), strict=True)
    return " ".join(_with_capital(word) if _starts_with_capital(before) else word for word, before in words)


def _spelt(text: str) -> str:
    for pattern, letters in _SPELLING:
        text = pattern.sub(letters, text)
    return text


def _starts_with_capital(word: str) -> bool:
    return next(filter(str.isalpha, word), "").isupper()


def _with_capital(word: str) -> str:
    first = next(filter(str.isalpha, word), "")
    return word.replace(first, first.upper(), 1)


# Kazakh in Arabic letters (tote jazu: A. Baitursynuly's alphabet as used in China). It writes back and front vowels
# alike; a hamza before the word, or ە, ك or گ in it, say that they are front, and a neighbouring ق or ع that they are not.
_ARABIC_LETTERS = dict(zip("ابۆگعدەجزيكقلمنڭوپرستۋۇفحھچشى", f"абвгғдежз{_I}кқлмнңопрстуұфхһчшы", strict=True))
_ARABIC_WORD = re.compile(f"[ٴء]?[{''.join(_ARABIC_LETTERS)}]+")
_ARABIC_MARKS = str.maketrans("،؛؟۰۱۲۳۴۵۶۷۸۹", ",;?0123456789", "\u0640")
_HAMZAS = "ٴء"
_FRONT = dict(zip("аоұы", "әөүі", strict=True))
# Borrowed words keep their vowels: а or о behind the first syllable, two consonants at the start, ф, в, дж. The ending
# -мен follows any vowel.
_BORROWED = re.compile(f"[аоұы].*[ао]|\\b[{_C}]{{2}}|[фв]|дж")
_EVIDENCE = re.compile("[кг]|(?<![мбп])е|е(?!н$)")
_LOST_TS = re.compile("(?<=[а-яі])(?<![ср])с(?=ия)|\\bс(?=ифр|ентр)")


def is_kazakh_arabic(text: str) -> bool:
    """Whether text in Arabic script is Kazakh: only its letters, and the vowels that Arabic and Persian don't write.

    Of 230 Kazakh texts each has all of its letters in the alphabet, of 235 in Arabic, Persian, Uyghur, Urdu none over 98%.
    """
    letters = [letter for letter in text if letter.isalpha()]
    own = sum(letter in _ARABIC_LETTERS or letter in _HAMZAS for letter in letters)
    return own >= 0.99 * len(letters) and sum(map(text.count, "ەىۇڭۆۋ")) >= 0.08 * len(letters) > 0


def arabic_to_cyrillic(text: str) -> str:
    """Kazakh in Arabic letters, in Cyrillic; it has no capitals but the text's first."""
    text = _ARABIC_WORD.sub(_arabic_word, text.translate(_ARABIC_MARKS))
    return in_sentence_case(text)


def _arabic_word(match: re.Match[str]) -> str:
    letters = match[0].lstrip(_HAMZAS)
    word = "".join(map(_ARABIC_LETTERS.__getitem__, letters))
    borrowed = _BORROWED.search(word) is not None
    front = letters != match[0] or not (borrowed or "қ" in word or "ғ" in word) and _EVIDENCE.search(word) is not None
    out, is_first = "", True
    for at, letter in enumerate(word):
        if letter in _FRONT:
            beside = word[max(at - 1, 0) : at] + word[at + 1 : at + 2]
            if "қ" in beside or "ғ" in beside or (letter in "ао" and not is_first):
                front = False  # а and о behind the first syllable are а and о
            elif letter == "ы" and ("к" in beside or "г" in beside):
                front = True
            letter = _FRONT[letter] if front else letter
        elif letter == "е":
            front = True
        is_first = is_first and letter not in _V
        out += letter
    return _LOST_TS.sub("ц", _spelt(out))


# Capitals. Words without a vowel, such as РК or МВД, are no words and keep theirs.
_SENTENCE_START = re.compile(r"(?:^|[.!?…]\s)\W*\w")
_WORD = re.compile(r"[^\W\d_]+")
_VOWELLESS = re.compile(f"[^{_V}уэюёaeiouyаәäöüóúáıūý]{{2,}}")


def is_in_capitals(text: str) -> bool:
    """Whether nine in ten of its letters are capitals, of a dozen or more."""
    capitals = sum(map(str.isupper, text))
    return capitals >= 12 and capitals >= 9 * sum(map(str.islower, text))


def in_small_letters(text: str) -> str:
    """A text set in capitals as it would be otherwise, but for names, whose capitals nobody can tell."""
    return in_sentence_case(_WORD.sub(_small_word, text))


def _small_word(match: re.Match[str]) -> str:
    small = match[0].lower()
    return match[0] if _VOWELLESS.fullmatch(small) else small


def in_sentence_case(text: str) -> str:
    """The text with a capital at the start of each sentence."""
    return _SENTENCE_START.sub(lambda start: start[0][:-1] + start[0][-1].upper(), text)


# Latin letters that look like Cyrillic ones, typed or recognised in their place
_LATIN_TWINS = "aceiopxykhəɵABCEHIKMOPTXYƏƟ"
_TWINS = str.maketrans(_LATIN_TWINS, "асеіорхукһәөАВСЕНІКМОРТХҮӘӨ")
_MIXED = re.compile(f"[{_CYRILLIC}][{_LATIN_TWINS}]|[{_LATIN_TWINS}][{_CYRILLIC}]")
_NAME_WITH_ENDING = re.compile(f"[A-Z]{{3,}}[{_CYRILLIC}]+|[{_CYRILLIC}]+[A-Z]{{3,}}")
_TWIN_WORD = re.compile(f"[{_CYRILLIC}{_LATIN_TWINS}]+")


def without_look_alikes(text: str) -> str:
    """Latin letters within Cyrillic words become the Cyrillic ones they look like; Latin words and their endings stay.

    Where three words or more were so mixed, small words that are Latin look-alikes throughout are taken for Cyrillic, too.
    """
    if not _MIXED.search(text):
        return text
    mixed = 0

    def folded(match: re.Match[str]) -> str:
        nonlocal mixed
        word = match[0]
        if not _MIXED.search(word) or _NAME_WITH_ENDING.fullmatch(word):
            return word
        mixed += 1
        return word.translate(_TWINS)

    text = _WORD.sub(lambda word: folded(word) if _TWIN_WORD.fullmatch(word[0]) else word[0], text)
    if mixed < 3:
        return text
    return _WORD.sub(lambda w: w[0].translate(_TWINS) if w[0].islower() and not set(w[0]) - {*_LATIN_TWINS} else w[0], text)
