"""The Alerts page: when alerts came, one of them with its window and a verdict, and events that were missed.

The list and the open alert are drawn apart, so that opening one does not draw the list again.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import streamlit as st

from dashboard.alert_charts import around_drawing, around_rows, course_drawing, course_rows
from dashboard.alert_filters import choices, filters, only_open
from dashboard.connection import ask, calmly, live
from dashboard.figures import figure
from dashboard.filters import remembered
from dashboard.overview import VERDICT_TONES
from dashboard.verdicts import VERDICTS, Bench, Given
from dashboard.who import rater_name
from dashboard.wording import day_and_time, duration, feature_name
from sentry_proto.limits import MAX_TEXT
from sentry_proto.types import CAMERA_STATES
from training.active_learning.review.chart import specification
from training.active_learning.review.markup import (
    Html,
    browser_look,
    browser_zone,
    empty,
    heading,
    joined,
    muted,
    note,
    panel,
    pictures,
    pill,
    table,
    tag,
)
from training.active_learning.review.words import FACELESS, clock, percent, plural, version
from training.active_learning.sheets import CURVES, series

REFRESH_S = 5.0
LISTED = 40
LIST, OPENED = "alert list", "alert opened"
AWAY = "alerts away"
PAGES = "alerts pages"
"""Rows before which the pages of the list begin, but for the newest."""

LINKED, KEPT = "alert", "alert kept"
"""In the address: the open alert. In the session: one that stays open although the list does not show it."""


def page() -> None:
    """Draw the page."""
    bench = st.session_state.setdefault("bench", Bench())
    live(_news, REFRESH_S)
    live(partial(_page, bench), None)
    calmly(_missed)


def _news() -> None:
    """Offer alerts that have come since the page was drawn, so that the list never moves under a rater's hand."""
    fresh = ask("status")["alerts"] - st.session_state.get("alerts shown", 0)
    if st.session_state.pop(AWAY, False):
        st.rerun()
    if fresh > 0 and "alerts shown" in st.session_state and st.button(f"Show {plural(fresh, 'new alert')}"):
        st.rerun()


def _asked(method: str, **params: Any) -> Any:
    """Ask the trainer; where it does not answer, `_news` draws the page again."""
    st.session_state[AWAY] = True
    found = ask(method, **params)
    st.session_state[AWAY] = False
    return found


def _page(bench: Bench) -> None:
    known, trouble = remembered("alert choices", choices)
    where, rater = filters(known)
    if trouble is not None:
        st.session_state[AWAY] = True
        raise trouble
    _turn_back(dict(st.query_params))
    if not _asked("alerts", limit=1, **where) and st.session_state[KEPT] is None:
        st.query_params.pop(LINKED, None)
        panel("Alerts", empty("No alert here.", "Choose other filters; none comes before a head has passed its gate."))
        return
    live(partial(_course, where), REFRESH_S)
    left, right = st.columns([4, 5], gap="small")
    with left:
        live(partial(_list, where), None, LIST)
    with right:
        live(partial(_opened, bench, rater), None, OPENED)


def _course(where: Mapping[str, Any]) -> None:
    course = _asked("alert_course", **where)
    total = sum(entry["alerts"] for entry in course["bins"])
    with st.container(border=True, key="window-course"):
        heading("When alerts came", f"{plural(total, 'alert')}, in stretches of {duration(course['width_s'])}")
        rows = course_rows(course)
        figure("course", "sentry-alerts", course_drawing(rows), rows)


def _list(where: Mapping[str, Any]) -> None:
    pages: list[int] = st.session_state[PAGES]
    older = {"before": pages[-1]} if pages else {}
    alerts, zone = _asked("alerts", limit=LISTED, unjudged=only_open(), **where, **older), browser_zone()
    _choose(alerts)
    first = len(pages) * LISTED + 1
    aside = f"{first} to {first + len(alerts) - 1}" if pages or len(alerts) == LISTED else plural(len(alerts), "alert")
    with st.container(border=True, key="window-list", height=640, gap=None):
        heading("Alerts", f"{aside}, newest first")
        for alert in alerts:
            verdict = alert["verdict"] or "no verdict"
            words = f"{day_and_time(alert['start'], zone)} · {alert['task']} · {alert['participant']} · {verdict}"
            st.button(
                words,
                key=_row(alert["alert_id"]),
                type="tertiary",
                width="stretch",
                on_click=_open,
                args=(alert["alert_id"],),
            )
        with st.container(horizontal=True, key="turn-pages"):
            if pages:
                st.button("Show newer", key="newer alerts", on_click=_turn, args=(pages[:-1],))
            if len(alerts) == LISTED:
                st.button("Show older", key="older alerts", on_click=_turn, args=([*pages, alerts[-1]["row"]],))


