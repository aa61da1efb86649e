"""A tray that is a file: windows exported as JSON Lines, and beside it the answers, in a file that can be imported.

`queue.jsonl` -> `queue.answers.jsonl`: one answer a line, as `answer_files` reads them. The answers file is replaced
whole and forced to the disk with every answer, under a lock on the exported file, so that a crash loses nothing that
was said to be stored and two pages on one file do not undo each other. `queue.skipped.jsonl` says in the same way which
windows a rater could not tell, and why; nothing reads it but this and people.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, LabelFileError, StorageError
from sentry_proto.types import Label
from training.active_learning.answer_files import read_answers
from training.active_learning.labelling_files import read_sheets
from training.active_learning.review.desk import Click, Waiting
from training.active_learning.sheets import Sheet


class FileTray:
    """The windows of one file; holds no state beside the two files.

    Raises:
        InputError: if the file cannot be read or was not exported as JSON Lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers_path = path.with_name(f"{path.stem}.answers.jsonl")
        self.skipped_path = path.with_name(f"{path.stem}.skipped.jsonl")
        self._sheets = {(sheet.task, sheet.window_id): sheet for sheet in read_sheets(_read(path))}

    def __len__(self) -> int:
        return len(self._sheets)

    def tasks(self) -> Sequence[str]:
        """In the order in which the file names them."""
        return list(dict.fromkeys(task for task, _ in self._sheets))

    def waiting(self, task: str, rater: str, since: float = 0.0) -> Waiting:
        """What this rater has neither answered nor passed over, in the file's order."""
        own = [label for label in self.answers() if label.rater == rater]
        done = {(label.task, label.window_id) for label in own}
        done |= {(one["task"], one["window_id"]) for one in self.skipped() if one["rater"] == rater}
        open_still = tuple(key[1] for key in self._sheets if key[0] == task and key not in done)
        given = sum(label.task == task and label.created >= since for label in own)
        return Waiting(open_still, len(open_still), given)

    def sheet(self, task: str, window_id: str) -> Sheet:
        """One of the file's windows."""
        return self._sheets[task, window_id]

    def put(self, label: Label) -> bool:
        """Keep an answer; it takes the place of the rater's earlier one about the same window and task."""
        with self._locked():
            answers = self.answers()
            known = next((known for known in answers if known.label_id == label.label_id), None)
            if known is not None and (_question(known), known.value) != (_question(label), label.value):
                raise InputError(f"label {label.label_id[:40]!r} is known and says something else: {known.value}")
            if known is not None:
                return False
            self._write([*(known for known in answers if _question(known) != _question(label)), label])
        return True

    def withdraw(self, label_id: str) -> bool:
        """Take an answer out of the file."""
        with self._locked():
            answers = self.answers()
            kept = [known for known in answers if known.label_id != label_id]
            if len(kept) < len(answers):
                self._write(kept)
        return len(kept) < len(answers)

    def pass_over(self, click: Click, pass_id: str) -> None:
        """Keep that a rater cannot tell, and why; once."""
        line = {"pass_id": pass_id, "window_id": click.window_id, "task": click.task, "rater": click.rater}
        with self._locked():
            others = [one for one in self.skipped() if one["pass_id"] != pass_id]
            self._write_skipped([*others, {**line, "why": click.value}])

    def take_up_again(self, pass_id: str) -> bool:
        """Take that out of the file."""
        with self._locked():
            skipped = self.skipped()
            kept = [one for one in skipped if one["pass_id"] != pass_id]
            self._write_skipped(kept)
        return len(kept) < len(skipped)

    def skipped(self) -> list[dict[str, str]]:
        """What was passed over: `{pass_id, window_id, task, rater, why}`, oldest first."""
        if not self.skipped_path.exists():
            return []
        return [json.loads(line) for line in _read(self.skipped_path).splitlines()]

    def _write_skipped(self, skipped: Sequence[dict[str, str]]) -> None:
        write_durable(self.skipped_path, "".join(json.dumps(one) + "\n" for one in skipped).encode())

    def answers(self) -> list[Label]:
        """All that stand, oldest first.

        Raises:
            LabelFileError: if somebody has damaged the answers file.
        """
        text = _read(self.answers_path) if self.answers_path.exists() else ""
        if not text:
            return []
        try:
            found = read_answers(text, 0.0)
            found.raise_if_wrong()
        except LabelFileError as error:
            raise LabelFileError(f"{self.answers_path.name}: {error}") from error
        return [label for _, label in found.answers]

    def _write(self, answers: Sequence[Label]) -> None:
        write_durable(self.answers_path, "".join(json.dumps(vars(label)) + "\n" for label in answers).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with self.path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StorageError(f"{self.path} cannot be locked: {error.strerror}") from error


def _question(label: Label) -> tuple[str, str, str]:
    return label.window_id, label.task, label.rater


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8") from error
