"""What a page says of its own elements: that they are a caption, a menu, a button or something else beside the article.

Tags, roles, microdata (schema.org) and the English words in classes and ids are alike on sites whose phrases are not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Any

_OF_TAG = {
    "nav": "menu",
    "footer": "footer",
    "form": "button",
    "button": "button",
    "label": "button",
    "figure": "caption",
    "figcaption": "caption",
    "time": "counter",
}
_OF_ROLE = {
    "navigation": "menu",
    "menu": "menu",
    "menubar": "menu",
    "complementary": "read-also",
    "contentinfo": "footer",
    "search": "button",
    "button": "button",
    "dialog": "button",
    "form": "button",
}
# itemprop and the last part of itemtype
_OF_MICRODATA = {
    "author": "by-line",
    "creator": "by-line",
    "editor": "by-line",
    "datepublished": "counter",
    "datemodified": "counter",
    "datecreated": "counter",
    "interactionstatistic": "counter",
    "aggregaterating": "counter",
    "commentcount": "counter",
    "comment": "counter",
    "breadcrumb": "menu",
    "breadcrumblist": "menu",
    "articlesection": "menu",
    "sitenavigationelement": "menu",
    "wpheader": "menu",
    "wpsidebar": "read-also",
    "publisher": "footer",
    "copyrightholder": "footer",
    "wpfooter": "footer",
    "wpadblock": "footer",
    "keywords": "archive",
    "caption": "caption",
    "imageobject": "caption",
}
# Words in classes and ids; two of them go before one ("image description").
_WORDS = {
    "caption": "caption captions figcaption credit credits photographer lightbox",
    "by-line": "author authors byline signature avtor",
    "counter": "date dates datetime timestamp published pubdate views counter counters stats hits comment comments "
    "disqus hypercomments respond rating meta postmeta",
    "menu": "nav navbar navigation menu submenu breadcrumb breadcrumbs crumbs pagination pager toc topbar offcanvas",
    "read-also": "related similar recommend recommended recommendation recommendations popular latest trending sidebar "
    "teaser teasers readmore readalso",
    "button": "share shares sharing social socials likes reaction reactions subscribe subscription newsletter follow "
    "btn btns button buttons print poll polls vote voting quiz survey donate donation login auth search popup modal "
    "cta feedback addthis addtoany pluso",
    "archive": "tags taglist tagcloud keywords hashtags",
    "footer": "footer colophon copyright copyrights disclaimer ad ads adv advert adverts advertisement advertising "
    "banner banners promo sponsor sponsored reklama partners",
    "cookie": "cookie cookies gdpr consent",
    "ticker": "weather currency currencies ticker",
    "embed": "embed oembed",
    "hidden": "hidden",
}
_PAIRS = {
    "caption": "photo-author photo-title photo-desc image-description image-desc img-desc media-description",
    "counter": "reading-time read-time",
    "read-also": "read-also read-more see-also most-read more-news other-news last-news",
    "embed": "instagram-media twitter-tweet telegram-post fb-post",
    "hidden": "sr-only screen-reader",
}
_OF_WORD = {word: reason for reason, words in _WORDS.items() for word in words.split()}
_OF_PAIR = {pair: reason for reason, pairs in _PAIRS.items() for pair in pairs.split()}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_NEVER = frozenset(("html", "body", "main", "article", "h1"))


def mark_of(element: Any) -> str:
    """The reason why what is in an element would not be content, "" if the page gives none."""
    tag, get = element.tag, element.get
    if get("hidden") is not None or _INVISIBLE.search(get("style", "")):
        return "hidden"
    if tag in _NEVER:
        return ""
    rel = get("rel")
    return (
        _OF_TAG.get(tag)
        or _OF_ROLE.get(get("role", ""))
        or _OF_MICRODATA.get(get("itemprop", "").lower())
        or _OF_MICRODATA.get(get("itemtype", "").rpartition("/")[2].lower())
        or {"author": "by-line", "tag": "archive"}.get(rel or "")
        or _mark_of_names(f"{get('class', '')} {get('id', '')}")
    )


@lru_cache(maxsize=4096)
def _mark_of_names(names: str) -> str:
    words = [word.lower() for word in _WORD.findall(names)]
    pairs = (_OF_PAIR[pair] for two in pairwise(words) if (pair := "-".join(two)) in _OF_PAIR)
    return next(pairs, "") or next((_OF_WORD[word] for word in words if word in _OF_WORD), "")
