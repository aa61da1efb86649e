"""The control API's client: how the dashboard and the commands speak with a running trainer.

A request names a method and JSON parameters; the reply holds a JSON result or an error of `sentry_proto.errors`,
which is raised here as if the trainer had been called directly.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import zmq

from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.codec import parse
from sentry_proto.curve import watched_client_socket
from sentry_proto.errors import MalformedMessage, PeerUnreachable, error_of_kind
from sentry_proto.keys import KeyFile


class ControlClient:
    """One connection to the control API; safe to share between threads."""

    def __init__(self, key: KeyFile, timeout_s: float = 10.0) -> None:
        self._key = key
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._open()

    def _open(self) -> None:
        self._socket, self._watch = watched_client_socket(
            self._context, self._key.endpoints.control, self._key, limits.MAX_CONTROL_BYTES
        )

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the trainer and wait for its result.

        Raises:
            PeerUnreachable: if no answer came in time; the message says what is known of the connection.
            SentryError: whatever the trainer raised.
        """
        request_id = uuid.uuid4().hex
        with self._lock:
            try:
                self._socket.send(encode_request(request_id, method, params))
                reply = self._await_reply(request_id)
            except zmq.Again:
                raise self._unreachable() from None
        return result_of(reply)

    def _await_reply(self, request_id: str) -> pb.ControlReply:
        waited_ms = int(1000 * self._timeout_s)
        while self._socket.poll(waited_ms):
            reply = decode_reply(self._socket.recv())
            if reply.request_id == request_id:
                return reply
        raise self._unreachable()

    def _unreachable(self) -> PeerUnreachable:
        self._watch.poll()
        self._close_socket()
        words = self._watch.words if not self._watch.connected else f"no answer within {self._timeout_s:g} s"
        self._open()
        return PeerUnreachable(f"the trainer at {self._key.endpoints.control} is not there: {words}")

    def _close_socket(self) -> None:
        self._watch.close()
        self._socket.close()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._close_socket()
            self._context.term()


def encode_request(request_id: str, method: str, params: dict[str, Any]) -> bytes:
    """The caller's side."""
    return pb.ControlRequest(request_id=request_id, method=method, params=json.dumps(params)).SerializeToString()


def decode_request(data: bytes) -> tuple[str, str, dict[str, Any]]:
    """The trainer's side: request id, method and parameters.

    Raises:
        MalformedMessage: if the bytes are no request.
    """
    message = parse(pb.ControlRequest(), data, limits.MAX_CONTROL_BYTES)
    try:
        params = json.loads(message.params or "{}")
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the request's parameters are no JSON") from error
    if not isinstance(params, dict):
        raise MalformedMessage("the request's parameters are no JSON object")
    return message.request_id, message.method, params


def encode_result(request_id: str, result: Any) -> bytes:
    """The trainer's answer to a request."""
    return pb.ControlReply(request_id=request_id, result=json.dumps(result)).SerializeToString()


def encode_error(request_id: str, error: Exception) -> bytes:
    """The trainer's refusal of a request."""
    reply = pb.ControlReply(request_id=request_id, error=str(error), error_kind=type(error).__name__)
    return reply.SerializeToString()


def decode_reply(data: bytes) -> pb.ControlReply:
    """The caller's side.

    Raises:
        MalformedMessage: if the bytes are no reply.
    """
    return parse(pb.ControlReply(), data, limits.MAX_CONTROL_BYTES)


def result_of(reply: pb.ControlReply) -> Any:
    """What the trainer answered.

    Raises:
        MalformedMessage: if it is no JSON.
        SentryError: whatever the trainer raised.
    """
    if reply.error:
        raise error_of_kind(reply.error_kind, reply.error)
    try:
        return json.loads(reply.result)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the trainer's result is no JSON") from error
