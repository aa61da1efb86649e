"""The page that asks who you are."""

from __future__ import annotations

import streamlit as st

from dashboard.connection import ask, calmly, live
from dashboard.who import begin, provider_is_configured
from sentry_proto.errors import PeerUnreachable, RequestRefused
from training.active_learning.review.markup import empty, note, panel, tag

LOOK_S = 3.0
FIRST = "On the trainer's machine: sentry-trainer accounts add NAME --role admin. This page goes on by itself."


def page(refusal: str = "") -> None:
    """Draw the page; `refusal` is why a provider's word did not suffice."""
    with st.container(key="sign-in", width=440):
        st.html(tag("h1", "Sign in", "s-title"))
        if refusal:
            note("bad", "You are known, but not let in.", f"{refusal[:1].upper()}{refusal[1:]}.")
        calmly(_ways)
        st.caption("Participants need no account: the people who run the study give each a link of their own.")


def _ways() -> None:
    if not ask("whoami")["accounts"]:
        live(_first, LOOK_S)
        return
    if provider_is_configured():
        st.button("Sign in with your organisation", type="primary", width="stretch", on_click=st.login)
        st.caption("or with an account of this trainer")
    with st.form("account", border=True):
        name = st.text_input("Name", max_chars=64, autocomplete="username")
        password = st.text_input("Password", type="password", max_chars=200, autocomplete="current-password")
        if st.form_submit_button("Sign in", type="primary", width="stretch"):
            _try(name, password)


def _try(name: str, password: str) -> None:
    try:
        begun = ask("sign_in", name=name, password=password)
    except PeerUnreachable:
        raise
    except RequestRefused as error:
        note("bad", "Not signed in.", f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return
    begin(begun["token"])
    st.rerun()


def _first() -> None:
    if ask("whoami")["accounts"]:
        st.rerun()
    panel("No account yet", empty("The first account is made by a technician.", FIRST))
