"""Every error that Sentry raises on purpose, split by whose fault it is.

    SentryError                  one clear sentence; a command prints it and exits with `exit_code`
    |- EnvironmentFault          the machine's fault: a person at that machine can mend it
    |  |- CameraError            missing, busy or dead camera
    |  |- MediaError             an empty, corrupt or unreadable recording
    |  |- StorageError           a full disk, a quota reached, an unwritable folder
    |  |- KeyFileError           a missing, malformed or wrong key file
    |  |- MissingDependency      an extra or a system library is not installed
    |  `- PeerUnreachable        the other side does not answer
    |- PeerFault                 the bytes that came in are wrong; the peer has to mend it
    |  |- MalformedMessage       not decodable, or outside the limits
    |  |- LayoutMismatch         a feature layout that this side does not speak
    |  |- UnknownTask            a task or class that is not configured
    |  `- RequestRefused         the peer understood and said no
    |     |- NotSignedIn         a token that is nobody's any more
    |     `- NotAllowed          the role of whoever asks does not suffice
    `- InputError                what a person typed or imported is wrong
       |- ConsentMissing         there is no live consent record
       `- LabelFileError         malformed label file, with row number and reason

Anything else that escapes is our own bug and keeps its traceback.
"""

from __future__ import annotations


class SentryError(Exception):
    """Base of all deliberate errors; `str(error)` is a sentence for a person."""

    exit_code = 1


class EnvironmentFault(SentryError):
    """The machine, its devices or its network are at fault."""

    exit_code = 3


class CameraError(EnvironmentFault):
    """A camera is missing, busy or has died."""


class MediaError(EnvironmentFault):
    """A recording is empty, corrupt or unreadable."""


class StorageError(EnvironmentFault):
    """A disk is full, a quota is reached or a folder cannot be written."""


class KeyFileError(EnvironmentFault):
    """A key file is missing, malformed, readable by others or for another purpose."""


class MissingDependency(EnvironmentFault):
    """An extra or a system library is not installed."""


class PeerUnreachable(EnvironmentFault):
    """The other side does not answer or refuses the connection."""


class PeerFault(SentryError):
    """Bytes or requests that came from outside break the contract."""

    exit_code = 4


class MalformedMessage(PeerFault):
    """A message cannot be decoded or is outside `sentry_proto.limits`."""


class LayoutMismatch(PeerFault):
    """Features were made with a layout that this side does not speak."""


class UnknownTask(PeerFault):
    """A task, or a class of a task, is not configured."""


class RequestRefused(PeerFault):
    """The peer understood the request and refused it; the message says why."""


class NotSignedIn(RequestRefused):
    """The token of a request is nobody's, or nobody's any more."""


class NotAllowed(RequestRefused):
    """Whoever asks may not do this; the message says which role may."""


class InputError(SentryError):
    """What a person typed or imported is wrong."""

    exit_code = 2


class ConsentMissing(InputError):
    """No live consent record for this participant."""


class LabelFileError(InputError):
    """A label file is malformed; the message names the row and the reason."""


def error_of_kind(kind: str, message: str) -> SentryError:
    """Rebuild an error that crossed the control socket; unknown kinds become `RequestRefused`."""
    found = _subclasses(SentryError).get(kind, RequestRefused)
    return found(message)


def _subclasses(root: type[SentryError]) -> dict[str, type[SentryError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_subclasses(child))
    return found
