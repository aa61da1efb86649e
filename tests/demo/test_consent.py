from __future__ import annotations

import pytest

from demo.consent import ask_consent
from sentry_proto.errors import ConsentMissing

FIELDS: dict[str, object] = {
    "source": "camera 0", "features": 123, "folder": "/study", "agent_folder": "/study/agent", "fate": "Kept.",
}  # fmt: skip


@pytest.mark.parametrize("answer", ["yes", "y", " YES "])
def test_yes_goes_on_after_everything_was_said(answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask_consent(FIELDS, lambda _: answer)
    said = capsys.readouterr().out
    for words in ("camera 0", "No pixel reaches the disk", "How to withdraw", "/study", "no diagnosis"):
        assert words in said


@pytest.mark.parametrize("answer", ["", "no", "yes please", "ja"])
def test_anything_else_captures_nothing(answer: str) -> None:
    with pytest.raises(ConsentMissing, match="nothing was captured"):
        ask_consent(FIELDS, lambda _: answer)


@pytest.mark.parametrize("error", [EOFError, KeyboardInterrupt])
def test_no_terminal_or_ctrl_c_is_a_no(error: type[BaseException]) -> None:
    def ask(_: str) -> str:
        raise error

    with pytest.raises(ConsentMissing):
        ask_consent(FIELDS, ask)
