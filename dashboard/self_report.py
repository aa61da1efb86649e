"""The self-report page: what participants say of themselves, with one click a minute, and two questionnaires.

It is made to be left open in front of a participant, who comes by a link of the own (`?link=`); a rater may type whose
answers they take down. It confirms an answer only when the trainer has stored it. It shows no estimate, and unless the
study says so no score and no level: these would change the next answer, and are no diagnosis.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import streamlit as st

from dashboard.connection import asking, asking_with, is_open, live
from dashboard.diary import SENTENCE, Ask, Diary
from dashboard.who import who
from dashboard.wording import day
from sentry_proto.limits import MAX_TEXT
from sentry_proto.questionnaires import Questionnaire
from sentry_proto.tasks import FOCUS, STRESS, Task
from training.active_learning.review.markup import browser_zone, heading, joined, note, tag
from training.active_learning.review.words import clock, plural

REFRESH_S = 2.0
MOST_WORDS = 1_000
MINUTE = "minute"

QUESTIONS = {
    STRESS.name: "How stressed were you in the last minute?",
    FOCUS.name: "How focused were you in the last minute?",
}
MEANINGS = {(FOCUS.name, "1"): "1, not at all", (FOCUS.name, "5"): "5, completely"}

TERMS = (
    "Your pseudonym, the time, the answers you clicked and the sentences you wrote are kept by the trainer of this "
    "study, nothing else. Answers about the last minute teach it what that minute of your recording looked like. "
    "Questionnaires are added up for the people who run the study. They also read what you wrote, and when they did is "
    "kept, too. Please name nobody in a sentence.",
    "Nothing here is a diagnosis, and do not count on anybody reading your answers at once. If you are not well, "
    "please speak with the people who run the study, or with a doctor.",
    "PHQ-8 and GAD-7 were developed by Drs. Robert L. Spitzer, Janet B.W. Williams, Kurt Kroenke and colleagues, with "
    "an educational grant from Pfizer Inc. No permission is required to reproduce, translate, display or distribute "
    "them.",
)


def page() -> None:
    """Draw the page."""
    with st.container(key="self-report"):
        link = st.query_params.get("link", "").strip()[:MAX_TEXT]
        if link:
            _of(link, asking_with(link), {})
        elif is_open() or who().may("rater"):
            _typed()
        else:
            st.html(tag("h1", "This page needs your own link", "s-title"))
            note(
                "quiet",
                "Please open the link that you were given.",
                "The people who run the study can make you another.",
            )
        st.html(tag("section", joined([tag("h2", "What is stored"), *(tag("p", words) for words in TERMS)]), "s-terms"))


def _typed() -> None:
    """The participant in the address, or the one that is typed, who then stands in the address too."""
    known = st.query_params.get("participant", "").strip()[:MAX_TEXT]
    if known:
        _of(known, asking(), {"participant": known})
        return
    st.html(tag("h1", "Who are you?", "s-title"))
    with st.container(key="pseudonym"):
        st.text_input(
            "The pseudonym that was given for this study",
            key="participant",
            max_chars=MAX_TEXT,
            placeholder="such as P07",
            on_change=_remember,
        )
    st.caption("Press Enter to begin. Participants who answer alone get a link of their own, on Data and people.")


def _remember() -> None:
    st.query_params["participant"] = st.session_state["participant"].strip()


def _of(name: str, ask: Ask, whose: dict[str, str]) -> None:
    """The page of one participant, whom a link or a typed name stands for."""
    diary: Diary | None = st.session_state.get(_place(name))
    if diary is None:
        live(partial(_begin, name, ask, whose), REFRESH_S)
        return
    left, right = st.columns([5, 2], gap="small", vertical_alignment="center")
    left.html(tag("h1", joined(["Answers of ", tag("b", diary.participant)]), "s-title"))
    if whose:
        with right.container(key="somebody-else", horizontal=True, horizontal_alignment="right"):
            st.button("I am somebody else", type="tertiary", on_click=_leave, args=(name, diary, ask))
    _sitting(diary, ask)


def _place(name: str) -> str:
    return f"diary of {name}"


def _leave(name: str, diary: Diary, ask: Ask) -> None:
    """Leave nothing to the next person: no draft, and no answer that waits, so with one the page stays."""
    diary.deliver(ask)
    if not diary.waiting:
        del st.session_state[_place(name)]
        del st.query_params["participant"]


def _begin(name: str, ask: Ask, whose: dict[str, str]) -> None:
    st.session_state[_place(name)] = Diary.begin(ask("answer_sheet", **whose), time.time())
    st.rerun()


def _sitting(diary: Diary, ask: Ask) -> None:
    forms = {questionnaire.name: questionnaire for questionnaire in diary.questionnaires}
    shown = _chosen(diary, forms) if forms else MINUTE
    st.fragment(_notice, run_every=REFRESH_S)(diary, ask, shown == MINUTE)
    if shown == MINUTE:
        for task in diary.minutes:
            _question(diary, task)
        _sentence(diary)
    else:
        _form(diary, forms[shown])


def _chosen(diary: Diary, forms: Mapping[str, Questionnaire]) -> str:
    """What to answer, which stands in the address, too."""
    names = [MINUTE, *forms]
    asked = st.query_params.get("form")
    shown = st.segmented_control(
        "What to answer",
        names,
        default=asked if asked in names else names[0],
        key="form",
        required=True,
        label_visibility="collapsed",
        format_func=partial(_tab, diary, forms),
    )
    st.query_params["form"] = str(shown)
    return str(shown)


def _tab(diary: Diary, forms: Mapping[str, Questionnaire], name: str) -> str:
    if name == MINUTE:
        return "The last minute" if diary.minutes else "In your own words"
    return f"{forms[name].title}, due" if diary.is_due(name, time.time()) else forms[name].title


def _notice(diary: Diary, ask: Ask, about_minutes: bool) -> None:
    """One line on how things stand; it also sends what was answered, again and again if need be."""
    if diary.waiting and diary.deliver(ask):
        st.rerun()
    about = about_minutes and bool(diary.minutes)
    said = diary.trouble() or (diary.minute_notice(time.time()) if about else None)
    if said:
        note(said.tone, said.first, said.second)


def _question(diary: Diary, task: Task) -> None:
    with st.container(border=True, key=f"question-{task.name}", gap="small"):
        given = diary.stored.get(task.name)
        aside = f"last answer stored: {_at(given)}" if given else ""
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


def _sentence(diary: Diary) -> None:
    """A sentence in the own words; its field is a new one after each that was taken down."""
    with st.container(border=True, key="question-sentence", gap="small"):
        given = diary.stored.get(SENTENCE)
        heading(
            "Is there anything you would like to add?", f"last sentence stored: {_at(given)}" if given else "optional"
        )
        number = st.session_state.get(f"sentences of {diary.participant}", 0)
        key = f"sentence {number} of {diary.participant}"
        left, right = st.columns([5, 2], gap="small", vertical_alignment="bottom")
        left.text_area(
            "A sentence in your own words", key=key, max_chars=MOST_WORDS, height=72, label_visibility="collapsed"
        )
        right.button("Send it", width="stretch", on_click=_said, args=(diary, key, number))


def _said(diary: Diary, key: str, number: int) -> None:
    diary.say(str(st.session_state.get(key, "")), time.time())
    st.session_state[f"sentences of {diary.participant}"] = number + 1


def _at(given: float) -> str:
    return clock(given, browser_zone())


def _form(diary: Diary, form: Questionnaire) -> None:
    now = time.time()
    if diary.waits(form.name):
        return
    started = form.name in diary.drafts
    if form.name in diary.stored or not (diary.is_due(form.name, now) or started):
        _not_now(diary, form)
        return
    with st.container(border=True, key=f"form-{form.name}", gap=None):
        heading(form.title, _turn(diary, form.name, now))
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


def _not_now(diary: Diary, form: Questionnaire) -> None:
    """What stands in the place of a form that was filled in, or is not due."""
    turn = diary.turns[form.name]
    comes = f"It is asked every {plural(round(turn.every_days), 'day')}; next on {day(turn.due, browser_zone())}."
    if form.name in diary.stored:
        note("good", "Stored.", f"Your answers to {form.title} were stored at {_at(diary.stored[form.name])}. {comes}")
        again = "Fill it in once more"
    else:
        note("good", f"{form.title} is not due.", comes)
        again = "Fill it in now all the same"
    result = diary.results.get(form.name)
    if result:
        st.html(
            tag("p", f"Your last answers add up to {result['score']} of {form.highest}: {result['level']}.", "s-asked")
        )
    st.button(again, type="tertiary", on_click=diary.again, args=(form.name,))


def _turn(diary: Diary, name: str, now: float) -> str:
    """Since when a form is due."""
    due, zone = diary.turns[name].due, browser_zone()
    if due > now:
        return f"not due before {day(due, zone)}"
    return "due today" if day(due, zone) == day(now, zone) else f"due since {day(due, zone)}"


def _item(diary: Diary, form: Questionnaire, item: int) -> None:
    """One item; what is chosen goes to the draft, since Streamlit forgets a form that is not shown."""
    draft = diary.drafts.setdefault(form.name, {})
    key = f"{form.name} {item} of {diary.participant}"
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