def _turn_back(address: Mapping[str, str]) -> None:
    """A link opens the alert that it names; another choice begins with its newest alerts, and closes all others."""
    chosen = {name: value for name, value in address.items() if name not in (LINKED, "rater")}
    before = st.session_state.get("alerts chosen")
    if before != chosen:
        st.session_state["alerts chosen"], st.session_state[PAGES] = chosen, []
        st.session_state[KEPT] = address.get(LINKED) if before is None else None


def _turn(pages: list[int]) -> None:
    """Go to an older or newer page of the list; what is open need not be on it."""
    st.session_state[PAGES] = pages
    st.session_state[KEPT] = st.session_state.get("alert")
    st.rerun([LIST, OPENED])


def _row(alert_id: str) -> str:
    return f"open-{alert_id}"


def _choose(alerts: Sequence[Mapping[str, Any]]) -> None:
    """Keep the alert that is open if it is listed, or came by a link; else open the first without a verdict."""
    ids = [alert["alert_id"] for alert in alerts]
    asked = st.session_state.get("alert") or st.session_state[KEPT]
    if asked is None or asked not in (*ids, st.session_state[KEPT]):
        asked = next((alert["alert_id"] for alert in alerts if alert["verdict"] is None), next(iter(ids), None))
    st.session_state["alert"], st.session_state["alerts listed"] = asked, ids


def _open(alert_id: str) -> None:
    st.session_state["alert"] = alert_id
    st.session_state[KEPT] = None
    st.rerun(OPENED)


def _opened(bench: Bench, rater: str) -> None:
    chosen = st.session_state.get("alert")
    if chosen is None:
        st.query_params.pop(LINKED, None)
        panel("Nothing waits for a verdict", empty("All of these alerts were judged.", "Turn the filter off."))
        _undo(bench)
        return
    if st.query_params.get(LINKED) != chosen:
        st.query_params[LINKED] = chosen
    st.html(f"<style>.st-key-{_row(chosen)} button {{ background: var(--hair); font-weight: 600; }}</style>")
    _alert(_asked("alert", alert_id=chosen), bench, rater)


def _alert(alert: Mapping[str, Any], bench: Bench, rater: str) -> None:
    zone = browser_zone()
    lasted = f"lasted {duration(alert['end'] - alert['start'])}" if alert["end"] else "still on"
    first = st.container(border=True, key="answers")  # drawn last: a click while the page is being drawn can get lost
    _evidence(alert)
    with first:
        when = f"{day_and_time(alert['start'], zone)}, {lasted}"
        heading(f"Was {alert['task']} there?", f"{alert['participant']} at {alert['agent']}, {when}")
        _verdicts(alert, bench, rater)


def _evidence(alert: Mapping[str, Any]) -> None:
    with st.container(border=True, key="window-around"):
        said = f"{percent(alert['probability'])}, alerts from {percent(alert['threshold'])}"
        heading(f"Probability of {alert['task']} around it", f"{version(alert['model_version'])}: {said}")
        if alert["around"]:
            figure("around", f"sentry-alert-{alert['alert_id'][:8]}", around_drawing(alert), around_rows(alert))
        st.caption("Points are the windows that were sent; between alerts only a few are.")
    window = alert["window"]
    if window is None:
        panel("The window", empty("It has not come yet.", "It waits in the agent's spool, or was removed."))
        return
    with st.container(border=True, key="window-curves"):
        heading("The window", f"{window['end'] - window['start']:.0f} s before the alert")
        curves = {curve.name: series(window["features"], curve) for curve in CURVES}
        drawn = specification(curves, window["camera_states"], browser_look())
        st.vega_lite_chart(spec=drawn, width="stretch", theme=None, key="alert curves")
    panel("What moved", _moved(window["moved"]), "against what is usual for this person")
    panel("Camera", _camera(window), "the 30 s before the alert")


def _verdicts(alert: Mapping[str, Any], bench: Bench, rater: str) -> None:
    if alert["verdict"]:
        st.html(tag("p", joined(["Judged: ", pill(VERDICT_TONES[alert["verdict"]], alert["verdict"])]), "s-line"))
    elif not rater:
        asked = "Enter a rater's pseudonym above; every verdict keeps who gave it."
        st.caption("It takes the role rater to judge an alert." if rater_name() == "" else asked)
    for place, (verdict, key) in zip(st.columns(3, gap="small"), VERDICTS.items(), strict=True):
        place.button(
            verdict.capitalize(),
            key=f"{verdict} {alert['alert_id']}",
            width="stretch",
            shortcut=key,
            disabled=not rater,
            on_click=_judge,
            args=(bench, alert, verdict, rater),
        )
    _undo(bench)


