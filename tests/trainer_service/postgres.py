"""A PostgreSQL server of the tests' own: a private cluster on a Unix socket, run by a user that is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

USER = "nobody"  # initdb refuses to run as root


@dataclass(frozen=True)
class Cluster:
    """A running server; every database in it is made for one test."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"sentry{next(self._numbers)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._address(name)

    def _address(self, name: str) -> str:
        return f"postgresql://sentry@/{name}?host={self.folder}"


@contextmanager
def running() -> Iterator[Cluster]:
    """A cluster that lives as long as the block; the test skips where PostgreSQL is not installed."""
    programs = _programs()
    memory = Path("/dev/shm")  # every database is a thousand small files
    folder = Path(tempfile.mkdtemp(prefix="sentry-pg-", dir=memory if memory.is_dir() else None))
    data = folder / "data"
    as_user = {"user": USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, USER)

    def run(program: str, *arguments: str) -> None:
        command = [programs / program, *arguments]
        with (folder / "log").open("ab") as log:
            subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log, **as_user)  # type: ignore[call-overload]

    try:
        run(
            "initdb",
            f"--pgdata={data}",
            "--auth=trust",
            "--username=sentry",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        )
        settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "start", "-w", f"--pgdata={data}", f"--log={folder / 'server.log'}", f"--options={settings}")
        try:
            yield Cluster(folder)
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate", f"--pgdata={data}")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    if (found := shutil.which("initdb")) is not None:
        candidates.append(Path(found).parent)
    for folder in candidates:
        if (folder / "initdb").exists():
            return folder
    pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql), which is not on this machine")
