"""Who is signed in, in this browser session and across reloads of the page.

    cookie, or what an identity provider says --enter--> token --whoami--> name and role --> what pages offer

The trainer decides what is allowed, by the token. What is hidden or disabled here only spares a click that it
would refuse.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import NoReturn

import streamlit as st

from dashboard.connection import TOKEN, ask, ask_as_dashboard, is_open
from sentry_proto.errors import NotSignedIn, RequestRefused, SentryError

COOKIE = "sentry_token"
ROLES = ("guest", "viewer", "rater", "admin")
_WHO, _TOLD, _LEFT = "who", "cookie told", "signed out"


@dataclass(frozen=True)
class Who:
    """Name of the account, empty where no account is asked for, and one of `ROLES`."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether what this role may is offered."""
        return ROLES.index(self.role) >= ROLES.index(role)


GUEST, EVERYBODY = Who("", "guest"), Who("", "admin")


def who() -> Who:
    """Who is signed in."""
    return EVERYBODY if is_open() else st.session_state.get(_WHO, GUEST)


def rater_name() -> str | None:
    """In whose name opinions are given: empty for who may give none, None where no account says it."""
    if is_open():
        return None
    return who().name if who().may("rater") else ""


def enter() -> str:
    """Find out at the start of a run who this is; returns why somebody whom a provider knows is not let in."""
    if is_open():
        return ""
    if TOKEN not in st.session_state and _LEFT not in st.session_state:
        st.session_state[TOKEN] = st.context.cookies.get(COOKIE, "")
    refusal = ""
    try:
        if not st.session_state.get(TOKEN) and _vouched():
            begin(ask_as_dashboard("vouched_sign_in", email=str(st.user.email))["token"])
        found = ask("whoami")
        st.session_state[_WHO] = Who(found["name"], found["role"])
    except NotSignedIn:
        _forget()
    except RequestRefused as error:
        refusal = str(error)
    except SentryError:
        pass  # the trainer is away, which the page says; who was signed in stays so
    _tell_browser()
    return refusal


def begin(token: str) -> None:
    """Take a token that the trainer has just given."""
    st.session_state[TOKEN] = token


def leave() -> NoReturn:
    """Sign out, here, at the trainer and at a provider; ends the run."""
    with contextlib.suppress(SentryError):  # it ends by itself
        ask("sign_out")
    _forget()
    st.session_state[_LEFT] = True
    if provider_is_configured() and st.user.is_logged_in:
        st.logout()  # sends the browser to the provider, and a run that began at once would take that back
        st.stop()
    st.rerun()


def provider_is_configured() -> bool:
    """Whether `.streamlit/secrets.toml` names an identity provider."""
    return "is_logged_in" in st.user


def _vouched() -> bool:
    """Whether a provider has said who this is; an address counts only if it says that it has verified it."""
    return bool(provider_is_configured() and st.user.is_logged_in and st.user.get("email_verified") is True)


def _forget() -> None:
    st.session_state[TOKEN] = ""
    st.session_state[_WHO] = GUEST


def _tell_browser() -> None:
    """Keep the token in a cookie, so that a reload and a second tab need no second sign-in."""
    token = st.session_state.get(TOKEN, "")
    if token == st.session_state.get(_TOLD, st.context.cookies.get(COOKIE, "")):
        return
    st.session_state[_TOLD] = token
    age = 43_200 if token else 0
    words = f'"{COOKIE}={token}; path=/; max-age={age}; samesite=strict"'
    secure = '(location.protocol === "https:" ? "; secure" : "")'
    st.html(f"<script>document.cookie = {words} + {secure};</script>", unsafe_allow_javascript=True)
