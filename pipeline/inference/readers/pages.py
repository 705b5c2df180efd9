"""HTML -> the text of the article in it, its title first."""

from __future__ import annotations

import re

from pipeline.core.errors import UserError

_DECLARED = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)


def declared_encoding(data: bytes) -> str:
    """The encoding that a page names in its head, "" if none."""
    match = _DECLARED.search(data[:4096])
    return match[1].decode("ascii") if match else ""


def extract_article(markup: str) -> tuple[str, str]:
    """Title and text of the main content, a line a paragraph. Trafilatura finds it.

    Raises:
        UserError: if there is none, or the page is nested deeper than the parser goes (2,048 levels; it would drop the
            rest without a word).
    """
    from lxml import etree, html
    from trafilatura import bare_extraction
    from trafilatura.metadata import extract_metadata

    parser = html.HTMLParser(huge_tree=True, encoding="utf-8")
    try:
        tree = html.document_fromstring(markup.encode(), parser=parser)
    except etree.ParserError as error:
        raise UserError(f"no page ({error})") from error
    fatal = [entry.message for entry in parser.error_log if entry.level == etree.ErrorLevels.FATAL]
    if fatal:
        raise UserError(f"a page that can't be read whole ({fatal[0]})")
    title = extract_metadata(tree, extensive=False).title or ""
    document = bare_extraction(tree, include_comments=False, with_metadata=False)
    text: str = getattr(document, "text", None) or ""
    if not text:
        raise UserError("a page without main content")
    return title, text
