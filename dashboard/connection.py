"""The dashboard's way to the trainer: one shared connection, and calm words when there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.cli import KEY_VARIABLE
from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable, SentryError
from sentry_proto.keys import CONTROL, KeyFile
from training.active_learning.review.markup import note

PATIENCE_S = 3.0
"""How long a page waits for an answer before it says so."""


@st.cache_resource(show_spinner=False, on_release=ControlClient.close)
def _client(path: str) -> ControlClient:
    return ControlClient(KeyFile.load(Path(path), CONTROL), PATIENCE_S)


def ask(method: str, **params: Any) -> Any:
    """Call a method of the control API; see `docs/control-api.md`.

    Raises:
        SentryError: if the trainer is not there or refuses.
    """
    return _client(os.environ.get(KEY_VARIABLE, "control.key")).call(method, **params)


def calmly(body: Callable[[], None]) -> None:
    """Draw a part of a page; if the trainer cannot be asked, say so instead. Ask first, draw afterwards."""
    try:
        body()
    except PeerUnreachable as error:
        note(
            "quiet", "The trainer does not answer.", f"{_sentence(error)} This page goes on by itself when it is back."
        )
    except SentryError as error:
        note("bad", "The trainer refused.", _sentence(error))


def live(body: Callable[[], None], every_s: float | None) -> None:
    """Draw a part of a page now and again every so many seconds, without touching the rest of the page."""
    st.fragment(calmly, run_every=every_s)(body)


def _sentence(error: Exception) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
