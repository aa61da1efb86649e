"""The few HTML pieces that all pages share. Everything from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

import streamlit as st

from training.active_learning.review.look import DARK, LIGHT, Look

STYLE = Path(__file__).with_name("style.css")
"""The look of what this module makes."""

GOOD, BAD, WARN, QUIET = "good", "bad", "warn", "quiet"
"""Tones; each has a word beside it wherever it is used, so that colour never speaks alone."""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> str:
    """Markup as it is, anything else escaped."""
    return str(value) if isinstance(value, Html) else escape(str(value))


def tag(name: str, content: object, style: str = "") -> Html:
    """One element with a class of `style.css`."""
    kind = f' class="{style}"' if style else ""
    return Html(f"<{name}{kind}>{text(content)}</{name}>")


def joined(parts: Iterable[object]) -> Html:
    """Pieces one after the other."""
    return Html("".join(text(part) for part in parts))


def pill(tone: str, words: object) -> Html:
    """A word with a coloured dot."""
    return tag("span", words, f"s-pill s-{tone}")


def muted(words: object) -> Html:
    """Words of second rank."""
    return tag("span", words, "s-muted")


def stacked(first: object, second: object) -> Html:
    """Two lines, the second of second rank."""
    return joined([tag("div", first), tag("div", second, "s-muted")])


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], numeric: frozenset[int] = frozenset()) -> Html:
    """A plain table; columns in `numeric` are set flush right."""

    def row(cells: Sequence[object], element: str) -> Html:
        return tag("tr", joined(tag(element, c, "s-num" if i in numeric else "") for i, c in enumerate(cells)))

    body = joined(row(cells, "td") for cells in rows)
    return tag("div", tag("table", joined([tag("thead", row(heads, "th")), tag("tbody", body)]), "s-table"), "s-scroll")


def pictures(entries: Iterable[tuple[str, str]]) -> Html:
    """JPEGs in base64, each with what stands below it."""
    figures = (
        tag(
            "figure",
            joined([Html(f'<img src="data:image/jpeg;base64,{escape(jpeg)}" alt="">'), tag("figcaption", words)]),
        )
        for jpeg, words in entries
    )
    return tag("div", joined(figures), "s-pictures")


def facts(entries: Iterable[tuple[str, object]]) -> Html:
    """A strip of named figures."""
    cells = (tag("div", joined([tag("dt", name), tag("dd", value)])) for name, value in entries)
    return tag("dl", joined(cells), "s-facts")


def heading(title: str, aside: object) -> None:
    """Draw the head of a part of a page that holds more than markup."""
    st.html(tag("header", joined([tag("h2", title), tag("span", aside, "s-muted")]), "s-head"))


def panel(title: str, content: object, aside: object = "") -> None:
    """Draw a titled part of a page."""
    head = tag("header", joined([tag("h2", title), tag("span", aside, "s-muted")]))
    st.html(tag("section", joined([head, content]), "s-panel"))


def empty(what: str, what_to_do: str) -> Html:
    """Says that there is nothing yet, and how to get something."""
    return tag("div", joined([tag("p", what), tag("p", what_to_do, "s-muted")]), "s-empty")


def note(tone: str, first: str, second: str = "") -> None:
    """Draw one sentence that matters, and a quieter one after it."""
    st.html(tag("div", joined([tag("strong", first), " ", tag("span", second)]), f"s-note s-{tone}"))


def browser_zone() -> tzinfo:
    """The reader's own time zone, as the browser tells it."""
    name = st.context.timezone
    return ZoneInfo(name) if name else UTC


def browser_look() -> Look:
    """The colours of charts on the page as the reader has it, light or dark."""
    return DARK if st.context.theme.type == "dark" else LIGHT
