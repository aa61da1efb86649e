"""The Models page: every version, why it was let in, who runs it, two side by side, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard import learning, rollout
from dashboard.connection import ask, asking, live
from dashboard.figures import figure
from dashboard.who import who
from dashboard.wording import day_and_time, feature_name
from sentry_proto.errors import SentryError
from training.active_learning.review.markup import (
    Html,
    browser_zone,
    empty,
    heading,
    joined,
    muted,
    note,
    panel,
    pill,
    stacked,
    table,
    tag,
)
from training.active_learning.review.words import count, plural, version

REFRESH_S = 5.0
_TONES = {"current": "good", "canary": "warn", "rolled back": "bad"}
_FIGURES = {
    "balanced_accuracy": "balanced accuracy", "brier": "Brier score", "ece": "calibration error",
    "n": "windows held out", "people": "people held out",
}  # fmt: skip


def page() -> None:
    """Draw the page."""
    live(_page, REFRESH_S)
    live(_one, REFRESH_S)
    live(_card, REFRESH_S)


def _page() -> None:
    status, models, decisions, agents = ask("status"), ask("models"), ask("decisions", limit=200), ask("agents")
    if not models:
        waits = status["learner"]["waits_for"]
        lines = [f"{task.capitalize()} waits for {words}." for task, words in waits.items()]
        panel("Models", empty("No version was published yet.", " ".join(lines) or "Label windows on the Review page."))
        return
    _trial(status.get("rollout"))
    _learning(models)
    panel("Rollout", rollout.table_of(agents), rollout.summary(agents))
    panel("Versions", _versions(models, decisions, agents), "newest first")
    refused = [decision for decision in decisions if decision["verdict"] == "refused"]
    if refused:
        panel("Candidates that were refused", _refused(refused), "kept, and why")


def _trial(trial: Mapping[str, Any] | None) -> None:
    """What a trainer that tries versions on single agents first says of it."""
    words = (trial or {}).get("words")
    if words:
        note("warn", "A version is on trial.", str(words))


def _learning(models: Sequence[Mapping[str, Any]]) -> None:
    rows = learning.table_of(models)
    if not rows:
        return
    with st.container(border=True, key="window-learning"):
        heading("What versions have learned", "on people held out, of whom no version has learned")
        figure("versions", "sentry-versions", learning.drawing(rows), rows)
        mind = learning.sentence(rows)
        if mind:
            st.html(tag("p", mind, "s-how"))


def _versions(
    models: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]], agents: Sequence[Mapping[str, Any]]
) -> Html:
    zone = browser_zone()
    rows = []
    for model in models:
        mine = [decision for decision in decisions if decision["version"] == model["version"]]
        running = [agent["name"] for agent in agents if agent["seen"] and agent["model_version"] == model["version"]]
        rows.append(
            [
                stacked(tag("b", version(model["version"]).capitalize()), day_and_time(model["created"], zone)),
                pill(_TONES.get(model["status"], "quiet"), model["status"]),
                version(model["parent"]) if model["parent"] else muted("none"),
                _learned(mine),
                joined(stacked(tag("b", task), _figures(found)) for task, found in model["metrics"].items()),
                _why(mine),
                ", ".join(running) or muted("nobody"),
            ]
        )
    return table(("Version", "State", "Parent", "Learned from", "On held-out people", "Why", "Runs on"), rows)


def _learned(decisions: Sequence[Mapping[str, Any]]) -> Html:
    learned = [decision for decision in decisions if decision["labels"]]
    if not learned:
        return muted("older heads")
    most = max(learned, key=lambda decision: int(decision["labels"]))
    return stacked(plural(most["labels"], "label"), f"of {count(most['people'])} people")


def _figures(found: Mapping[str, Any]) -> str:
    words = [f"{_FIGURES[name]} {_number(found[name])}" for name in ("balanced_accuracy", "brier") if name in found]
    return ", ".join(words) or "not measured"


def _why(decisions: Sequence[Mapping[str, Any]]) -> Html:
    if not decisions:
        return muted("not recorded")
    return joined(tag("div", f"{decision['reason']}.", "s-reason") for decision in decisions)


def _refused(decisions: Sequence[Mapping[str, Any]]) -> Html:
    zone = browser_zone()
    rows = (
        [
            day_and_time(decision["time"], zone),
            decision["task"],
            f"{decision['reason']}.",
            stacked(plural(decision["labels"], "label"), f"of {count(decision['people'])} people"),
        ]
        for decision in decisions[:10]
    )
    return table(("When", "Task", "Why", "Learned from"), rows)


def _one() -> None:
    """Two versions side by side, and the way back to one of them."""
    models = {model["version"]: model for model in ask("models")}
    if not models:
        return
    numbers = list(models)
    with st.container(border=True, key="window-compare"):
        heading("Compare two versions", "on the people who were held out when each was judged")
        left, right, rest = st.columns([1, 1, 2], gap="small", vertical_alignment="bottom")
        first = left.selectbox("Version", numbers, index=min(1, len(numbers) - 1), key="first version")
        second = right.selectbox("With version", numbers, index=0, key="second version")
        st.html(_compared(models[first], models[second]))
        current = next((number for number, model in models.items() if model["status"] == "current"), None)
        if first != current and who().may("admin"):
            rest.button(f"Roll back to version {first}", key="roll back", on_click=_ask_first, args=(first,))
    if st.session_state.get("wants back") is not None:
        _confirm(int(st.session_state["wants back"]))


def _card() -> None:
    """One version's card, to read and to keep."""
    numbers = [model["version"] for model in ask("models")]
    if not numbers:
        return
    with st.container(border=True, key="window-card"):
        heading("Card", "what a version rests on, what it does in use, and what it is not")
        left, right, _ = st.columns([1, 1, 2], gap="small", vertical_alignment="bottom")
        chosen = left.selectbox("Card of version", numbers, key="card of")
        data = partial(_card_text, asking(), chosen)
        file = f"sentry-version-{chosen}.md"
        right.download_button("Download", data, file, "text/markdown", key="save card", on_click="ignore")
        if st.toggle("Read it here", key="read card"):
            st.markdown(_card_text(ask, chosen))


