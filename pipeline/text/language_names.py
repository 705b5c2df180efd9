"""Languages as people write them -> BCP-47: `kz`, `Қазақша`, `russian` and `kk-KZ` are kk or ru."""

from __future__ import annotations

import re

from pipeline.core.errors import RecordError

_NAMES = {
    "kk": "kz kaz kazakh qazaq qazaqsha қазақ қазақша қазақтілі казахский каз",
    "ru": "rus russian русский рус орыс орысша орыстілі",
    "en": "eng english английский англ ағылшын ағылшынша ағылшынтілі",
    "uk": "ua ukr ukrainian украинский українська украин украинша",
    "be": "by bel belarusian белорусский",
    "ky": "kg kir kyrgyz киргизский кыргызский кыргызча қырғыз қырғызша",
    "uz": "uzb uzbek узбекский өзбек өзбекше oʻzbekcha",
    "tt": "tat tatar татарский татар татарша татарча",
    "ba": "bak bashkir башкирский башқұрт башқұртша",
    "ug": "uig uyghur uighur уйгурский ұйғыр ұйғырша",
    "tr": "tur turkish турецкий түрік түрікше türkçe",
    "az": "aze azerbaijani азербайджанский",
    "tg": "tgk tajik таджикский",
    "mn": "mon mongolian монгольский",
    "de": "deu ger german deutsch немецкий неміс немісше",
    "fr": "fra fre french французский",
    "zh": "zho chi chinese китайский қытай қытайша",
}
_BY_NAME = {name: code for code, names in _NAMES.items() for name in (code, *names.split())}
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu "
    "ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na "
    "nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so "
    "sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
_CODES = frozenset(_ISO_639_1.split())
_USUAL_SCRIPTS = {"kk": "Cyrl", "ru": "Cyrl", "en": "Latn"}
_TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_](?:[a-z]{2}|\d{3}))?", re.IGNORECASE)
_NOT_SAID = ("", "und", "mul", "none", "null", "unknown", "auto", "-")


def bcp47(given: object) -> str:
    """The BCP-47 code of a language, its script where that is not the usual one; "" if none is given.

    Raises:
        RecordError: if it is no language that we know by this name.
    """
    missing = given is None or given != given  # which pandas writes for it: NaN
    if missing or (isinstance(given, str) and given.strip().lower() in _NOT_SAID):
        return ""
    if isinstance(given, str):
        name = given.strip().casefold()
        for word in (name.replace(" ", ""), name.split()[0]):  # "русский язык", "қазақ тілі"
            if word in _BY_NAME:
                return _BY_NAME[word]
        tag = _TAG.fullmatch(name)
        code = _BY_NAME.get(tag[1], tag[1]) if tag else ""
        if tag and code in _CODES:
            script = (tag[2] or "").title()
            return f"{code}-{script}" if script and script != _USUAL_SCRIPTS.get(code) else code
    shown = given if isinstance(given, str) else type(given).__name__
    raise RecordError(f"language {shown!r} is none we know; write a code such as kk or ru, or leave it out")
