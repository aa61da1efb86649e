"""Every command says which release it is of, so that a report of trouble can."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points, version

import pytest

COMMANDS = [point for point in entry_points(group="console_scripts") if point.dist and point.dist.name == "sentry-lab"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_tells_its_version(command: EntryPoint, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.load()(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"{command.name} {version('sentry-lab')}"


def test_all_commands_are_tried() -> None:
    assert len(COMMANDS) == 6
