"""The learner's own process: fitting must never make an agent wait for its ack.

It ends with its parent, however that ends, and whatever it is doing then.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from sentry_proto.errors import EnvironmentFault
from sentry_proto.tasks import Task
from trainer_service.database import Database
from trainer_service.jobs import Failure, Job, Outcome

log = logging.getLogger(__name__)

PATIENCE_S = 900.0
LOOK_S = 1.0

NICENESS = 10
"""Of the process: agents and pages, which somebody waits for, go first on a busy machine."""


class LearnerFailed(EnvironmentFault):
    """The worker could not do a job."""


class Worker:
    """A process that does jobs; started anew if it has died.

    Args:
        database: where the store is.
        tasks: what the heads estimate.
        backbone: digest of the expression model that agents run, empty for the shipped one.
        patience_s: how long one job may take.

    Attributes:
        on_wait: called every second while a job is waited for.
    """

    def __init__(
        self, database: Database, tasks: Sequence[Task], backbone: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        self._patience_s = patience_s
        self.on_wait: Callable[[], None] = lambda: None
        self._arguments = (database, tuple(tasks), backbone)
        self._spawn = multiprocessing.get_context("spawn")
        self._closed = False
        self._start()

    def _start(self) -> None:
        # Small matrices on a shared machine: more threads would only wait for one another.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self._pipe, theirs = self._spawn.Pipe()
        self._process = self._spawn.Process(
            target=_main, args=(theirs, *self._arguments), name="sentry-learner", daemon=True
        )
        self._process.start()
        theirs.close()

    def ask(self, job: Job) -> Outcome:
        """Have one job done; call from one thread only.

        Raises:
            LearnerFailed: if it failed or the process died.
        """
        if not self._process.is_alive() and not self._closed:
            self._start()
        try:
            self._pipe.send(job)
            self._wait()
            answer: Outcome | Failure = self._pipe.recv()
        except (OSError, EOFError) as error:
            raise LearnerFailed("the learner's process has ended unexpectedly") from error
        if isinstance(answer, Failure):
            raise LearnerFailed(answer.words)
        return answer

    def _wait(self) -> None:
        """Until there is an answer or the process has ended; one that takes too long is ended."""
        deadline = time.monotonic() + self._patience_s
        while not self._pipe.poll(LOOK_S):
            self.on_wait()
            if time.monotonic() > deadline:
                self._process.kill()
                self._process.join()
                raise LearnerFailed(f"the learner's process gave no answer in {self._patience_s:g} s and was ended")

    def close(self) -> None:
        """End the process at once; a job in progress fails."""
        self._closed = True
        self._process.kill()
        self._process.join()


def _main(pipe: Connection, database: Database, tasks: Sequence[Task], backbone: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # Imported here, because the parent imports this module and must stay without torch.
    from trainer_service.fitting import Workbench  # noqa: PLC0415
    from trainer_service.store import Store  # noqa: PLC0415

    bench = Workbench(Store(database), tasks, backbone)
    bench.warm_up()
    with contextlib.suppress(EOFError):  # the parent was killed
        while True:
            pipe.send(_do(bench.do, pipe.recv()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _do(work: Callable[[Job], Outcome], job: Job) -> Outcome | Failure:
    try:
        return work(job)
    except Exception as error:
        log.exception("a job of the learner failed")
        return Failure(f"{type(error).__name__}: {error}")
