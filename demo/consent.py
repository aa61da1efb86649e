"""Asks the person before the camera, in plain words, before anything is captured."""

from __future__ import annotations

from collections.abc import Callable

from sentry_proto.errors import ConsentMissing

PARTICIPANT = "me"

TEXT = """
Before the camera is switched on
--------------------------------
What is captured   Pictures of your face and upper body from {source}, in this computer's memory only.
What is kept       Numbers, never pictures: once a second about {features} values such as head angle, smile, brow,
                   blinks and posture, and what the model estimates from them. No pixel reaches the disk or a network.
Where              In {folder}, on this computer. {fate}
Who sees it        Whoever uses this computer. The demo opens no connection to any other machine.
What it is for     To try out a research instrument. It makes no diagnosis, and its estimates mean nothing
                   before they were calibrated with your own labels.
How to withdraw    Press Ctrl-C: the recording ends. Delete the folder to delete everything, or run
                   sentry-agent consent withdraw --participant {participant} --data-dir {agent_folder}
"""


def ask_consent(fields: dict[str, object], ask: Callable[[str], str]) -> None:
    """Show what happens to the person's data, and go on only after an explicit yes.

    Raises:
        ConsentMissing: after any other answer, or without a terminal to ask on.
    """
    print(TEXT.format(participant=PARTICIPANT, **fields))
    try:
        answer = ask("Do you consent? Type yes to begin: ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ConsentMissing("no consent was given, so nothing was captured and nothing was stored")
