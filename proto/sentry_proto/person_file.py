"""Everything that a trainer holds of one participant, as a ZIP archive: one file of JSON Lines per kind of row."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

KINDS = ("windows", "alerts", "labels", "self_reports", "remarks", "scored_counts", "audit")
READ_ME = """What the trainer of this study holds of one participant, one JSON object a line; times are Unix seconds.

about.json            what the study declares to be for, how much there is of what, under which consent records, and
                      which model versions know of the participant
windows.jsonl         30 s each: features second by second (null where unseen), and what the models said of them
alerts.jsonl          when the probability of a state stayed above its threshold
labels.jsonl          what raters, or the participant, said of a window
self_reports.jsonl    answers about the last minute, questionnaires, and sentences
remarks.jsonl         what raters said that is no label
scored_counts.jsonl   how many windows each model version has looked at
audit.jsonl           who changed or exported something of this
"""


def pack(call: Callable[..., Any], participant: str) -> bytes:
    """Fetch it page by page and pack it.

    Args:
        call: a method of the control API, by name and parameters.
        participant: whose it is.

    Raises:
        SentryError: whatever the trainer says.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", READ_ME)
        about = {"purpose": call("study")["purpose"], **call("person", participant=participant)}
        archive.writestr("about.json", json.dumps(about, indent=1))
        for kind in KINDS:
            with archive.open(f"{kind}.jsonl", "w") as lines:
                for row in _rows(call, participant, kind):
                    lines.write(json.dumps(row).encode() + b"\n")
    return file.getvalue()


def _rows(call: Callable[..., Any], participant: str, kind: str) -> Iterator[Json]:
    after: int | None = 0
    while after is not None:
        page = call("person_rows", participant=participant, kind=kind, after=after)
        yield from page["rows"]
        after = page["after"]
