"""`sentry-agent webrtc`, composed: participants' browsers in, and the same observation, spool and trainer as ever.

browser -> page, link, consent -> visit -> stream -> booth (perception, baseline, heads, alerts, selection)
browser -> ...                 -> visit -> stream -> booth ------------------------------'--> outbox -> trainer
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiortc.rtcicetransport import parse_stun_turn_uri

from edge_agent.app import make_selector, offering
from edge_agent.approved import Approved
from edge_agent.consent import ConsentBook
from edge_agent.folder import lock_folder, make_folder
from edge_agent.heads import Heads
from edge_agent.link import Link
from edge_agent.slots import Slots
from edge_agent.state import RunOptions, State
from edge_agent.stats import FrameRate
from edge_agent.watch import discard
from edge_agent.webrtc.booth import Kit, scheduled
from edge_agent.webrtc.invites import InviteBook
from edge_agent.webrtc.lobby import House, Lobby
from edge_agent.webrtc.server import Server
from edge_agent.webrtc.visit import Visit
from perception.chain import Perception
from perception.providers import clash, installed
from perception.schedule import Schedule
from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError
from sentry_proto.json_log import fields
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.types import CameraState
from sentry_proto.watchdog import watchdog
from training.active_learning.selection import Selector

log = logging.getLogger(__name__)

SOURCE = "webrtc"
DEFAULT_PORT = 8480
MOST_TEXT = 20_000


@dataclass(frozen=True)
class ServeOptions:
    """What `sentry-agent webrtc` was asked to do.

    Attributes:
        run: data folder, key, tasks and selection, as for any run; each participant has a pseudonym from their link.
        host, port: to listen on.
        cert, cert_key: PEM files for HTTPS.
        proxied: whether something before this agent speaks HTTPS for it.
        ice: a JSON file of STUN and TURN servers; none are asked without it.
        information: a text file that replaces what participants read before they agree.
        hours: for which a consent holds.
        most: participants at once.
    """

    run: RunOptions
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    cert: Path | None = None
    cert_key: Path | None = None
    proxied: bool = False
    ice: Path | None = None
    information: Path | None = None
    hours: float = 8.0
    most: int = 4


def serve(
    options: ServeOptions, stop: threading.Event, perception: Callable[[Schedule], Perception] | None = None
) -> dict[str, Any]:
    """Serve participants until `stop` is set, each with models of their own; returns a report.

    Raises:
        SentryError: it cannot start; the sentence says why.
    """
    check_secure(options)
    run = options.run
    make_selector(run)  # a probability that is none is known at once, and so is a provider that is missing
    approved = Approved(run.data_dir / "models")
    expression = approved.start(run.provider)
    models = perception or partial(scheduled, provider=run.provider, path=approved.path())
    tls = tls_context(options.cert, options.cert_key) if options.cert else None
    key = KeyFile.load(run.key, AGENT) if run.key else None
    house = make_house(options)
    consents = ConsentBook(run.data_dir / "consent.json")
    with ExitStack() as stack:
        make_folder(run.data_dir)
        stack.enter_context(lock_folder(run.data_dir))
        keep_text(run.data_dir, house)
        load = partial(Heads, tasks=run.tasks, backbone=expression.sha256)
        slots = Slots(run.data_dir / "bundles", load, read_only=key is None)
        agent, selectors = State(heads=slots.start()), Selectors(run)
        link = (
            Link(key, run.data_dir, run.quota, slots, agent, selectors.set_audit, stop.set, approved) if key else None
        )
        if link:
            stack.callback(link.outbox.close)
            stack.callback(link.close)

        def forget() -> None:
            if link:
                link.forget(consents.withdrawn_ids())

        forget()
        spool, shelve = (link.outbox.put, link.shelf.put) if link else (discard, discard)
        kit = Kit(agent, consents, spool, slots, selectors.make, models, expression.sha256, shelve)
        trouble = slots.words or approved.words or clash(installed())
        lobby, board = Lobby(house, invites(run.data_dir), kit, forget), Board(agent)
        told = fields(model_version=agent.version, provider=expression.provider, purpose=run.purpose)
        log.info("%s", start_line(options, agent, expression.provider, trouble), extra=told)
        alive = stack.enter_context(closing(watchdog()))
        stack.enter_context(offering(run.metrics, lobby.figures, agent, link, lobby.rate))

        def tick() -> None:
            board.show(lobby.visits.values())
            now = time.monotonic()
            if not lobby.hangs(now):
                alive.passed(now)

        server = Server(lobby, tick)
        asyncio.run(server.run(options.host, options.port, tls, stop))
        slots.confirm(agent.version)
    return {"frames": agent.frames, "visits": lobby.reports, "model_version": agent.version}


def invites(data_dir: Path) -> InviteBook:
    """The join links of an agent."""
    return InviteBook(data_dir / "invites.json")


class Selectors:
    """The selection rules of all booths; what the trainer wishes for concerns every one."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._made: weakref.WeakSet[Selector] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._audit = 0.0

    def make(self) -> Selector:
        """One more."""
        selector = make_selector(self._options)
        with self._lock:
            selector.set_audit_probability(self._audit)
            self._made.add(selector)
        return selector

    def set_audit(self, probability: float) -> None:
        """The trainer wishes for this audit probability; 0 for none."""
        with self._lock:
            self._audit = probability
            for selector in self._made:
                selector.set_audit_probability(probability)


