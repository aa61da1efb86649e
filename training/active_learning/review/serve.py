"""How a page is served: Streamlit's options, the same for every page, and the step into its process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

THEME = Path(__file__).with_name("theme.toml")


def server_arguments(script: Path, address: str, port: int, rest: Sequence[str] = ()) -> list[str]:
    """Streamlit's arguments, with `rest` for the script. No other configuration file may change what stands here."""
    options = {
        "server.address": address,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "type",
        "theme.base": str(THEME),
    }
    return [
        "run",
        str(script),
        *(f"--{name}={value}" for name, value in options.items()),
        *(["--", *rest] if rest else []),
    ]


def become(command: list[str]) -> NoReturn:
    """Replace this process: Streamlit wants the main thread and handles signals itself."""
    os.execv(command[0], command)  # noqa: S606
