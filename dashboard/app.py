"""The dashboard: three pages on one trainer. Run by `sentry-dashboard`."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from dashboard import overview, rates, review
from dashboard.attention import acted
from dashboard.cli import ACTED_VARIABLE
from dashboard.connection import ask
from dashboard.markup import joined, tag
from sentry_proto.errors import SentryError

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
st.html(HERE / "style.css")
page = st.navigation(
    [
        st.Page(overview.page, title="Overview", url_path="overview", default=True),
        st.Page(review.page, title="Review", url_path="review"),
        st.Page(rates.page, title="Rates", url_path="rates"),
    ],
    position="top",
)
banner()
page.run()
