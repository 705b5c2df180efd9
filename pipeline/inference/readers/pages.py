"""Pages and Markdown -> text: the article in a page, its title first."""

from __future__ import annotations

import re
from typing import Any

from pipeline.core.errors import RecordError, UserError
from pipeline.inference.readers.kinds import of_extra
from pipeline.inference.readers.page_article import article_lines
from pipeline.inference.readers.page_lines import page_lines
from pipeline.text.encodings import encoding_by_letters, without_place

_DECLARED = re.compile(rb"""<(?:meta[^>]+charset|\?xml[^>]+encoding)\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n(?:---|\.\.\.)\s*\n", re.DOTALL)
_TITLE = re.compile(r"""^title:\s*["']?(.*?)["']?\s*$""", re.MULTILINE | re.IGNORECASE)


def decoded_page(data: bytes, encoding: str | None, declared: str) -> str:
    """The text of a page in its `encoding` if that is given, else by its letters, else as server or page `declared` it.

    Raises:
        RecordError: if it can't be told.
    """
    if not encoding:
        try:
            encoding = encoding_by_letters(data)
        except RecordError:  # too short to be sure: then what the page says of itself
            if not (encoding := declared or declared_encoding(data)):
                raise
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise without_place(error) from error


def declared_encoding(data: bytes) -> str:
    """The encoding that a page names in its head, "" if none."""
    match = _DECLARED.search(data[:4096])
    return match[1].decode("ascii") if match else ""


def markdown_to_html(text: str) -> tuple[str, str, dict[str, Any]]:
    """Title, HTML and other columns of a text in Markdown; the title is that of its front matter, "" without one.

    Raises:
        RecordError: if the library is missing.
    """
    with of_extra():
        from markdown_it import MarkdownIt

    carried: dict[str, Any] = {}
    title = ""
    if front := _FRONT_MATTER.match(text):
        text, carried = text[front.end() :], {"front_matter": front[1]}
        title = found[1] if (found := _TITLE.search(front[1])) else ""
    return title, MarkdownIt("commonmark").enable("table").render(text), carried


def parsed_page(markup: str) -> Any:
    """The tree of a page.

    Raises:
        UserError: if there is none, or it is nested deeper than the parser goes (2,048 levels; it would drop the rest
            without a word).
    """
    from lxml import etree, html

    parser = html.HTMLParser(huge_tree=True, encoding="utf-8")
    try:
        tree = html.document_fromstring(markup.encode(), parser=parser)
    except etree.ParserError as error:
        raise UserError(f"no page ({error})") from error
    fatal = [entry.message for entry in parser.error_log if entry.level == etree.ErrorLevels.FATAL]
    if fatal:
        raise UserError(f"a page that can't be read whole ({fatal[0]})")
    return tree


def extract_article(markup: str) -> tuple[str, str, dict[str, str]]:
    """Title and text of the main content, a line a paragraph, and what the page says of these lines (`split_article`).

    Trafilatura finds it; what it leaves out within comes back (`article_lines`).

    Raises:
        UserError: if there is none, or the page can't be read whole.
    """
    from trafilatura import bare_extraction
    from trafilatura.metadata import extract_metadata

    tree = parsed_page(markup)
    title = extract_metadata(tree, extensive=False).title or ""
    document = bare_extraction(tree, include_comments=False, with_metadata=False)
    text: str = getattr(document, "text", None) or ""
    if not text:
        raise UserError("a page without main content")
    found = article_lines(page_lines(tree), text)
    if not found:  # its text stands in no element: in JSON
        return title, text, {}
    title = next((line.text for line in found if line.block.tag == "h1" and not line.linked), title)
    content = {line.text for line in found if not line.reason}
    page_says = {line.text: line.reason for line in found if line.text not in content}
    page_says |= {line.text: "" for line in found if line.listed or line.text == title}
    return title, "\n".join(line.text for line in found), page_says
