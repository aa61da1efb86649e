"""Heartbeats: whatever the agent has to say, the trainer can read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.outbox import Outbox
from edge_agent.state import State, heartbeat
from sentry_proto.codec import decode_agent_frame, encode_agent_frame
from sentry_proto.limits import MAX_WORDS


@pytest.mark.parametrize("words", ["", "current", "refused: a\nb\tc", "x" * 3 * MAX_WORDS, "caf\u00e9 \u2028\x00"])
def test_any_words_arrive(tmp_path: Path, words: str) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    beat = heartbeat(State(update_state=words, error=words), outbox)
    assert decode_agent_frame(encode_agent_frame(beat)) == beat
    assert len(beat.error) <= MAX_WORDS
    assert bool(beat.error) is bool(words)
    outbox.close()
