"""The Rates page's wish: so many false alarms or misses at most, what each threshold would bring, and one to apply."""

from __future__ import annotations

import streamlit as st

from dashboard.connection import ask
from dashboard.figures import figure
from dashboard.threshold_chart import VIEWS, drawing, table_of
from dashboard.who import who
from training.active_learning.review.markup import note, tag

ALARMS, MISSES = "False alarms per hour, at most", "Misses in percent, at most"
HOW = (
    "Each point is a threshold, from the present one on in steps of 0.01; the lines are 95 % intervals. What a lower "
    "one would bring cannot be told before, from a sample of the quiet windows."
)


def advice() -> None:
    """Draw it for the task that is chosen above."""
    task = st.session_state.get("rates task")
    if task is None:
        return
    with st.container(border=True, key="threshold"):
        st.subheader("Alert threshold", anchor=False)
        first, second, third = st.columns([3, 2, 2], gap="small", vertical_alignment="bottom")
        wish = first.selectbox("Wish", [ALARMS, MISSES], key="threshold wish")
        most = second.number_input("At most", min_value=0.0, value=2.0 if wish == ALARMS else 20.0, key=f"most {wish}")
        if third.button("Advise", key="advise", width="stretch"):
            wished = {"most_false_alarms_per_hour": most} if wish == ALARMS else {"most_misses": most / 100}
            st.session_state["advice"] = ask("threshold_advice", task=task, **wished)
        _answer(task)


def _answer(task: str) -> None:
    found = st.session_state.get("advice")
    if not found or found["task"] != task:
        return
    what, _, how_well = found["words"].partition("; ")
    note("quiet", f"{_capital(what)}.", f"{_capital(how_well)}." if how_well else "")
    if found["curve"]:
        view = st.segmented_control("Show", list(VIEWS), default=next(iter(VIEWS)), key="threshold view", required=True)
        figure("thresholds", f"sentry-{task}-thresholds", drawing(found, view), table_of(found))
        st.html(tag("p", HOW, "s-how"))
    if found["threshold"] is None or not who().may("admin"):
        return
    if st.button(f"Apply {found['threshold']:.2f}", key="apply threshold"):
        applied = ask("apply_threshold", task=task, threshold=found["threshold"])
        note(
            "good", f"{found['threshold']:.2f} is published as version {applied['version']};", "agents take it up now."
        )


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