class Board:
    """What heartbeats tell of several participants: of the one who has been here longest, and all frames."""

    def __init__(self, agent: State) -> None:
        self._agent = agent
        self._passed = 0

    def show(self, visits: Iterable[Visit]) -> None:
        """Take in how the visits stand, longest first."""
        states = [visit.booth.state for visit in visits]
        passed = sum(state.frames for state in states)
        agent = self._agent
        agent.frames += max(0, passed - self._passed)
        self._passed = passed
        if states:
            lead = states[0]
            agent.participant, agent.session, agent.camera = lead.participant, lead.session, lead.camera
            agent.event_time, agent.rate = lead.event_time, lead.rate
        else:
            agent.participant, agent.session, agent.camera = "", "", CameraState.UNPLUGGED
            agent.rate = FrameRate()


# ---- what participants read -----------------------------------------------------------------------------------------


def make_house(options: ServeOptions) -> House:
    """The rules of this agent.

    Raises:
        InputError: the text or the list of servers cannot be used.
    """
    text = _text(options.information)
    version = f"page {hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return House(text, version, options.hours, options.most, load_ice(options.ice) if options.ice else [])


def _text(path: Path | None) -> str:
    if path is None:
        return (files("edge_agent.webrtc") / "page" / "information.txt").read_text("utf-8")
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the information for participants, {path}, cannot be read: {error}") from error
    if not 0 < len(text) <= MOST_TEXT:
        raise InputError(f"the information for participants must have 1 to {MOST_TEXT} characters, not {len(text)}")
    return text


def keep_text(data_dir: Path, house: House) -> None:
    """Keep what participants agree to, under the version that their consent records name."""
    write_durable(data_dir / "consent_texts" / f"{house.version}.txt", house.information.encode())


def load_ice(path: Path) -> list[dict[str, Any]]:
    """STUN and TURN servers: a JSON list in the browsers' form, each with `urls`, for TURN `username`, `credential`.

    Raises:
        InputError: the file is none, or an address in it is one that a connection would fail on.
    """
    try:
        servers = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"the list of STUN and TURN servers, {path}, cannot be read: {error}") from error
    allowed = {"urls", "username", "credential"}
    whole = isinstance(servers, list) and all(
        isinstance(server, dict) and "urls" in server and set(server) <= allowed for server in servers
    )
    if not whole:
        raise InputError(f"{path} must be a JSON list of objects with urls, and for TURN username and credential")
    for server in servers:
        _check_server(path, server)
    return list(servers)


def _check_server(path: Path, server: dict[str, Any]) -> None:
    urls = server["urls"] if isinstance(server["urls"], list) else [server["urls"]]
    if not urls:
        raise InputError(f"{path}: a server has no address")
    for url in urls:
        try:
            address = parse_stun_turn_uri(str(url))  # by which aiortc reads it, when a participant connects
        except ValueError as error:
            raise InputError(f"{path}: {url!r} is no address such as stun:HOST or turn:HOST:3478 ({error})") from error
        if not 0 < address["port"] < 1 << 16:
            raise InputError(f"{path}: {url!r} has no port that can be")
        known = all(isinstance(server.get(name), str) for name in ("username", "credential"))
        if address["scheme"].startswith("turn") and not known:
            raise InputError(f"{path}: {url!r} needs a username and a credential")


# ---- who can reach it -----------------------------------------------------------------------------------------------


def check_secure(options: ServeOptions) -> None:
    """Refuse what no browser would allow a camera for.

    Raises:
        InputError: other machines are served without HTTPS, or only half of a certificate is given.
    """
    if (options.cert is None) != (options.cert_key is None):
        raise InputError("HTTPS needs both --cert and --cert-key")
    if options.cert is None and not options.proxied and not is_loopback(options.host):
        raise InputError(
            f"browsers give a page on {options.host} no camera without HTTPS: name --cert and --cert-key, or say "
            "--behind-proxy if another server before this one speaks HTTPS"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """TLS with a certificate and its key, both PEM files.

    Raises:
        InputError: they cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"the certificate {cert} with the key {key} cannot be used: {error}") from error
    return context


def start_line(options: ServeOptions, state: State, provider: str, trouble: str) -> str:
    """What the operator should know."""
    where = "features go to the trainer" if options.run.key else "nothing leaves this process"
    model = f"model version {state.version}" if state.heads else "no model yet"
    line = (
        f"waiting for participants at {address(options)}, at most {options.most} at once: {model}, "
        f"expressions on {provider}, {where}; no picture is kept. Make a link with: sentry-agent webrtc invite"
    )
    line += f". Declared purpose: {options.run.purpose}" if options.run.purpose else ""
    return f"{line} Note: {trouble}." if trouble else line


def address(options: ServeOptions) -> str:
    """Of the page, on this machine."""
    return f"{'https' if options.cert else 'http'}://{options.host}:{options.port}"
