"""The review page: one window at a time, labelled with one click or one key; for a trainer's queue and for a file.

Raters are blind to the model, unless the study wants them to see it: whoever sees an estimate agrees with it, and every
miss rate would be told too low (docs/adr/0020). Then all windows are asked about in the same words.

Keys: 1, 2, ... for the classes, H, B and N for why it cannot be told, L to leave a window for later, U to undo; where
raters see the model, T and F for the verdict on an alert.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import streamlit as st

from sentry_proto.limits import MAX_TEXT
from training.active_learning.review.chart import specification
from training.active_learning.review.desk import Click, Desk, Tray, Waiting
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
    tag,
)
from training.active_learning.review.words import ABSTAINING, FACELESS, clock, count, percent, plural, version
from training.active_learning.sheets import Odds, Sheet

REASONS = {
    "alert": ("bad", "alert", "The model raised an alert in this window."),
    "audit": ("good", "audit", "Drawn at random: such windows show what the model misses."),
    "uncertain": ("warn", "uncertain", "The model is unsure here, so a label teaches it most."),
    "neighbour": (
        "quiet",
        "neighbour",
        "Close in time to a window in which it was there: states come in bouts.",
    ),
}
MOST_KEYS = 9
PASSED = {"face hidden": "H", "bad picture": "B", "unclear": "N"}
"""Why a window cannot be told, and the key for it."""


def review(tray: Tray, desk: Desk, when_empty: str, signed_in: str | None = None, blind: bool = True) -> bool:
    """Draw the page's part below its title; whether there was a window to show.

    Args:
        tray: where windows come from and answers go.
        desk: of this browser session.
        when_empty: what to say when nothing waits.
        signed_in: in whose name answers are given; without one, the page asks for a pseudonym.
        blind: whether raters see neither what the model says nor why a window is asked about.

    Raises:
        SentryError: from the tray, before anything is drawn of a window.
    """
    task, rater = _choices(tray, signed_in)
    _keep_later(desk)
    waiting = tray.waiting(task, rater, _midnight())
    chosen = desk.choose(waiting.window_ids, task, time.time())
    sheet = tray.sheet(task, chosen) if chosen is not None else None
    if sheet is None:
        _outcome(desk)
        _nothing(tray, desk, task, when_empty)
        return False
    sheet = sheet.blinded() if blind else sheet
    wide, narrow = st.columns([5, 3], gap="small")
    with wide:
        _window(sheet)
    with narrow:  # drawn last: until all is drawn, buttons of the window before may linger and move the others
        _question(tray, desk, sheet, rater, waiting)
        below = st.container()
        if sheet.model_version is not None:
            panel("What the model says", _model(sheet), version(sheet.model_version))
        with below:
            _outcome(desk)
    return True


def _choices(tray: Tray, signed_in: str | None) -> tuple[str, str]:
    """Task and rater, kept in the address so that a refreshed page still knows them."""
    names = list(tray.tasks())
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
        "Rater (a pseudonym)" if signed_in is None else "Rater",
        st.query_params.get("rater", "") if signed_in is None else signed_in,
        key="rater",
        max_chars=MAX_TEXT,
        placeholder="such as R1",
        disabled=signed_in is not None,
    ).strip()
    st.query_params.update({"task": str(name), "rater": rater})
    return str(name), rater


def _keep_later(desk: Desk) -> None:
    """What was left for later stands in the address, too, so that a refreshed page does not begin with it."""
    desk.resume(st.query_params.get("later", ""))
    if desk.later():
        st.query_params["later"] = desk.later()
    else:
        st.query_params.pop("later", None)


def _outcome(desk: Desk) -> None:
    if desk.outcome:
        note(desk.outcome.tone, desk.outcome.sentence)


def _nothing(tray: Tray, desk: Desk, task: str, when_empty: str) -> None:
    if any(name == task for name, _ in desk.skipped):
        st.button("Look again at what was left for later", on_click=desk.skipped.clear, shortcut="L")
    panel("The queue is empty", empty(f"Nothing waits for a label on {task}.", when_empty))
    if desk.given:
        st.button("Undo the last label", on_click=desk.undo, args=(tray, desk.last), shortcut="U")


def _midnight() -> float:
    """When the reader's day began, in Unix seconds."""
    return datetime.now(browser_zone()).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _progress(waiting: Waiting, later: int) -> tuple[str, Html]:
    """How far the rater has come today: in words, and as a bar of what was there to do."""
    share = waiting.given / max(1, waiting.given + waiting.left)
    bar = Html(f'<i><b style="width:{100 * share:.1f}%"></b></i>')
    words = f"{count(waiting.given)} labelled today, {plural(waiting.left - later, 'window')} left"
    return words, tag("div", bar, "s-progress")