def _card_text(call: Callable[..., Any], number: int) -> str:
    return str(call("card", version=number)["markdown"])


def _ask_first(number: int) -> None:
    st.session_state["wants back"] = number


def _compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> Html:
    tasks = dict.fromkeys([*first["metrics"], *second["metrics"]])
    rows: list[list[object]] = []
    for task in tasks:
        told = tag("b", task)
        one, two = first["metrics"].get(task, {}), second["metrics"].get(task, {})
        for name in [*_FIGURES, *(extra for extra in one | two if extra not in _FIGURES)]:
            values = [_number(found.get(name)) for found in (one, two)]
            if any(values):
                shown = (value or muted("no head") for value in values)
                rows.append([told, _FIGURES.get(name, feature_name(name)), *shown])
                told = tag("b", "")
    if not rows:
        return empty("Neither was measured.", "")
    heads = ("Task", "Figure", *(version(model["version"]).capitalize() for model in (first, second)))
    return table(heads, rows, frozenset({2, 3}))


def _number(value: object) -> str:
    """A figure of the gate in words; nothing for what is no single number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return count(value) if isinstance(value, int) else f"{value:.3f}"


@st.dialog("Roll back?", on_dismiss="rerun")
def _confirm(number: int) -> None:
    st.write(
        f"The heads of version {number} will be published again under a new number, and every agent will run them "
        "within seconds. The labels stay; the learner goes on from there."
    )
    yes, no = st.columns(2)
    if yes.button(f"Roll back to version {number}", type="primary", width="stretch"):
        try:
            new = ask("rollback", version=number)["version"]
        except SentryError as error:
            note("bad", "Not rolled back:", f"{error}.")
            return
        st.session_state["wants back"] = None
        st.toast(f"Published as version {new}.")
        st.rerun()
    if no.button("Leave it as it is", width="stretch"):
        st.session_state["wants back"] = None
        st.rerun()
