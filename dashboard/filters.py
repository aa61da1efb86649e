"""What the choices above a page need: a page whose trainer is away still draws them, since Streamlit forgets what was
chosen in a widget as soon as a run of the page leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from sentry_proto.errors import SentryError

T = TypeVar("T")


def remembered(name: str, ask: Callable[[], T]) -> tuple[T, SentryError | None]:
    """What the trainer answers; or what it answered last in this session, and why it does not now.

    Raises:
        SentryError: if it has never answered.
    """
    key = f"last {name}"
    try:
        st.session_state[key] = ask()
    except SentryError as error:
        if key not in st.session_state:
            raise
        return st.session_state[key], error
    return st.session_state[key], None