def _judge(bench: Bench, alert: Mapping[str, Any], verdict: str, rater: str) -> None:
    """Store it, and go on to the next older alert only when the trainer has confirmed it."""
    if bench.judge(ask, alert, verdict, rater):
        listed = st.session_state["alerts listed"]
        after = listed[listed.index(alert["alert_id"]) + 1 :] if alert["alert_id"] in listed else []
        st.session_state["alert"] = next(iter(after), alert["alert_id"])
    st.rerun([LIST, OPENED])


def _undo(bench: Bench) -> None:
    if bench.outcome:
        note(bench.outcome.tone, bench.outcome.sentence)
    if bench.given:
        about = (bench, bench.given[-1])
        st.button("Undo", key="undo verdict", type="tertiary", shortcut="U", on_click=_take_back, args=about)


def _take_back(bench: Bench, last: Given) -> None:
    about = bench.undo(ask, last)
    if about is not None:
        st.session_state["alert"] = st.session_state[KEPT] = about
    st.rerun([LIST, OPENED])


def _moved(moved: Sequence[Mapping[str, Any]]) -> Html:
    if not moved:
        return empty("Nothing to compare with.", "The person's own baseline was not known yet.")
    rows = [
        [tag("b", feature_name(entry["name"])), f"{entry['mean']:.2f}", f"{entry['usual']:.2f}", _away(entry["away"])]
        for entry in moved
    ]
    return table(("Feature", "In the window", "Usually", "Usual spreads away"), rows, frozenset({1, 2, 3}))


def _away(away: float) -> Html:
    return joined([f"{away:+.1f} ", muted("above" if away > 0 else "below")])


def _camera(window: Mapping[str, Any]) -> Html:
    states, zone = window["camera_states"], browser_zone()
    words = {letter: str(state) for state, letter in CAMERA_STATES.items()}
    counted = [(words.get(letter, "unknown"), states.count(letter)) for letter in dict.fromkeys(states)]
    pills = (pill("good" if name == "ok" else "warn", f"{name} for {seconds} s ") for name, seconds in counted)
    shown = [tag("p", joined(pills), "s-line")]
    if window["stills"]:
        shown += [pictures((still["jpeg"], clock(still["time"], zone)) for still in window["stills"])]
    said = muted(FACELESS if window["stills"] else "No picture came with it.")
    return joined([*shown, tag("p", said, "s-line")])


def _missed() -> None:
    status, people = ask("status"), ask("people")
    tasks = [task["name"] for task in status["tasks"] if task["alert"] and rater_name() != ""]
    reported = ask("remarks", kind="missed event", limit=5)
    if not tasks or not people:
        return
    with st.expander("Report a missed event", icon=":material/add_alert:"):
        st.caption(
            "For a moment at which no alert came. It is kept for the study's record and counts in no rate: how often "
            "events are missed is estimated from windows drawn at random."
        )
        _missed_form(tasks, sorted(person["participant"] for person in people))
        zone = browser_zone()
        for remark in reported:
            by = f", by {remark['rater']}" if remark["rater"] else ""
            words = f"{day_and_time(remark['time'], zone)}: {remark['task']}, {remark['participant']}{by}"
            st.caption(f"{words}. {remark['words']}")


def _missed_form(tasks: Sequence[str], people: Sequence[str]) -> None:
    now = datetime.now(browser_zone())
    with st.form("missed", border=False, clear_on_submit=True):
        first, second, third, fourth, fifth = st.columns(5, gap="small")
        task = first.selectbox("What", tasks)
        participant = second.selectbox("Who", people)
        day = third.date_input("Day", now.date())
        moment = fourth.time_input("Time", now.time().replace(second=0, microsecond=0), step=60)
        own, given = rater_name(), st.session_state.get("alerts rater", "")
        rater = fifth.text_input("Rater", own or given, max_chars=MAX_TEXT, disabled=own is not None)
        words = st.text_input("What you saw (may be left empty)", max_chars=MAX_TEXT)
        if st.form_submit_button("Report it"):
            when = datetime.combine(day, moment, browser_zone())
            ask(
                "remark", remark_id=uuid.uuid4().hex, kind="missed event", task=task, rater=rater.strip(),
                participant=participant, moment=when.timestamp(), words=words,
            )  # fmt: skip
            note("good", f"Stored: {task} of {participant} at {when:%H:%M}.")
