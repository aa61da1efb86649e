"""The dashboard: its pages on one trainer, or only the participants' one. Run by `sentry-dashboard`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import account, alerts, audit, models, overview, people, rates, review, self_report, sign_in, system
from dashboard.attention import acted
from dashboard.cli import ACTED_VARIABLE, SELF_REPORT_VARIABLE
from dashboard.connection import ask, is_open
from dashboard.who import enter, who
from sentry_proto.errors import SentryError
from training.active_learning.review.markup import STYLE, joined, tag

HERE = Path(__file__).parent
BANNER_S = 5.0
PAGES: tuple[tuple[str, str, Callable[[], None]], ...] = (
    ("Overview", "viewer", overview.page),
    ("Alerts", "viewer", alerts.page),
    ("Review", "rater", review.page),
    ("Rates", "viewer", rates.page),
    ("Models", "viewer", models.page),
    ("Data and people", "admin", people.page),
    ("Audit log", "admin", audit.page),
    ("System", "viewer", system.page),
)
# Title, the least role that it is offered to, and what draws it. Streamlit would print a string that stands alone here.


@st.fragment(run_every=BANNER_S)
def banner() -> None:
    """Say so on every page when what is seen was acted; the page itself reports a trainer that is away."""
    try:
        agents = ask("agents")
    except SentryError:
        agents = []
    words = acted(agents, ACTED_VARIABLE in os.environ)
    if words:
        first, second = words.split(". ", maxsplit=1)
        st.html(tag("div", joined([tag("strong", f"{first}."), " ", second]), "s-banner"))


def pages(refusal: str) -> list[StreamlitPage]:
    """The pages at their addresses; until somebody is signed in, each of them asks who that is."""
    known = who().may("viewer")
    made = []
    for title, least, body in PAGES:
        if who().may(least) or not known:
            shown = body if known else partial(sign_in.page, refusal)
            address = title.lower().replace(" ", "-")
            made.append(st.Page(shown, title=title, url_path=address, default=body is overview.page))
    return made if is_open() else [*made, _account(known, refusal)]


def _account(known: bool, refusal: str) -> StreamlitPage:
    title = who().name if known else "Sign in"
    body = account.page if known else partial(sign_in.page, refusal)
    return st.Page(body, title=title, url_path="account", icon=":material/account_circle:")


st.set_page_config("Sentry", page_icon=str(HERE / "icon.svg"), layout="wide")
st.logo(str(HERE / "logo.svg"), size="large")
st.html(STYLE)
st.html(HERE / "style.css")
alone = SELF_REPORT_VARIABLE in os.environ
refusal = "" if alone else enter()
theirs = st.Page(self_report.page, title="Self-report", url_path="self-report")
# Served alone, the page answers to both addresses: its own, which links to participants name, and the server's.
doorstep = st.Page(self_report.page, title="Self-report", url_path="doorstep", default=True)
# Where a participant sits, no way leads to the estimates by accident.
participants = bool({"participant", "link"} & set(st.query_params)) and str(st.context.url).endswith(
    f"/{theirs.url_path}"
)
hidden = alone or participants or not who().may("viewer")
page = st.navigation([doorstep, theirs] if alone else [*pages(refusal), theirs], position="hidden" if hidden else "top")
banner()
page.run()
