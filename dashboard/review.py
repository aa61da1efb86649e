"""The Review page: one window at a time, labelled with one click."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from dashboard.connection import ask, live
from dashboard.curves import chart
from dashboard.labelling import Click, Desk
from dashboard.markup import Html, empty, heading, joined, muted, note, panel, pill, tag
from dashboard.overview import browser_zone
from dashboard.wording import ABSTAINING, clock, percent, plural, version
from sentry_proto.limits import MAX_TEXT
from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM, Task, tasks_from_json

QUEUE = 50
WAITING_S = 3.0
"""How often an empty queue, or a trainer that was away, is asked again."""

REASONS = {
    "alert": ("bad", "alert", "The model raised an alert in this window."),
    "audit": ("good", "audit", "Drawn at random: such windows show what the model misses."),
    "uncertain": ("warn", "uncertain", "The model is unsure here, so a label teaches it most."),
}


def page() -> None:
    """Draw the page."""
    desk = st.session_state.setdefault("desk", Desk())
    live(partial(_review, desk), WAITING_S if st.session_state.get("idle", True) else None)


def _review(desk: Desk) -> None:
    was_idle = st.session_state.get("idle", True)
    st.session_state["idle"] = True
    tasks = tasks_from_json(ask("status")["tasks"])
    task, rater = _choices(tasks)
    queue = ask("queue", task=task.name, rater=rater, limit=QUEUE)
    chosen = desk.choose(queue, task.name, time.time())
    window = ask("window", window_id=chosen["window_id"]) if chosen else None
    st.session_state["idle"] = window is None
    _feedback(desk)
    if window is None or chosen is None:
        _nothing(desk, task)
    else:
        waiting = len(queue) - sum((task.name, w["window_id"]) in desk.skipped for w in queue)
        left, right = st.columns([5, 3], gap="small")
        with right:
            _question(desk, task, rater, chosen, waiting)
            panel("What the model says", _predictions(window, tasks), version(window["model_version"]))
        with left:
            _window(window)
    if was_idle != st.session_state["idle"]:
        st.rerun()


def _choices(tasks: tuple[Task, ...]) -> tuple[Task, str]:
    """Task and rater, kept in the address so that a refreshed page still knows them."""
    names = [task.name for task in tasks]
    asked = st.query_params.get("task")
    left, right = st.columns([5, 3], gap="small", vertical_alignment="bottom")
    name = left.segmented_control(
        "Task",
        names,
        default=asked if asked in names else names[0],
        key="task",
        required=True,
        format_func=str.capitalize,
    )
    rater = right.text_input(
        "Rater (a pseudonym)",
        st.query_params.get("rater", ""),
        key="rater",
        max_chars=MAX_TEXT,
        placeholder="such as R1",
    ).strip()
    st.query_params.update({"task": str(name), "rater": rater})
    return tasks[names.index(str(name))], rater


def _feedback(desk: Desk) -> None:
    if desk.outcome:
        note(desk.outcome.tone, desk.outcome.sentence)


def _nothing(desk: Desk, task: Task) -> None:
    if any(name == task.name for name, _ in desk.skipped):
        st.button("Look again at what was left for later", on_click=desk.skipped.clear)
    what = f"Nothing waits for a label on {task.name}."
    panel("The queue is empty", empty(what, "New windows appear here by themselves as agents send them."))
    if desk.given:
        st.button("Undo the last label", on_click=desk.undo, args=(ask,))


def _question(desk: Desk, task: Task, rater: str, chosen: Mapping[str, Any], waiting: int) -> None:
    window_id = chosen["window_id"]
    tone, word, why = REASONS.get(chosen["reason"], ("quiet", chosen["reason"], ""))
    asking = f"Was {task.name} there?" if _is_verdict(task, chosen) else f"Which {task.name} do you see?"
    with st.container(border=True, key="answers", gap="small"):
        heading(asking, f"{plural(waiting, 'window')}{' or more' if waiting >= QUEUE else ''} to review")
        st.html(tag("div", joined([pill(tone, word), muted(f" {why}")]), "s-why"))
        if not rater:
            st.caption("Enter a rater's pseudonym above; every label keeps who gave it.")
        if _is_verdict(task, chosen):
            first, second = st.columns(2, gap="small")
            _answer(first, desk, Click(window_id, task.name, TRUE_ALARM, rater), "T")
            _answer(second, desk, Click(window_id, task.name, FALSE_ALARM, rater), "F")
            st.caption("or say which class it was")
        for number, value in enumerate(task.classes, 1):
            _answer(st, desk, Click(window_id, task.name, value, rater), str(number))
        first, second = st.columns(2, gap="small")
        first.button(
            "Leave for later",
            key="skip",
            width="stretch",
            type="tertiary",
            on_click=desk.skip,
            args=(task.name, window_id),
        )
        second.button(
            "Undo",
            key="undo",
            width="stretch",
            type="tertiary",
            disabled=not desk.given,
            on_click=desk.undo,
            args=(ask,),
        )


def _is_verdict(task: Task, chosen: Mapping[str, Any]) -> bool:
    return task.alert is not None and chosen["reason"] == "alert"


def _answer(place: Any, desk: Desk, click: Click, shortcut: str) -> None:
    place.button(
        click.value.capitalize(),
        key=f"{click.task} {click.window_id} {click.value}",
        width="stretch",
        disabled=not click.rater,
        shortcut=shortcut,
        on_click=_clicked,
        args=(desk, click),
    )


def _clicked(desk: Desk, click: Click) -> None:
    desk.label(ask, click, time.time())


def _window(window: Mapping[str, Any]) -> None:
    zone = browser_zone()
    length = window["end"] - window["start"]
    when = f"{clock(window['start'], zone)} to {clock(window['end'], zone)}, {length:.0f} s"
    with st.container(border=True, key="window"):
        who = f"{window['participant']}, session {window['session']}, at {window['agent']}"
        heading(who, when)
        st.altair_chart(chart(window["features"], window["camera_states"]), width="stretch", theme=None)


def _predictions(window: Mapping[str, Any], tasks: tuple[Task, ...]) -> Html:
    classes = {task.name: task.classes for task in tasks}
    shown = [p for p in window["predictions"] if len(classes.get(p["task"], ())) == len(p["probabilities"])]
    if not shown:
        return empty(f"{ABSTAINING.capitalize()}.", "No head had passed its gate when this window was scored.")
    return joined(_odds(prediction, classes[prediction["task"]]) for prediction in shown)


def _odds(prediction: Mapping[str, Any], classes: tuple[str, ...]) -> Html:
    def bar(name: str, share: float) -> Html:
        filled = Html(f'<i><b style="width:{100 * share:.1f}%"></b></i>')
        return tag("div", joined([tag("span", name), filled, tag("span", percent(share))]))

    spread = (
        f"entropy {prediction['entropy']:.2f} nat, of it {prediction['mutual_information']:.2f} between the members"
    )
    head = tag("p", joined([tag("b", prediction["task"]), " ", muted(spread)]), "s-line")
    bars = (bar(name, share) for name, share in zip(classes, prediction["probabilities"], strict=True))
    return joined([head, tag("div", joined(bars), "s-odds")])
