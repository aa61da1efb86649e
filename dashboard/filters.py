"""What the choices above a page need: a page whose trainer is away still draws them, since Streamlit forgets what was
chosen in a widget as soon as a run of the page leaves it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from sentry_proto.errors import SentryError

T = TypeVar("T")


def remembered(name: str, ask: Callable[[], T], for_s: float = 0.0) -> tuple[T, SentryError | None]:
    """What the trainer answers; or what it answered last in this session, and why it does not now.

    Args:
        name: of the question, and of nothing else in the session.
        ask: asks it.
        for_s: how many seconds an answer is good for: a page that refreshes itself every so often shows it that long.

    Raises:
        SentryError: if it has never answered.
    """
    key, now = f"last {name}", time.monotonic()
    last = st.session_state.get(key)
    if last is not None and now - last[0] < for_s:
        return last[1], None
    try:
        answer = ask()
    except SentryError as error:
        if last is None:
            raise
        return last[1], error
    st.session_state[key] = (now, answer)
    return answer, None
