"""ZeroMQ sockets under CURVE, with the options that make failure visible.

A server without a ZAP handler lets everyone in, so every server socket enforces its ZAP domain: without a running
`Gatekeeper` it lets nobody in. A client that is refused would block in send for ever and say nothing, so client sockets
time out and a `ConnectionWatch` turns the socket's own events into words.
"""

from __future__ import annotations

import time

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from sentry_proto import limits
from sentry_proto.errors import EnvironmentFault
from sentry_proto.keys import AllowList, KeyFile

_WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
)


PATIENCE_S = 20.0
"""A stage that serves agents and gives no sign for so long hangs."""


class Gatekeeper:
    """The ZAP handler: lets a key in if the allow-list has it for the role that is the socket's ZAP domain."""

    name = "gatekeeper"

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: AllowList, roles: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._busy_since: float | None = None
        self._thread = ThreadAuthenticator(context)
        self._thread.start()
        for role in roles:
            self._thread.configure_curve_callback(role, self)

    def callback(self, domain: str, key: bytes) -> bool:
        """Called by pyzmq with the socket's domain and the client's Z85 public key."""
        self._busy_since = time.monotonic()
        allowed = self._allowed.name_of(key.decode("ascii"), domain) is not None
        self._busy_since = None
        return allowed

    def is_alive(self) -> bool:
        """Whether its thread lives; without it nobody is let in."""
        return self._thread.is_alive()

    def stalled(self, now: float) -> bool:
        """Whether it has been at one question for too long, at `now` in monotonic seconds."""
        since = self._busy_since
        return since is not None and now - since > PATIENCE_S

    def close(self) -> None:
        """Stop; from now on nobody is let in."""
        if not self.is_alive():
            self._thread.pipe.close(0)  # to a thread that has died, nothing can be said
            self._thread.pipe = None  # type: ignore[assignment]
        self._thread.stop()


def server_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: str,
    secret: str,
    role: str,
    largest: int = limits.MAX_FRAME_BYTES,
) -> zmq.Socket[bytes]:
    """A bound ROUTER that only keys of `role` get into; start a `Gatekeeper` on the same context first.

    Raises:
        EnvironmentFault: if the address is taken or not ours.
    """
    socket = context.socket(zmq.ROUTER)
    socket.curve_server = True
    socket.curve_secretkey = secret.encode("ascii")
    socket.setsockopt(zmq.ZAP_DOMAIN, role.encode("ascii"))
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    socket.setsockopt(zmq.SNDTIMEO, 0)
    _common_options(socket, largest)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise EnvironmentFault(f"cannot listen on {endpoint}: {error.strerror}") from error
    return socket


def client_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: str,
    key: KeyFile,
    largest: int = limits.MAX_FRAME_BYTES,
) -> zmq.Socket[bytes]:
    """A DEALER that connects in the background and never blocks in send for longer than a second."""
    socket = _dealer(context, key, largest)
    socket.connect(endpoint)
    return socket


def watched_client_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: str,
    key: KeyFile,
    largest: int = limits.MAX_FRAME_BYTES,
) -> tuple[zmq.Socket[bytes], ConnectionWatch]:
    """A `client_socket` with its watch, which looks from before the first attempt: it must not miss the success."""
    socket = _dealer(context, key, largest)
    watch = ConnectionWatch(socket)
    socket.connect(endpoint)
    return socket, watch


def _dealer(context: zmq.Context[zmq.Socket[bytes]], key: KeyFile, largest: int) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.curve_publickey = key.public.encode("ascii")
    socket.curve_secretkey = key.secret.encode("ascii")
    socket.curve_serverkey = key.server.encode("ascii")
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.SNDTIMEO, 1000)
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    _common_options(socket, largest)
    return socket


def _common_options(socket: zmq.Socket[bytes], largest: int) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, largest)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 4000)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)


def peer_key(frame: zmq.Frame) -> str:
    """The public key that CURVE has proven for the sender of a received frame (receive with `copy=False`)."""
    return str(frame.get("User-Id"))


class ConnectionWatch:
    """Says in words how a client socket's connection stands; make it before the socket connects."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._monitor = socket.get_monitor_socket(_WATCHED)
        self.connected = False
        self.words = "connecting"

    def poll(self) -> bool:
        """Take in what has happened; True if a new connection was made."""
        fresh = False
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                fresh = self.connected = True
                self.words = "connected"
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._lost("refused: this key is not enrolled with the trainer, or was revoked")
            elif event in (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL):
                self._lost("refused: the trainer has another key than this key file says")
            elif event == zmq.EVENT_DISCONNECTED and self.connected:
                self._lost("connection lost")
            elif event == zmq.EVENT_CONNECT_RETRIED and not self.words.startswith("refused"):
                self._lost("no trainer answers at this address")
        return fresh

    def _lost(self, words: str) -> None:
        self.connected = False
        self.words = words

    def close(self) -> None:
        """Release the monitor; call before closing the socket."""
        self._socket.disable_monitor()
        self._monitor.close(0)
