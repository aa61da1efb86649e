"""What a participant's page may say, and how it is read. Pure: text in, message out, or an error.

page -> agent                                  agent -> page
hello    token or secret                       information  text, version, study's participant
consent  version of the text agreed to         welcome      secret (once), state
offer    SDP                                   answer       SDP
pause, resume, stop, withdraw                  status       state, camera, seconds
                                               again        connect anew: the stream lags behind
                                               refused, ended   reason
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sentry_proto.errors import MalformedMessage

MOST_BYTES = 64 << 10
"""Of a message; an offer for one video track takes about 6 KB."""

TEXTS = {"hello": ("token", "secret"), "consent": ("version",), "offer": ("sdp",)}
"""The text fields of each kind of message; of the two of a greeting one is enough."""

KINDS = (*TEXTS, "pause", "resume", "stop", "withdraw")


@dataclass(frozen=True)
class Said:
    """A message of the page; fields that its kind does not have are empty."""

    kind: str
    token: str = ""
    secret: str = ""
    version: str = ""
    sdp: str = ""


def read(text: str | bytes) -> Said:
    """Decode a message.

    Raises:
        MalformedMessage: it is none.
    """
    if len(text) > MOST_BYTES:
        raise MalformedMessage(f"a message of {len(text)} bytes is too long")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("a message is no JSON") from error
    kind = raw.get("type") if isinstance(raw, dict) else None
    if kind not in KINDS:
        raise MalformedMessage("a message has no known type")
    fields = {name: raw.get(name, "") for name in TEXTS.get(kind, ())}
    if not all(isinstance(value, str) for value in fields.values()) or (fields and not any(fields.values())):
        raise MalformedMessage(f"a message of type {kind} lacks {' or '.join(fields)}")
    if kind == "offer":
        _check_offer(fields["sdp"])
    return Said(kind, **fields)


def _check_offer(sdp: str) -> None:
    """Whatever else is offered would be decoded, and wait for ever for someone who takes it."""
    media = [line for line in sdp.splitlines() if line.startswith("m=")]
    if len(media) != 1 or not media[0].startswith("m=video"):
        raise MalformedMessage(f"an offer must hold one video and nothing else; this one has {len(media)} parts")


def write(kind: str, **fields: Any) -> str:
    """Encode a message to the page."""
    return json.dumps({"type": kind, **fields})
