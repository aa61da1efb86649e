"""The dashboard: six pages on one trainer, or only the participants' one. Run by `sentry-dashboard`."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from dashboard import alerts, models, overview, rates, review, self_report
from dashboard.attention import acted
from dashboard.cli import ACTED_VARIABLE, SELF_REPORT_VARIABLE
from dashboard.connection import ask
from sentry_proto.errors import SentryError
from training.active_learning.review.markup import STYLE, joined, tag

HERE = Path(__file__).parent
BANNER_S = 5.0


@st.fragment(run_every=BANNER_S)
def banner() -> None:
    """Say so on every page when what is seen was acted; the page itself reports a trainer that is away."""
    try:
        words = acted(ask("agents"), ACTED_VARIABLE in os.environ)
    except SentryError:
        return
    if words:
        first, second = words.split(". ", maxsplit=1)
        st.html(tag("div", joined([tag("strong", f"{first}."), " ", second]), "s-banner"))


st.set_page_config("Sentry", page_icon=str(HERE / "icon.svg"), layout="wide")
st.logo(str(HERE / "logo.svg"), size="large")
st.html(STYLE)
st.html(HERE / "style.css")
alone = SELF_REPORT_VARIABLE in os.environ
theirs = st.Page(self_report.page, title="Self-report", url_path="self-report")
ours = [
    st.Page(overview.page, title="Overview", url_path="overview", default=True),
    st.Page(alerts.page, title="Alerts", url_path="alerts"),
    st.Page(review.page, title="Review", url_path="review"),
    st.Page(rates.page, title="Rates", url_path="rates"),
    st.Page(models.page, title="Models", url_path="models"),
]
# Served alone, the page answers to both addresses: its own, which links to participants name, and the server's.
doorstep = st.Page(self_report.page, title="Self-report", url_path="doorstep", default=True)
# Where a participant sits, no way leads to the estimates by accident.
page = st.navigation(
    [doorstep, theirs] if alone else [*ours, theirs],
    position="hidden" if alone or "participant" in st.query_params else "top",
)
banner()
page.run()
