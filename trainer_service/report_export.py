"""Self-reports as a CSV file, one row per answer, oldest first; `sentry-train sessions add-labels` reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any

from trainer_service.self_reports import SOURCE

Json = dict[str, Any]

COLUMNS = (
    "created", "participant", "task", "value", "rater", "source", "confidence", "instrument", "score", "answers",
    "words", "purpose",
)  # fmt: skip
PAGE = 1_000


def fetch(call: Callable[..., list[Json]], participant: str | None) -> list[Json]:
    """All self-reports (of one participant), asked for page by page; in the order in which they were given."""
    found: list[Json] = []
    only = {"participant": participant} if participant is not None else {}
    while True:
        before = {"before": found[-1]["row"]} if found else {}
        page = call("self_reports", limit=PAGE, **only, **before)
        found += page
        if len(page) < PAGE:
            return sorted(found, key=lambda report: (report["created"], report["row"]))


def to_csv(reports: Iterable[Json], purpose: str) -> str:
    """The file's text; the participant is the rater, the confidence is 1, the purpose is what the study declares."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for report in reports:
        answers = " ".join(map(str, report["answers"] or ()))
        said = {
            "rater": report["participant"],
            "source": SOURCE,
            "confidence": 1,
            "answers": answers,
            "purpose": purpose,
        }
        writer.writerow({**report, **said})
    return text.getvalue()
