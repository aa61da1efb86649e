"""The Audit log page: who changed what, and when; with a filter, and as CSV."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard.connection import ask, asking, calmly
from dashboard.wording import day_and_time
from training.active_learning.review.markup import Html, browser_zone, empty, muted, panel, table, tag
from training.active_learning.review.words import plural

SHOWN, PAGE = 200, 1_000
SPANS = {"the last day": 1, "the last week": 7, "the last 30 days": 30, "all of it": None}
WORDS = {
    "label": "labelled", "withdraw": "took a label back", "remark": "remarked", "withdraw_remark": "took a remark back",
    "import_labels": "imported labels", "self_report": "answered", "apply_threshold": "applied a threshold",
    "retrain": "asked for a run", "rollback": "rolled back", "sign_in": "signed in", "sign_out": "signed out",
    "add_account": "added an account", "remove_account": "removed an account", "set_password": "set a password",
    "note_consent": "noted a consent", "export": "exported a person", "erase": "erased a person",
    "self_reports": "read answers", "make_link": "made a link", "revoke_link": "ended a link",
    "retention": "deleted what was too old", "restore": "restored a backup", "init": "made all keys",
    "enroll": "enrolled", "revoke": "revoked a key", "rotate": "replaced keys", "approve": "approved a model",
}  # fmt: skip
COLUMNS = ("row", "time", "actor", "role", "action", "target", "participant", "details", "purpose")

Json = dict[str, Any]


def page() -> None:
    """Draw the page."""
    calmly(_page)


def _page() -> None:
    where = _filters()
    found = ask("audit_log", limit=SHOWN, **where)
    more = "the newest " if len(found) == SHOWN else ""
    if not found:
        words = "Every label, publication, deletion, key and account that changes is here. Choose a longer time above."
        panel("Audit log", empty("Nothing was changed.", words))
        return
    panel("Audit log", _table(found), f"{more}{plural(len(found), 'change')}, newest first")
    data = partial(_file, asking(), where)
    st.download_button("Download as CSV", data, "sentry-audit.csv", "text/csv", key="save log", on_click="ignore")


def _filters() -> Json:
    first, second, third, fourth = st.columns(4, gap="small")
    span = first.selectbox("When", list(SPANS), index=1, key="log span")
    action = second.selectbox("What", [None, *WORDS], key="log action", format_func=_named)
    actor = third.text_input("Who", key="log actor", placeholder="an account, exactly", max_chars=80).strip()
    person = fourth.text_input("About whom", key="log person", placeholder="a participant", max_chars=200).strip()
    days = SPANS[span]
    asked: Json = {"action": action, "actor": actor or None, "participant": person or None}
    asked |= {"since": time.time() - 86_400 * days if days is not None else None}
    return {name: value for name, value in asked.items() if value is not None}


def _named(action: str | None) -> str:
    return "everything" if action is None else WORDS[action]


def _table(entries: Sequence[Mapping[str, Any]]) -> Html:
    zone = browser_zone()
    rows = (
        [day_and_time(one["time"], zone), _who(one), WORDS.get(one["action"], one["action"]), one["target"][:24],
         one["participant"] or "", one["details"]]
        for one in entries
    )  # fmt: skip
    return table(("When", "Who", "Did", "Target", "About", "Details"), rows)


def _who(one: Mapping[str, Any]) -> Html:
    if one["actor"]:
        return tag("b", one["actor"])
    return muted("the participant" if one["action"] == "self_report" else "nobody signed in")


def _file(call: Callable[..., Any], where: Mapping[str, Any]) -> str:
    """All entries that were chosen, fetched page by page when somebody wants the file."""
    found: list[Json] = []
    while True:
        before = {"before": found[-1]["row"]} if found else {}
        page = call("audit_log", limit=PAGE, **where, **before)
        found += page
        if len(page) < PAGE:
            return to_csv(found, call("study")["purpose"])


def to_csv(entries: Sequence[Mapping[str, Any]], purpose: str) -> str:
    """The entries as a file, in their order, with the study's declared purpose; times are ISO 8601 in UTC."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry["time"]))
        writer.writerow({**entry, "time": when, "purpose": purpose})
    return text.getvalue()
