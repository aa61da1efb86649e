"""The self-report page: what participants say of themselves, with one click a minute, and two questionnaires.

It is made to be left open in front of a participant. It confirms an answer only when the trainer has stored it, and it
shows no estimate, no score and no level: these would change the next answer, and are no diagnosis.
"""

from __future__ import annotations

import time
from functools import partial

import streamlit as st

from dashboard.connection import ask, live
from dashboard.diary import Diary
from sentry_proto.limits import MAX_TEXT
from sentry_proto.questionnaires import Questionnaire
from sentry_proto.tasks import FOCUS, STRESS, Task, tasks_from_json
from training.active_learning.review.markup import browser_zone, empty, heading, joined, note, tag
from training.active_learning.review.words import clock

REFRESH_S = 2.0
EARLIER = 200
MINUTE = "minute"

QUESTIONS = {
    STRESS.name: "How stressed were you in the last minute?",
    FOCUS.name: "How focused were you in the last minute?",
}
MEANINGS = {(FOCUS.name, "1"): "1, not at all", (FOCUS.name, "5"): "5, completely"}

TERMS = (
    "Your pseudonym, the time and the answer you clicked are kept by the trainer of this study, nothing else. Answers "
    "about the last minute teach it what that minute of your recording looked like. Questionnaires are added up for "
    "the people who run the study.",
    "Nothing here is a diagnosis, and do not count on anybody reading your answers at once. If you are not well, "
    "please speak with the people who run the study, or with a doctor.",
    "PHQ-8 and GAD-7 were developed by Drs. Robert L. Spitzer, Janet B.W. Williams, Kurt Kroenke and colleagues, with "
    "an educational grant from Pfizer Inc. No permission is required to reproduce, translate, display or distribute "
    "them.",
)


def page() -> None:
    """Draw the page."""
    with st.container(key="self-report"):
        participant = _who()
        diary: Diary | None = st.session_state.get(f"diary of {participant}")
        if diary:
            _sitting(diary)
        elif participant:
            live(partial(_begin, participant), REFRESH_S)
        st.html(tag("section", joined([tag("h2", "What is stored"), *(tag("p", words) for words in TERMS)]), "s-terms"))


def _who() -> str:
    """The participant in the address, or the one that is typed, who then stands in the address too."""
    known = st.query_params.get("participant", "").strip()[:MAX_TEXT]
    if known:
        left, right = st.columns([5, 2], gap="small", vertical_alignment="center")
        left.html(tag("h1", joined(["Answers of ", tag("b", known)]), "s-title"))
        with right.container(key="somebody-else", horizontal=True, horizontal_alignment="right"):
            st.button("I am somebody else", type="tertiary", on_click=_forget)
        return known
    st.html(tag("h1", "Who are you?", "s-title"))
    with st.container(key="pseudonym"):
        st.text_input(
            "The pseudonym that you were given for this study",
            key="participant",
            max_chars=MAX_TEXT,
            placeholder="such as P07",
            on_change=_remember,
        )
    st.caption("Press Enter to begin. A link that ends in ?participant=P07 begins at once.")
    return ""


def _remember() -> None:
    st.query_params["participant"] = st.session_state["participant"].strip()


def _forget() -> None:
    del st.query_params["participant"]


def _begin(participant: str) -> None:
    tasks = tasks_from_json(ask("status")["tasks"])
    earlier = ask("self_reports", participant=participant, limit=EARLIER)
    st.session_state[f"diary of {participant}"] = Diary.begin(participant, tasks, earlier, time.time())
    st.rerun()


def _sitting(diary: Diary) -> None:
    forms = {questionnaire.name: questionnaire for questionnaire in diary.questionnaires}
    names = [*([MINUTE] if diary.minutes else []), *forms]
    if not names:
        st.html(empty("There is nothing to answer.", "No task of this study is reported by participants."))
        return
    asked = st.query_params.get("form")
    shown = st.segmented_control(
        "What to answer",
        names,
        default=asked if asked in names else names[0],
        key="form",
        required=True,
        label_visibility="collapsed",
        format_func=lambda name: forms[name].title if name in forms else "The last minute",
    )
    st.query_params["form"] = str(shown)
    st.fragment(_notice, run_every=REFRESH_S)(diary, shown == MINUTE)
    if shown == MINUTE:
        for task in diary.minutes:
            _question(diary, task)
    else:
        _form(diary, forms[str(shown)])


def _notice(diary: Diary, about_minutes: bool) -> None:
    """One line on how things stand; it also sends what was answered, again and again if need be."""
    if diary.waiting and diary.deliver(ask):
        st.rerun()
    said = diary.trouble() or (diary.minute_notice(time.time()) if about_minutes else None)
    if said:
        note(said.tone, said.first, said.second)


def _question(diary: Diary, task: Task) -> None:
    with st.container(border=True, key=f"question-{task.name}", gap="small"):
        given = diary.stored.get(task.name)
        aside = f"last answer stored: {clock(given, browser_zone())}" if given else ""
        heading(QUESTIONS.get(task.name, f"Which {task.name} fits the last minute?"), aside)
        for place, value in zip(st.columns(len(task.classes), gap="small"), task.classes, strict=True):
            place.button(
                MEANINGS.get((task.name, value), value.capitalize()),
                key=f"{task.name} {value}",
                width="stretch",
                on_click=_answered,
                args=(diary, task.name, value),
            )


def _answered(diary: Diary, task: str, value: str) -> None:
    diary.answer(task, value, time.time())


def _form(diary: Diary, form: Questionnaire) -> None:
    if diary.waits(form.name):
        return
    if form.name in diary.stored:
        when = clock(diary.stored[form.name], browser_zone())
        note("good", "Stored.", f"Your answers to {form.title} were stored at {when}. Thank you.")
        st.button("Fill it in once more", type="tertiary", on_click=diary.again, args=(form.name,))
        return
    with st.container(border=True, key=f"form-{form.name}", gap=None):
        heading(form.title, "once in each session")
        st.html(tag("p", form.instruction, "s-asked"))
        st.html(tag("div", tag("div", joined(tag("span", words) for words in form.answers)), "s-scale"))
        for item in range(len(form.items)):
            _item(diary, form, item)
    left, right = st.columns([5, 2], gap="small", vertical_alignment="center")
    done = len(diary.drafts.get(form.name, {}))
    left.caption(f"{done} of {len(form.items)} answered")
    right.button(
        "Send my answers",
        type="primary",
        width="stretch",
        disabled=done < len(form.items),
        on_click=_handed_in,
        args=(diary, form),
    )


def _item(diary: Diary, form: Questionnaire, item: int) -> None:
    """One item; what is chosen goes to the draft, since Streamlit forgets a form that is not shown."""
    draft = diary.drafts.setdefault(form.name, {})
    key = f"{form.name} {item}"
    if key not in st.session_state:
        st.session_state[key] = draft.get(item)
    chosen = st.radio(
        f"{item + 1}. {form.items[item]}",
        range(len(form.answers)),
        index=None,
        key=key,
        format_func=form.answers.__getitem__,
        horizontal=True,
        width="stretch",
    )
    if chosen is not None:
        draft[item] = chosen


def _handed_in(diary: Diary, form: Questionnaire) -> None:
    diary.hand_in(form, time.time())
