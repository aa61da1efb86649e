"""Every promise of docs/promises.md names the tests that show it, and every test that shows one is named there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

NOT_YET = "not shown yet"
IDS = [f"R{n}" for n in range(1, 13)] + [f"S{n}" for n in range(1, 7)] + ["P1", "P2", "P3"]
PAGE = REPOSITORY / "docs" / "promises.md"


def promised() -> dict[str, set[str]]:
    """Promise -> the tests that its row names; empty where it says that it is not shown yet."""
    rows: dict[str, set[str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"[RSP]\d+", cells[0]):
            assert cells[0] not in rows, f"{cells[0]} has two rows"
            tests = set(re.findall(r"`(tests/[^`]+)`", cells[3]))
            assert tests or NOT_YET in cells[3], f"{cells[0]} names no test and does not say that it is {NOT_YET}"
            rows[cells[0]] = tests
    return rows


def shown() -> dict[str, set[str]]:
    """Promise -> the tests that are marked with it: a function, or a file whose every test is."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                for promise in marked(*node.decorator_list):
                    found[promise].add(f"{name}::{node.name}")
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                for promise in marked(node.value):
                    found[promise].add(name)
    return found


def marked(*nodes: ast.expr) -> Iterator[str]:
    """The promises that decorators name."""
    for node in nodes:
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.promise":
                yield from (str(argument.value) for argument in call.args if isinstance(argument, ast.Constant))


def test_every_promise_has_a_row() -> None:
    assert list(promised()) == IDS


def test_rows_and_tests_name_one_another() -> None:
    rows, tests = promised(), shown()
    assert set(tests) <= set(rows)
    for promise, named in rows.items():
        assert named == tests.get(promise, set()), f"{promise}: docs/promises.md and the markers differ"


def test_a_marker_is_read() -> None:
    """The comparison would also hold if nothing were found."""
    assert "tests/faults/test_publish_kills.py" in shown()["R1"]
    assert len(set().union(*shown().values())) > 20
    assert Path(PAGE).read_text().count(NOT_YET) < len(IDS) / 2