def _question(tray: Tray, desk: Desk, sheet: Sheet, rater: str, waiting: Waiting) -> None:
    tone, word, why = REASONS.get(sheet.reason, ("quiet", sheet.reason, ""))
    asking = f"Was {sheet.task} there?" if sheet.verdicts else f"Which {sheet.task} do you see?"
    words, bar = _progress(waiting, sum((sheet.task, window_id) in desk.skipped for window_id in waiting.window_ids))
    with st.container(border=True, key="answers", gap="small"):
        heading(asking, words)
        st.html(bar)
        if sheet.reason:
            st.html(tag("div", joined([pill(tone, word), muted(f" {why}")]), "s-why"))
        if not rater:
            st.caption("Enter a rater's pseudonym above; every label keeps who gave it.")
        if sheet.verdicts:
            for place, value in zip(st.columns(len(sheet.verdicts), gap="small"), sheet.verdicts, strict=True):
                _answer(place, tray, desk, Click(sheet.window_id, sheet.task, value, rater), value[0].upper())
            st.caption("or say which class it was")
        for number, value in enumerate(sheet.classes, 1):
            key = str(number) if number <= MOST_KEYS else None
            _answer(st, tray, desk, Click(sheet.window_id, sheet.task, value, rater), key)
        _second_thoughts(tray, desk, sheet, rater)


def _second_thoughts(tray: Tray, desk: Desk, sheet: Sheet, rater: str) -> None:
    st.caption("It cannot be told:")
    for place, (why, key) in zip(st.columns(len(PASSED), gap="small"), PASSED.items(), strict=True):
        place.button(
            why.capitalize(),
            key=f"pass {sheet.task} {sheet.window_id} {why}",
            width="stretch",
            type="tertiary",
            disabled=not rater,
            shortcut=key,
            on_click=_passed,
            args=(tray, desk, Click(sheet.window_id, sheet.task, why, rater)),
        )
    first, second = st.columns(2, gap="small")
    first.button(
        "Leave for later",
        key="skip",
        width="stretch",
        type="tertiary",
        shortcut="L",
        on_click=desk.skip,
        args=(sheet.task, sheet.window_id),
    )
    second.button(
        "Undo",
        key="undo",
        width="stretch",
        type="tertiary",
        shortcut="U",
        disabled=not desk.given,
        on_click=desk.undo,
        args=(tray, desk.last),
    )


def _answer(place: Any, tray: Tray, desk: Desk, click: Click, shortcut: str | None) -> None:
    place.button(
        click.value.capitalize(),
        key=f"{click.task} {click.window_id} {click.value}",
        width="stretch",
        disabled=not click.rater,
        shortcut=shortcut,
        on_click=_clicked,
        args=(tray, desk, click),
    )


def _clicked(tray: Tray, desk: Desk, click: Click) -> None:
    desk.label(tray, click, time.time())


def _passed(tray: Tray, desk: Desk, click: Click) -> None:
    desk.pass_over(tray, click, time.time())


def _window(sheet: Sheet) -> None:
    zone = browser_zone()
    when = f"{clock(sheet.start, zone)} to {clock(sheet.end, zone)}, {sheet.end - sheet.start:.0f} s"
    with st.container(border=True, key="window"):
        heading(f"{sheet.participant}, session {sheet.session}, at {sheet.agent}", when)
        curves = specification(sheet.curves, sheet.camera_states, browser_look())
        st.vega_lite_chart(spec=curves, width="stretch", theme=None, key="curves")
        if sheet.stills:
            st.html(pictures((jpeg, clock(taken, zone)) for taken, jpeg in sheet.stills))
            st.caption(FACELESS)


def _model(sheet: Sheet) -> Html:
    if not sheet.odds:
        return empty(f"{ABSTAINING.capitalize()}.", "No head had passed its gate when this window was scored.")
    return joined(_odds(odds) for odds in sheet.odds)


def _odds(odds: Odds) -> Html:
    def bar(name: str, share: float) -> Html:
        filled = Html(f'<i><b style="width:{100 * share:.1f}%"></b></i>')
        return tag("div", joined([tag("span", name), filled, tag("span", percent(share))]))

    spread = f"entropy {odds.entropy:.2f} nat, of it {odds.mutual_information:.2f} between the members"
    head = tag("p", joined([tag("b", odds.task), " ", muted(spread)]), "s-line")
    bars = (bar(name, share) for name, share in zip(odds.classes, odds.probabilities, strict=True))
    return joined([head, tag("div", joined(bars), "s-odds")])
