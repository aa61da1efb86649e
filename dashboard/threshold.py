"""The Rates page's wish: at most so many false alarms or misses; what each threshold brings, and one to publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard.connection import ask
from dashboard.figures import figure
from dashboard.threshold_chart import VIEWS, drawing, table_of
from dashboard.who import who
from dashboard.wording import PER_HOUR, interval, quantity
from sentry_proto.errors import SentryError
from training.active_learning.review.markup import note, tag
from training.active_learning.review.words import version

ALARMS, MISSES = "False alarms per hour, at most", "Misses in percent, at most"
HOW = (
    "Each point is a threshold, from the present one on in steps of 0.01; the lines are 95 % intervals. What a lower "
    "one would bring cannot be told before, from a sample of the quiet windows. A threshold holds for everyone at all "
    "agents, so this looks at all of them, whoever is chosen above."
)
ADVICE, CHOSEN, PUBLISHED = "advice", "threshold wanted", "threshold published"
"""In the session: what the trainer said last, what waits for a yes, and what was published."""


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
            st.session_state[ADVICE] = ask("threshold_advice", task=task, **wished)
            st.session_state.pop(PUBLISHED, None)
        if st.session_state.get(PUBLISHED):
            note("good", st.session_state[PUBLISHED], "Agents take it up now.")
        found = st.session_state.get(ADVICE)
        if found and found["task"] == task:
            _answer(found)
    if st.session_state.get(CHOSEN) is not None:
        _confirm(*st.session_state[CHOSEN])


def _answer(found: Mapping[str, Any]) -> None:
    what, _, how_well = found["words"].partition("; ")
    note("quiet", f"{_capital(what)}.", f"{_capital(how_well)}." if how_well else "")
    if not found["curve"]:
        return
    view = st.segmented_control("Show", list(VIEWS), default=next(iter(VIEWS)), key="threshold view", required=True)
    figure("thresholds", f"sentry-{found['task']}-thresholds", drawing(found, view), table_of(found))
    st.html(tag("p", HOW, "s-how"))
    if who().may("admin"):
        _choice(found)


def _choice(found: Mapping[str, Any]) -> None:
    """Any threshold that is drawn can be published; the slider begins at the advised one."""
    curve = {one["threshold"]: one for one in found["curve"]}
    present = found["present"]["threshold"]
    if len(curve) < 2:
        return
    left, right = st.columns([3, 1], gap="small", vertical_alignment="bottom")
    chosen = left.select_slider(
        "Threshold to publish",
        list(curve),
        value=found["threshold"] if found["threshold"] is not None else present,
        format_func=lambda threshold: f"{threshold:.2f}",
        key=f"threshold of {found['task']} {found['model_version']} {found['threshold']}",
    )
    right.button(
        f"Publish {chosen:.2f}",
        key="publish threshold",
        width="stretch",
        disabled=chosen == present,
        on_click=_want,
        args=(found["task"], found["model_version"], chosen),
    )
    st.html(tag("p", _expected(curve[chosen]), "s-how"))


def _expected(one: Mapping[str, Any]) -> str:
    alarms, misses = one[PER_HOUR], one["miss_rate"]
    return (
        f"At {one['threshold']:.2f}: {quantity(PER_HOUR, alarms['value'])} false alarms, {interval(PER_HOUR, alarms)}; "
        f"{quantity('miss_rate', misses['value'])} of events missed, {interval('miss_rate', misses)}."
    )


def _want(*chosen: Any) -> None:
    st.session_state[CHOSEN] = chosen or None


@st.dialog("Publish this threshold?", on_dismiss=_want)
def _confirm(task: str, number: int, threshold: float) -> None:
    st.write(
        f"The heads of {version(number)} will be published again under a new number with alerts for {task} from "
        f"{threshold:.2f} on, and every agent will run them within seconds. Rolling back undoes it."
    )
    yes, no = st.columns(2)
    if yes.button(f"Publish {threshold:.2f}", key="publish it", type="primary", width="stretch"):
        try:
            new = ask("apply_threshold", task=task, threshold=threshold, model_version=number)["version"]
        except SentryError as error:
            note("bad", "Not published:", f"{error}.")
            return
        st.session_state[PUBLISHED] = f"{threshold:.2f} is published as {version(new)}."
        st.session_state.pop(ADVICE)  # it was about the version before
        _want()
        st.rerun()
    if no.button("Leave it as it is", key="leave threshold", width="stretch"):
        _want()
        st.rerun()


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
