"""What a run has drawn is not forgotten when the next one begins, in Streamlit's own session without a browser."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime import Runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.script_data import ScriptData
from streamlit.runtime.scriptrunner.script_cache import ScriptCache

from dashboard.runs import let_runs_end

PATIENCE_S = 20.0
SCRIPT = """
import streamlit as st

def clicked():
    st.text("verdict stored")

def timed():
    st.text("a timer ran")

st.fragment(clicked)()
st.fragment(timed)()
"""


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Streamlit's own tests of a page have it."""
    monkeypatch.setattr(Runtime, "_instance", MagicMock())


@pytest.fixture
def repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppSession, "_create_scriptrunner", AppSession._create_scriptrunner)  # put back afterwards
    let_runs_end()


async def drawn(session: AppSession) -> list[tuple[str, str]]:
    """Wait for the run in progress; fragments and texts that it, and those before it, had for the browser."""
    deadline = time.monotonic() + PATIENCE_S
    while session._scriptrunner is not None:
        assert time.monotonic() < deadline, "the run does not end"
        await asyncio.sleep(0.01)
    messages = session.flush_browser_queue()
    deltas = [one.delta for one in messages if one.delta.new_element.HasField("text")]
    return [(one.fragment_id, one.new_element.text.body) for one in deltas]


async def a_timer_right_after_a_click(script: Path) -> list[str]:
    """What the browser is told when a timer's rerun is handled while a click's run has ended in its thread."""
    session = AppSession(ScriptData(str(script), False), MemoryUploadedFileManager(""), ScriptCache(), None, {})
    session.request_rerun(ClientState())
    (click, _), (timer, _) = await drawn(session)
    session.request_rerun(ClientState(fragment_id=click))
    runner = session._scriptrunner
    assert runner is not None
    assert runner._script_thread is not None
    runner._script_thread.join(PATIENCE_S)  # this loop is as busy as on a loaded machine
    for _ in range(2):
        session.request_rerun(ClientState(fragment_id=timer, is_auto_rerun=True))
    return [words for _, words in await drawn(session)]


@pytest.mark.usefixtures("repaired")
def test_a_click_is_answered_although_a_timer_ran_right_after_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    said = asyncio.run(a_timer_right_after_a_click(script))
    assert said[:2] == ["verdict stored", "a timer ran"]


def test_streamlit_still_needs_the_repair(tmp_path: Path) -> None:
    """Once this fails, `dashboard/runs.py` can go."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert "verdict stored" not in asyncio.run(a_timer_right_after_a_click(script))
