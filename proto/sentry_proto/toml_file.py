"""Reading a file of settings."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file; `what` says in errors which kind it is, such as `task file`.

    Raises:
        InputError: if it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML and its encoding alike
        raise InputError(f"the {what} {path} is not TOML: {error}") from error
