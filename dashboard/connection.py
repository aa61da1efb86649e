"""The dashboard's way to the trainer: shared connections, and calm words when there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.cli import KEY_VARIABLE, OPEN_VARIABLE
from dashboard.pool import Pool
from sentry_proto.control import ControlClient
from sentry_proto.errors import NotSignedIn, PeerUnreachable, SentryError
from sentry_proto.keys import CONTROL, KeyFile
from training.active_learning.review.markup import note

PATIENCE_S = 3.0
"""How long a page waits for an answer before it says so."""

SIGN_IN_PATIENCE_S = 15.0
"""Checking a password takes a core for a quarter of a second, and more on a busy machine."""


@st.cache_resource(show_spinner=False, on_release=Pool.close)
def _client(path: str, patience_s: float) -> Pool:
    key = KeyFile.load(Path(path), CONTROL)
    return Pool(lambda: ControlClient(key, patience_s))


TOKEN = "token"  # noqa: S105 - the name of one
"""Of the browser session: what the trainer gave to whoever is signed in."""


def ask(method: str, **params: Any) -> Any:
    """Call a method of the control API as whoever is signed in; see `docs/control-api.md`.

    Raises:
        SentryError: if the trainer is not there or refuses.
    """
    return asking()(method, **params)


def asking() -> Callable[..., Any]:
    """The same as a function that needs no page: a download calls it after the page has been drawn."""
    return ask_as_dashboard if is_open() else asking_with(st.session_state.get(TOKEN, ""))


def asking_with(token: str) -> Callable[..., Any]:
    """Calls methods as the holder of a token, or of a participant's link."""
    return partial(ask_as_dashboard, **{TOKEN: token})


def ask_as_dashboard(method: str, **params: Any) -> Any:
    """Call a method as the holder of the key, who may do everything; for nothing that a browser asks for.

    Raises:
        SentryError: if the trainer is not there or refuses.
    """
    patience_s = SIGN_IN_PATIENCE_S if method == "sign_in" else PATIENCE_S
    return _client(os.environ.get(KEY_VARIABLE, "control.key"), patience_s).call(method, **params)


def is_open() -> bool:
    """Whether everybody may do everything here, as in the demo."""
    return OPEN_VARIABLE in os.environ


def calmly(body: Callable[[], None]) -> None:
    """Draw a part of a page; if the trainer cannot be asked, say so instead. Ask first, draw afterwards."""
    try:
        body()
    except PeerUnreachable as error:
        note(
            "quiet", "The trainer does not answer.", f"{_sentence(error)} This page goes on by itself when it is back."
        )
    except NotSignedIn:
        st.rerun()
    except SentryError as error:
        note("bad", "The trainer refused.", _sentence(error))


def live(body: Callable[[], None], every_s: float | None, name: str | None = None) -> None:
    """Draw a part of a page now and again every so many seconds, or by its name, without touching the rest of it."""
    st.fragment(calmly, run_every=every_s, key=name)(body)


def _sentence(error: Exception) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
