"""What a page may say: a table of what is taken, and of what ends the connection."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.webrtc.messages import MOST_BYTES, Said, read, write
from sentry_proto.errors import MalformedMessage

GOOD = [
    ('{"type": "hello", "token": "t"}', Said("hello", token="t")),
    ('{"type": "hello", "secret": "s"}', Said("hello", secret="s")),
    ('{"type": "consent", "version": "v"}', Said("consent", version="v")),
    ('{"type": "offer", "sdp": "v=0\\r\\nm=video 9"}', Said("offer", sdp="v=0\r\nm=video 9")),
    ('{"type": "stop", "more": 1}', Said("stop")),
]
BAD = [
    "",
    "{",
    "[]",
    "null",
    "[" * 10_000,
    '{"type": 3}',
    '{"type": ["stop"]}',
    '{"type": "status"}',
    '{"type": "hello"}',
    '{"type": "hello", "token": 7}',
    '{"type": "hello", "token": "", "secret": ""}',
    '{"type": "consent", "version": null}',
    '{"type": "offer", "sdp": "m=video 9\\r\\nm=audio 9"}',
    '{"type": "offer", "sdp": "v=0"}',
    '{"type": "offer", "sdp": "m=audio 9"}',
    '{"type": "offer", "sdp": "m=video 9\\r\\nm=video 9"}',
    '{"type": "offer", "sdp": "m=video 9\\u2028m=video 9"}',
    '{"type": "offer", "sdp": "m=video 9\\r\\nm=application 9"}',
    '{"type": "offer", "sdp": "v=0 m=video"}',
    json.dumps({"type": "offer", "sdp": "x" * MOST_BYTES}),
]


@pytest.mark.parametrize(("text", "said"), GOOD)
def test_what_is_taken(text: str, said: Said) -> None:
    assert read(text) == said


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_not(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read(text)


@given(st.one_of(st.text(), st.binary()))
def test_anything_else_is_an_error_of_the_page(text: str | bytes) -> None:
    with pytest.raises(MalformedMessage):
        read(text)


def test_what_the_agent_says_is_json_with_its_type() -> None:
    assert json.loads(write("status", frames=3)) == {"type": "status", "frames": 3}
