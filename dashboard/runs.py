"""A repair of Streamlit: what a run has drawn reaches the browser although a timer's run begins in that very moment.

A run ends in a thread of its own, and what it drew then waits its turn on the event loop. If a rerun is handled there
just before, Streamlit starts a new runner and ignores all that the ended one has still to say: a verdict is stored,
and the page goes on showing the alert as if the click had got lost. It is rare, and the rarer the less busy a machine
is, but every page here has timers, and what a rater does not see is done again.
"""

from __future__ import annotations

from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData


def let_runs_end() -> None:
    """From now on a session starts a new runner only after it has heard out the one that has ended."""
    start = AppSession._create_scriptrunner

    def start_afterwards(session: AppSession, asked: RerunData) -> None:
        ended = session._scriptrunner

        def begin() -> None:
            runner = session._scriptrunner
            if session._state is AppSessionState.SHUTDOWN_REQUESTED:
                return
            if runner is None or runner is ended:
                start(session, asked)
            elif not runner.request_rerun(asked):
                start_afterwards(session, asked)

        if ended is None:
            start(session, asked)
        else:  # all that it has to say was put on the loop before it could refuse a request
            session._event_loop.call_soon(begin)

    AppSession._create_scriptrunner = start_afterwards  # type: ignore[assignment,method-assign]
