"""The agent, composed: one loop from frame to record, and beside it the uplink and the updater.

source -> capture -> perception, fusion, windows -> observer (heads, alerts, selection) -> outbox -> uplink -> trainer
                                                        ^                                                       |
                                                        `------ slots <------ updater <-------------------------'
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import numpy as np

from edge_agent.approved import Approved
from edge_agent.capture import capture
from edge_agent.consent import NOT_NEEDED, PUPPET_CONSENT, STILLS, VIDEO, ConsentBook, Permit, check_participant
from edge_agent.folder import lock_folder, make_folder
from edge_agent.heads import Heads
from edge_agent.link import Link
from edge_agent.loop import Loop
from edge_agent.observer import Observer
from edge_agent.outbox import Totals
from edge_agent.preview import Preview
from edge_agent.preview_server import serving
from edge_agent.slots import Slots
from edge_agent.sources import PUPPET, Source, SourceOptions, is_live, open_source
from edge_agent.state import RunOptions, State
from edge_agent.stills import Stills
from edge_agent.watch import Watch, discard
from perception.chain import Perception
from perception.pipeline import FeaturePipeline
from perception.providers import clash, installed
from perception.schedule import EVERY_FRAME, LEVELS, Schedule
from sentry_proto.errors import InputError, SentryError
from sentry_proto.json_log import fields
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.metrics import offered
from sentry_proto.watchdog import watchdog
from training.active_learning.selection import Selector

log = logging.getLogger(__name__)


def run(
    options: RunOptions, stop: threading.Event, opener: Callable[[SourceOptions], Source] = open_source
) -> tuple[dict[str, Any], SentryError | None]:
    """Run an agent until its source ends or `stop` is set.

    Args:
        options: what is asked for.
        stop: ends the run.
        opener: opens the source.

    Returns:
        The report, and what ended the run early, if anything did.

    Raises:
        SentryError: it cannot start; the sentence says why.
    """
    check_participant(options.participant)
    selector = make_selector(options)
    key = KeyFile.load(options.key, AGENT) if options.key else None
    consents = ConsentBook(options.data_dir / "consent.json")
    permit = ask_permit(options, consents)
    with ExitStack() as stack:
        source = stack.enter_context(closing(opener(source_options(options, stop))))
        if key:
            make_folder(options.data_dir)
            stack.enter_context(lock_folder(options.data_dir))
        approved = Approved(options.data_dir / "models")
        expression = approved.start(options.provider)
        load = partial(Heads, tasks=options.tasks, backbone=expression.sha256)
        slots = Slots(options.data_dir / "bundles", load, read_only=key is None)
        state = State(heads=slots.start())
        schedule = Schedule(EVERY_FRAME if options.every_frame else LEVELS)
        preview = stack.enter_context(previewing(options, state))
        models = (
            preview.models(schedule, expression) if preview else Perception(expression=expression, schedule=schedule)
        )
        pipeline = FeaturePipeline(stack.enter_context(models), "", "")
        audit = selector.set_audit_probability
        link = Link(key, options.data_dir, options.quota, slots, state, audit, stop.set, approved) if key else None
        if link:
            stack.callback(link.outbox.close)
            link.forget(consents.withdrawn_ids())
        seen_by = expression.sha256
        observer = preview.observer(selector, seen_by) if preview else Observer(selector, seen_by)
        spool, shelve = (link.outbox.put, link.shelf.put) if link else (discard, discard)
        watch = Watch(observer, state, permit, spool, slots, shelve, Stills() if options.stills else None)
        alive = stack.enter_context(closing(watchdog()))
        frames = capture(source, stop)
        loop = Loop(
            source, frames, pipeline, watch, state, permit, options.duration, stop, schedule, alive.passed, alive.waits
        )
        figures = partial(figures_of, loop, watch)
        stack.enter_context(offering(options.metrics, figures, state, link, state.rate.value))
        trouble = "; ".join(filter(None, (slots.words, approved.words, clash(installed()))))
        log.info(
            "%s",
            start_line(options, source.name, state, expression.provider, trouble),
            extra=start_fields(options, source.name, state, expression.provider),
        )
        ended_by = drive(loop, link, consents)
        slots.confirm(state.version)
        told = report(loop, watch, state, source.name, expression.provider, link, ended_by)
        return told | {"purpose": options.purpose}, ended_by


@contextmanager
def offering(
    where: tuple[str, int] | None,
    figures: Callable[[], dict[str, Any]],
    state: State,
    link: Link | None,
    rate: Callable[[float], float],
) -> Iterator[None]:
    """Offer figures to Prometheus at a host and port, if that was asked for; `rate` is told monotonic seconds."""
    if where is None:
        yield
        return
    from edge_agent.metrics import AgentCollector  # noqa: PLC0415 - few ask for it

    totals = link.outbox.totals if link else lambda: Totals(0, 0, 0, 0)
    with offered(AgentCollector(figures, state, totals, lambda: rate(time.monotonic())), *where) as port:
        log.info("figures for Prometheus at http://%s:%d/metrics", where[0], port)
        yield


def figures_of(loop: Loop, watch: Watch) -> dict[str, Any]:
    """What was done so far."""
    return {**loop.figures(), **watch.figures()}


def drive(loop: Loop, link: Link | None, consents: ConsentBook) -> SentryError | None:
    """Run the loop and let the link drain; returns what ended it early."""
    try:
        loop.run()
    except SentryError as error:
        return error
    finally:
        if link:
            link.forget(consents.withdrawn_ids())
            link.close()
    return None


def report(
    loop: Loop,
    watch: Watch,
    state: State,
    source: str,
    provider: str,
    link: Link | None,
    ended_by: SentryError | None,
) -> dict[str, Any]:
    """The run in figures, for `--json`."""
    totals = link.outbox.totals() if link else Totals(0, 0, 0, 0)
    return {
        "source": source,
        "participant": state.participant,
        **figures_of(loop, watch),
        **vars(totals),
        "model_version": state.version,
        "update_state": state.update_state,
        "trainer": link.uplink.words if link else "none",
        "provider": provider,
        "error": str(ended_by or ""),
    }


def source_options(options: RunOptions, stop: threading.Event) -> SourceOptions:
    """The part of the options that concerns the source."""
    of = options
    return SourceOptions(of.source, of.participant, of.speed, of.fps, of.loop, stop, of.wait_for_camera)


def make_selector(options: RunOptions) -> Selector:
    """The selection rule.

    Raises:
        InputError: a probability or budget that is none.
    """
    try:
        return Selector(np.random.default_rng(), options.audit, options.budget)
    except ValueError as error:
        raise InputError(str(error)) from error


def ask_permit(options: RunOptions, consents: ConsentBook) -> Permit:
    """A live source, any uplink and any picture in a preview need the participant's consent; the puppet is nobody.

    Raises:
        ConsentMissing: if there is none.
        InputError: pictures are asked for that nobody would get.
    """
    if options.stills and options.key is None:
        raise InputError("--stills goes with --key: they are sent with windows, and kept nowhere else")
    if options.source == PUPPET:
        return Permit(consents, None, PUPPET_CONSENT)
    needed = is_live(options.source) or options.key is not None or options.preview_picture
    who = options.participant if needed else None
    extras = ((VIDEO, options.preview_picture), (STILLS, options.stills))
    return Permit(consents, who, NOT_NEEDED, [name for name, wanted in extras if wanted])


@contextmanager
def previewing(options: RunOptions, state: State) -> Iterator[Preview | None]:
    """The live preview, if one is wished for.

    Raises:
        InputError: there is no preview that could show the picture.
        PeerUnreachable: its port is taken.
    """
    if options.preview is None:
        if options.preview_picture:
            raise InputError("--preview-picture goes with --preview")
        yield None
        return
    preview = Preview(state, options.preview_picture)
    with serving(preview, options.preview) as address:
        log.info("live preview at %s", address)
        yield preview


def start_line(options: RunOptions, source: str, state: State, provider: str, trouble: str) -> str:
    """What everybody in the room should know."""
    who = "the puppet" if options.source == PUPPET else f"participant {options.participant}"
    model = f"model version {state.version}" if state.heads else "no model yet"
    where = "features go to the trainer" if options.key else "nothing leaves this process"
    pictures = "small PICTURES without the face go with some of them" if options.stills else "no picture is kept"
    line = f"RECORDING {who} from {source}: {model}, expressions on {provider}, {where}; {pictures}."
    line += f" Declared purpose: {options.purpose}." if options.purpose else ""
    return f"{line} Note: {trouble}." if trouble else line


def start_fields(options: RunOptions, source: str, state: State, provider: str) -> dict[str, dict[str, object]]:
    """The same for a program that reads logs."""
    return fields(
        participant=PUPPET if options.source == PUPPET else options.participant,
        watched=source,
        model_version=state.version,
        provider=provider,
        load_level=0,
        purpose=options.purpose,
    )
