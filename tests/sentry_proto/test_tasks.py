from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import DEFAULT_TASKS, FOCUS, STRESS, load_tasks, tasks_from_json, tasks_to_json

GOOD = """
[stress]
kind = "ordinal"
classes = ["calm", "mildly stressed", "stressed"]
[stress.alert]
classes = ["stressed"]
threshold = 0.7
release = 0.5
"""

BAD_TASK_FILES = {
    "not TOML": ("[stress", "not TOML"),
    "empty": ("", "1 to 32 tasks"),
    "unknown kind": ('[a]\nkind = "guess"\nclasses = ["x", "y"]', "kind must be one of"),
    "one class": ('[a]\nkind = "binary"\nclasses = ["x"]', "2 to 32 different names"),
    "same class twice": ('[a]\nkind = "binary"\nclasses = ["x", "x"]', "2 to 32 different names"),
    "binary with three": ('[a]\nkind = "binary"\nclasses = ["x", "y", "z"]', "exactly two"),
    "alert on all classes": (
        '[a]\nkind = "binary"\nclasses = ["x", "y"]\n[a.alert]\nclasses = ["x", "y"]',
        "some, not all",
    ),
    "alert on none": ('[a]\nkind = "binary"\nclasses = ["x", "y"]\n[a.alert]\nthreshold = 0.5', "name its classes"),
    "release above threshold": (GOOD + "\n", ""),
    "threshold no number": (
        '[a]\nkind = "binary"\nclasses = ["x", "y"]\n[a.alert]\nclasses = ["x"]\nthreshold = "high"',
        "wrong alert rule",
    ),
    "unknown field": (
        '[a]\nkind = "binary"\nclasses = ["x", "y"]\n[a.alert]\nclasses = ["x"]\nloudness = 3',
        "wrong alert rule",
    ),
    "a time that is none": (
        '[a]\nkind = "binary"\nclasses = ["x", "y"]\n[a.alert]\nclasses = ["x"]\nduration_s = nan',
        "finite times",
    ),
    "a value where a table belongs": ("a = 3", "must be a table"),
}
BAD_TASK_FILES["release above threshold"] = (GOOD.replace("release = 0.5", "release = 0.9"), "release <= threshold")


def test_a_task_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(GOOD)
    (task,) = load_tasks(path)
    assert task.classes == STRESS.classes
    assert task.alert is not None
    assert (task.alert.threshold, task.alert.release, task.alert.duration_s) == (0.7, 0.5, 10.0)


@pytest.mark.parametrize("case", BAD_TASK_FILES)
def test_a_bad_task_file_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    text, words = BAD_TASK_FILES[case]
    path = tmp_path / "tasks.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_tasks(path)


def test_a_missing_task_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_tasks(tmp_path / "none.toml")


def test_tasks_survive_json() -> None:
    assert tasks_from_json(tasks_to_json(DEFAULT_TASKS)) == DEFAULT_TASKS


@pytest.mark.parametrize("entries", [5, "stress", {"name": "stress"}, [["no", "yes"]], [None], ["stress"]])
def test_json_that_holds_no_tasks_is_refused(entries: Any) -> None:
    with pytest.raises(InputError, match="must be a list of objects"):
        tasks_from_json(entries)


def test_a_verdict_leaves_several_classes_possible() -> None:
    assert STRESS.allowed("stressed") == {"stressed"}
    assert STRESS.allowed("true alarm") == {"stressed"}
    assert STRESS.allowed("false alarm") == {"calm", "mildly stressed"}
    assert STRESS.is_event("false alarm") is False
    assert FOCUS.is_event("2") is True
    with pytest.raises(InputError, match="furious"):
        STRESS.allowed("furious")
