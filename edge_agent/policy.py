"""What the people who run this machine have decided for every agent on it; no option of a command undoes it.

    /etc/sentry/policy.toml

    purpose = "research"    # or "clinical" or "safety": declared at the start, and stamped into what is written
    preview = false         # no live preview
    video = false           # no picture is stored, and none is shown in a preview
    stills = false          # no small picture goes to the trainer

What is not said is allowed, and a machine without the file has no policy. A file that cannot be read, or says something
else, lets no agent start: a slip in it must not allow what it was to forbid. There is no option and no variable for
another file, since whoever types the command could name one; whoever may write to /etc may change it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError
from sentry_proto.purposes import PURPOSES

FILE = Path("/etc/sentry/policy.toml")


@dataclass(frozen=True)
class Policy:
    """One machine's.

    Attributes:
        purpose: of `PURPOSES`; empty where none is declared.
        preview, video, stills: whether it may be asked for at all.
    """

    purpose: str = ""
    preview: bool = True
    video: bool = True
    stills: bool = True

    @property
    def words(self) -> str:
        """What it says, in words."""
        forbidden = [name for name in ("preview", "video", "stills") if not getattr(self, name)]
        purpose = f"the purpose {self.purpose}" if self.purpose else "no purpose"
        return f"{purpose} is declared, {' and '.join(forbidden) or 'nothing'} is forbidden ({FILE})"

    def check(self, **wanted: bool) -> None:
        """Refuse what is forbidden here, whoever asks and whoever has consented.

        Args:
            wanted: by field, whether the command asks for it.

        Raises:
            InputError: it does, and may not.
        """
        for name, asked in wanted.items():
            if asked and not getattr(self, name):
                raise InputError(f"this machine's policy ({FILE}) says {name} = false, and no option changes that")

    def purpose_of(self, asked: str | None, otherwise: str = "") -> str:
        """The purpose to stamp, where a command names one, or none.

        Raises:
            InputError: it names another than the declared one.
        """
        if asked and self.purpose and asked != self.purpose:
            raise InputError(f"this machine's policy ({FILE}) declares the purpose {self.purpose}, not {asked}")
        return asked or self.purpose or otherwise


def load_policy() -> Policy:
    """This machine's.

    Raises:
        InputError: the file is none.
    """
    try:
        entries = tomllib.loads(FILE.read_text("utf-8"))
    except FileNotFoundError:
        return Policy()
    except (OSError, ValueError, RecursionError) as error:  # no TOML and no UTF-8 alike
        raise InputError(f"this machine's policy, {FILE}, cannot be read: {error}") from error
    return _checked(entries)


def _checked(entries: dict[str, Any]) -> Policy:
    known = [field.name for field in fields(Policy)]
    for name, value in entries.items():
        if name not in known:
            raise InputError(f"{FILE} knows {', '.join(known)}; not {name!r}")
        if name == "purpose" and value not in PURPOSES:
            raise InputError(f"{FILE}: purpose must be one of {', '.join(PURPOSES)}; not {value!r}")
        if name != "purpose" and not isinstance(value, bool):
            raise InputError(f"{FILE}: {name} must be true or false; not {value!r}")
    return Policy(**entries)
