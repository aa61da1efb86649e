"""The page of whoever is signed in: who that is, the way out, and for an admin who else may come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard.connection import ask, calmly
from dashboard.who import leave, who
from dashboard.wording import day_and_time
from training.active_learning.review.markup import Html, browser_zone, facts, panel, table, tag

MEANINGS = {
    "viewer": "sees the study's figures, alerts and models",
    "rater": "also labels windows and judges alerts, in the own name",
    "admin": "also publishes, rolls back, exports and erases, and reads the audit log",
}
HOW = "On the trainer's machine: sentry-trainer accounts add | remove | password | list"


def page() -> None:
    """Draw the page."""
    st.html(facts([("Signed in as", who().name), ("Role", who().role)]))
    st.html(tag("p", f"The role {who().role} {MEANINGS[who().role]}.", "s-how"))
    if st.button("Sign out", key="sign out"):
        leave()
    if who().may("admin"):
        calmly(_others)


def _others() -> None:
    panel("Accounts", _table(ask("accounts")), HOW)


def _table(accounts: Sequence[Mapping[str, Any]]) -> Html:
    zone = browser_zone()
    rows = (
        [tag("b", one["name"]), one["role"], one["email"] or "", day_and_time(one["created"], zone)] for one in accounts
    )
    return table(("Name", "Role", "E-mail", "Since"), rows)
