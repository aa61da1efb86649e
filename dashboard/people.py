"""The page Data and people: who is in the study, under which consent, how they answer, and one participant's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard import answers
from dashboard.connection import ask, asking, calmly
from dashboard.wording import day, day_and_time, duration
from sentry_proto import person_file
from sentry_proto.errors import SentryError
from training.active_learning.review.markup import (
    Html,
    browser_zone,
    empty,
    facts,
    heading,
    muted,
    note,
    panel,
    pill,
    table,
    tag,
)
from training.active_learning.review.words import count, plural, version

PARTITIONS = {"train": "to learn from", "holdout": "held out, to judge", None: "not labelled yet"}
BEYOND = (
    "An erasure reaches the trainer. On the lab machines, also run sentry-agent consent withdraw and delete recorded "
    "sessions; delete backups and copies that hold the person."
)


def page() -> None:
    """Draw the page."""
    calmly(_page)


def _page() -> None:
    people = ask("participants")
    if not people:
        panel("Data and people", empty("Nobody is in the study yet.", "People appear as soon as an agent sends data."))
        return
    left, right = st.columns([5, 4], gap="small")
    with left:
        panel("People", _people(people), plural(len(people), "participant"))
        calmly(answers.kept)
        calmly(_decided)
        calmly(_erasures)
    with right:
        names = [one["participant"] for one in people]
        asked = st.query_params.get("of")
        chosen = st.selectbox("Participant", names, index=names.index(asked) if asked in names else 0, key="of")
        st.query_params["of"] = chosen
        _one(ask("person", participant=chosen))


def _people(people: Sequence[Mapping[str, Any]]) -> Html:
    rows = (
        [tag("b", one["participant"]), _consent(one), count(one["windows"]), count(one["labels"]),
         count(one["self_reports"]), count(one["remarks"]), tag("span", PARTITIONS[one["partition"]], "s-nowrap")]
        for one in people
    )  # fmt: skip
    heads = ("Who", "Consent", "Windows", "Labels", "Self-reports", "Remarks", "Used")
    return table(heads, rows, frozenset({2, 3, 4, 5}))


def _consent(one: Mapping[str, Any]) -> Html:
    """What is known here: agents send nothing without a record of a consent, and answers need none."""
    if one["withdrawn"] is not None:
        return pill("warn", f"withdrawn {day(one['withdrawn'], browser_zone())}")
    return pill("good", "given") if one["windows"] or one["alerts"] else muted("not recorded yet")


def _one(person: Mapping[str, Any]) -> None:
    name, zone = person["participant"], browser_zone()
    counts = person["counts"]
    shown = ("windows", "labels", "self_reports", "remarks", "alerts")
    st.html(facts([(kind.replace("_", "-").capitalize(), count(counts[kind])) for kind in shown]))
    rows = (
        [tag("code", one["consent_id"][:12]), count(one["windows"]), day_and_time(one["first"], zone),
         day_and_time(one["last"], zone)]
        for one in person["consents"]
    )  # fmt: skip
    records = table(("Record", "Windows", "From", "To"), rows, frozenset({1}))
    none = empty("None.", "No agent has sent anything of this person.")
    panel("Consent records that data came under", records if person["consents"] else none, name)
    panel("Versions that know of this person", _versions(person["versions"]), "they go on after an erasure")
    calmly(partial(answers.of, person))
    _withdrawal(person)
    _export(name)
    _erasure(person)
    _outcome()


def _versions(versions: Sequence[Mapping[str, Any]]) -> Html:
    if not versions:
        return empty("None.", "No published version has learned from this person.")
    rows = ([tag("b", version(one["version"]).capitalize()), one["status"], one["why"]] for one in versions)
    return table(("Version", "State", "Why"), rows)


def _withdrawal(person: Mapping[str, Any]) -> None:
    name, gone = person["participant"], person["withdrawn"] is not None
    with st.container(border=True, key="window-consent"):
        heading("Consent", "noted here, beside the records on the lab machines")
        state = "given" if gone else "withdrawn"
        words = f"There is a consent of {name} again" if gone else f"{name} has withdrawn the consent"
        st.caption("From then on nothing more of this person is taken in. What is stored stays until it is erased.")
        if st.button(words, key="note consent"):
            ask("note_consent", participant=name, state=state)
            st.rerun()


def _export(name: str) -> None:
    """The file is made while it is fetched, and nothing of it is kept here."""
    with st.container(border=True, key="window-export"):
        heading("Export", "everything that is held, with features, as a ZIP of JSON Lines")
        data = partial(person_file.pack, asking(), name)
        file = f"sentry-{name}.zip"
        st.download_button(f"Export {name}", data, file, "application/zip", key="download", on_click="ignore")


def _erasure(person: Mapping[str, Any]) -> None:
    name = person["participant"]
    with st.container(border=True, key="window-erase"):
        heading("Erase", f"{name}, for good")
        if person["recorded_by"]:
            words = f"{', '.join(person['recorded_by'])} is recording {name} now."
            note("warn", words, "End that first; a person who is recorded cannot be erased.")
            return
        rows = sum(person["counts"].values())
        numbers = ", ".join(str(one["version"]) for one in person["versions"])
        known = f"These versions know of this person and go on: {numbers}"
        learned = known if numbers else "No version knows of this person"
        st.caption(f"{plural(rows, 'row')} will be deleted. {learned}. {BEYOND}")
        typed = st.text_input(f"Type {name} to confirm", key=f"erase {name}", max_chars=200)
        if st.button(f"Erase {name}", key="erase", disabled=typed != name):
            _erase(name, typed)


def _erase(name: str, typed: str) -> None:
    try:
        done = ask("erase", participant=name, confirm=typed)
    except SentryError as error:
        note("bad", "Nothing was erased:", f"{error}.")
        return
    st.session_state["erased"] = done
    st.query_params.pop("of", None)
    st.rerun()


def _outcome() -> None:
    """What the last erasure of this session did; said once more after the page has been drawn without the person."""
    done = st.session_state.get("erased")
    if not done:
        return
    numbers = ", ".join(str(one["version"]) for one in done["versions"]) or "none"
    copies = f" Still holding the person: {', '.join(done['copies'])}." if done["copies"] else ""
    rows = plural(sum(done["counts"].values()), "row")
    note("good", f"Erased: {rows}.", f"Versions that know of the person: {numbers}.{copies}")


def _decided() -> None:
    """What the study file says of all data."""
    study = ask("study")
    _purpose(study["purpose"])
    _retention(study["retention_days"])


def _purpose(purpose: str) -> None:
    with st.container(border=True, key="window-purpose"):
        heading("Purpose", "declared by the study, and stamped into every export")
        if purpose:
            st.markdown(f"**{purpose.capitalize()}**")
        else:
            st.markdown("**None is declared.** Put `purpose` into the study file of the trainer.")


def _retention(days: float | None) -> None:
    with st.container(border=True, key="window-retention"):
        heading("Retention", "counted from the arrival at the trainer")
        if days is not None:
            due = _counted(ask("expired", days=days))
            today = f"Due with the next round: {due}" if due else "Nothing is older now"
            st.markdown(f"The trainer deletes what is older than **{days:g} days**, once a day, and writes that down.")
            st.caption(f"{today}. The limit stands in the study file of the trainer.")
            return
        st.markdown("**Nothing is deleted by itself.** Put `retention_days` into the study file of the trainer.")
        limit = st.number_input("What a limit of so many days would delete", min_value=1, value=180, key="days")
        old = _counted(ask("expired", days=float(limit)))
        st.caption(f"Older than that: {old}." if old else f"Nothing is older than {plural(limit, 'day')}.")


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(plural(rows, kind.replace("_", "-").removesuffix("s")) for kind, rows in found.items() if rows)


def _erasures() -> None:
    found = ask("erasures", limit=20)
    if not found:
        return
    now = ask("status")["now"]
    rows = (
        [f"{duration(now - one['time'])} ago", count(sum(one["counts"].values())),
         ", ".join(str(entry["version"]) for entry in one["versions"]) or "none"]
        for one in found
    )  # fmt: skip
    panel("Erasures", table(("When", "Rows", "Versions that know"), rows, frozenset({1})), "without names")
