"""On Data and people: how far participants keep to the questionnaires, one's link, and what that person answered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from dashboard.connection import ask
from dashboard.wording import day, day_and_time
from sentry_proto.questionnaires import QUESTIONNAIRES
from training.active_learning.review.markup import (
    Html,
    browser_zone,
    empty,
    heading,
    muted,
    panel,
    pill,
    stacked,
    table,
    tag,
)
from training.active_learning.review.words import plural

SHOWN = 100


def kept() -> None:
    """Draw how everybody stands with each questionnaire."""
    forms = ask("study")["forms"]
    standings = ask("forms")
    if not forms or not standings:
        return
    people = dict.fromkeys(one["participant"] for one in standings)
    by = {(one["participant"], one["instrument"]): one for one in standings}
    asked = [form for form in forms if any(form == one["instrument"] for one in standings)]
    rows = ([tag("b", name), *(_standing(by[name, form]) for form in asked)] for name in people)
    late = sum(one["due"] <= time.time() for one in standings)
    heads = ("Who", *(f"{QUESTIONNAIRES[form].title}, every {forms[form]:g} days" for form in asked))
    panel("Questionnaires", table(heads, rows), f"{plural(late, 'form')} due" if late else "all handed in")


def _standing(one: Mapping[str, Any]) -> Html:
    when = day(one["due"], browser_zone())
    state = pill("warn", f"due since {when}") if one["due"] <= time.time() else pill("good", f"next on {when}")
    return stacked(state, f"handed in {one['kept']} of {one['stretches']} times")


def of(person: Mapping[str, Any]) -> None:
    """Draw a person's link, and what the person has answered once somebody asks for it."""
    name = person["participant"]
    with st.container(border=True, key="window-answers"):
        heading("Self-reports", f"of {name}")
        _link(name, person["linked"])
        if person["counts"]["self_reports"] == 0:
            st.caption("Nothing was answered yet.")
        elif st.toggle("Read the answers", key=f"read {name}", help="That you do is written into the audit log."):
            found = ask("self_reports", participant=name, limit=SHOWN)
            st.html(_table(found) if found else empty("None.", ""))


def _link(name: str, since: float | None) -> None:
    made = st.session_state.get("made link")
    if made and made[0] == name:
        st.code(made[1], language=None, wrap_lines=True)
        st.caption(
            "Copy it now: nobody can show it again. Whoever has it answers as this person: hand it over in person."
        )
    elif since is not None:
        st.caption(f"The link that {name} answers by was made on {day_and_time(since, browser_zone())}.")
    else:
        st.caption(f"{name} has no link to answer by.")
    with st.container(horizontal=True, gap="small", key="links"):
        if st.button("Make a new link" if since else "Make a link", key="make link"):
            token = ask("make_link", participant=name)["link"]
            st.session_state["made link"] = (name, f"{_address()}/self-report?link={token}")
            st.rerun()
        if since and st.button("End the link", key="end link"):
            ask("revoke_link", participant=name)
            st.session_state.pop("made link", None)
            st.rerun()


def _address() -> str:
    """Under which this dashboard was reached."""
    where = urlsplit(str(st.context.url))
    return f"{where.scheme}://{where.netloc}"


def _table(reports: Sequence[Mapping[str, Any]]) -> Html:
    zone = browser_zone()
    rows = ([day_and_time(one["created"], zone), *_said(one)] for one in reports)
    return table(("When", "What", "Answer"), rows)


def _said(one: Mapping[str, Any]) -> list[object]:
    if one["words"]:
        return [muted("in own words"), one["words"]]
    if one["score"] is None:
        return [one["task"], one["value"]]
    form = QUESTIONNAIRES[one["instrument"]]
    points = " ".join(map(str, one["answers"]))
    return [form.title, stacked(f"{one['score']} of {form.highest}, {one['value']}", f"items {points}")]
