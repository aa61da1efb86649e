"""What stands above the alerts: whose, of which task and when; all of it in the address, for a link shows the same."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard.connection import ask
from dashboard.who import rater_name
from sentry_proto.limits import MAX_TEXT
from training.active_learning.review.words import version

ALL = {"task": "All tasks", "participant": "Everyone", "agent": "All agents", "model_version": "All versions"}
ONLY_OPEN = "Without verdict"
WHENEVER = "All times"
WHEN = {
    "hour": ("The last hour", 3_600.0),
    "day": ("The last 24 hours", 86_400.0),
    "week": ("The last 7 days", 604_800.0),
}
"""By their names in the address: words and seconds."""


def choices() -> dict[str, list[Any]]:
    """What can be chosen, and how many alerts there are while it is looked up.

    Raises:
        SentryError: if the trainer is not there.
    """
    status, people, agents, models = ask("status"), ask("people"), ask("agents"), ask("models")
    st.session_state["alerts shown"] = status["alerts"]
    return {
        "task": [task["name"] for task in status["tasks"] if task["alert"]],
        "participant": sorted(person["participant"] for person in people),
        "agent": [agent["name"] for agent in agents],
        "model_version": [model["version"] for model in models],
    }


def filters(known: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], str]:
    """Draw the choices; returns the control API's parameters, and who judges (empty: nobody is named)."""
    columns = st.columns([1, 1, 1, 1, 1.1, 1.15, 1], gap="small", vertical_alignment="bottom")
    where = {}
    for place, (name, values) in zip(columns, known.items(), strict=False):
        asked = next((value for value in values if str(value) == st.query_params.get(name)), None)
        options: list[Any] = [None, *values]
        value: Any = place.selectbox(
            ALL[name],
            options,
            index=options.index(asked),
            required=True,
            key=f"alerts {name}",
            label_visibility="collapsed",
            format_func=partial(_named, name),
        )
        if value is not None:
            where[name] = value
    kept = {name: str(value) for name, value in where.items()}
    when = _when(columns[4])
    columns[5].toggle(ONLY_OPEN, key="alerts open", value="open" in st.query_params)
    rater = _rater(columns[6])
    kept |= {"when": when} if when else {}
    kept |= {"open": "1"} if only_open() else {}
    kept |= {"rater": rater} if rater else {}
    for gone in ("rater", "when", "open", *known):
        if gone not in kept and gone in st.query_params:
            del st.query_params[gone]
    st.query_params.update(kept)
    return {**where, **({"since": _since(WHEN[when][1])} if when else {})}, rater


def only_open() -> bool:
    """Whether only alerts without a verdict are wanted."""
    return bool(st.session_state.get("alerts open"))


def _when(place: Any) -> str:
    """One of `WHEN`, or nothing for all times."""
    options = ["", *WHEN]
    asked = st.query_params.get("when", "")
    chosen: str = place.selectbox(
        "When",
        options,
        index=options.index(asked) if asked in options else 0,
        required=True,
        key="alerts when",
        label_visibility="collapsed",
        format_func=lambda name: WHEN[name][0] if name else WHENEVER,
    )
    return chosen


def _since(seconds: float) -> float:
    """Whole minutes, so that a page that is drawn again asks the same."""
    return 60.0 * ((time.time() - seconds) // 60)


def _rater(place: Any) -> str:
    own = rater_name()
    if own is not None:
        return own
    given: str = place.text_input(
        "Rater (a pseudonym)", st.query_params.get("rater", ""), key="alerts rater", max_chars=MAX_TEXT,
        placeholder="Rater, such as R1", label_visibility="collapsed",
    )  # fmt: skip
    return given.strip()


def _named(name: str, value: Any) -> str:
    if value is None:
        return ALL[name]
    return version(value).capitalize() if name == "model_version" else str(value)
