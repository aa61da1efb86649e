"""docs/keys.md as it stands: every command of the page, in order, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from sentry_proto.keys import AGENT, KeyFile
from tests.conftest import REPOSITORY
from tests.e2e.study import BIN
from tests.edge_agent.bundles import other_model
from tests.trainer_service.test_publisher import Client
from trainer_service.keyring import Home
from trainer_service.repository import approved_model

PAGE = REPOSITORY / "docs" / "keys.md"
OLD, NEW = (
    ["one two three four"] * 2 + ["five six seven eight"] * 2,
    ["nine ten eleven", "twelve thirteen", "fourteen fifteen"],
)
TYPED = {
    "init": OLD,
    "rotate online": [OLD[0], OLD[2]],
    "rotate root": [OLD[0], OLD[2], *(word for word in NEW for _ in range(2))],
    "approve": [NEW[0], NEW[1]],
}
"""What custodians type, by command."""


def blocks() -> list[str]:
    """The page's commands, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_page_works_as_written(tmp_path: Path) -> None:
    names = {"SENTRY_DIR": tmp_path / "trainer", **{f"STICK_{i}": tmp_path / f"stick{i}" for i in (1, 2, 3)}}
    for name in ("STICK_1", "STICK_2", "STICK_3"):
        names[name].mkdir()
    (tmp_path / "expression.onnx").write_bytes(other_model())
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **{k: str(v) for k, v in names.items()}}
    home, client = Home(names["SENTRY_DIR"]), None
    for block in blocks():
        typed = [line for command, lines in TYPED.items() if f"sentry-keys {command}" in block for line in lines]
        done = subprocess.run(
            ["sh", "-euc", block], cwd=tmp_path, env=environment, input="".join(f"{line}\n" for line in typed),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, block + done.stderr
        client = client or Client(home, tmp_path / "cache")
        assert client.fetch() is None, "a client that trusts the first root follows every step"
    assert not home.offline.exists()
    assert KeyFile.load(tmp_path / "new-keys/lab-1.key", AGENT).name == "lab-1"
    assert not (tmp_path / "new-keys/lab-2.key").exists()
    assert approved_model(home.repository)
    assert not list(home.folder.rglob("root.pem")), "no offline key is left on the trainer"


def test_every_command_of_the_page_is_one_of_ours() -> None:
    found = re.findall(r"^sentry-keys (\w+)", "\n".join(blocks()), re.MULTILINE)
    assert set(found) == {"init", "enroll", "revoke", "rotate", "approve", "list", "expiry"}
