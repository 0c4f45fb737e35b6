"""Each test that docs/security.md names as evidence exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from support.paths import CHECKOUT

PAGE = (CHECKOUT / "docs/security.md").read_text(encoding="utf-8")
ROWS = [re.split(r" *\| *", line)[1:-1] for line in PAGE.splitlines() if re.match(r"\| [^-]", line)]


@cache
def named_in(path: str) -> set[str]:
    """Return the names of a file's tests as in pytest, without parameters."""

    def names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                yield from names(node.body, f"{prefix}{node.name}::")
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield prefix + node.name

    return set(names(ast.parse((CHECKOUT / path).read_text(encoding="utf-8")).body))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/.-]+\.py::[\w:]+)`", PAGE))))
def test_every_test_that_the_page_names_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert test in named_in(path)


def test_a_row_is_met_and_names_a_test_or_says_why_not() -> None:
    unshown = []
    for row in ROWS:
        # The first table has no levels.
        state, how, tests = row[-3:]
        assert len(row) in (4, 6), row
        if state == "state":
            continue
        assert state.startswith(("met", "open", "n/a")), row
        if state.startswith("met") and "::" not in tests:
            unshown.append(row[0])
        assert not state.startswith(("open", "n/a")) or len(state + how) > 12, row
    # No test can show the absence of something.
    assert unshown == ["6.2.10", "6.3.6"]


def test_every_requirement_on_sessions_and_tokens_has_a_row() -> None:
    """The numbers of requirements are those of the sections of ASVS 5.0.0."""
    sections = {"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2, "9.1": 3, "9.2": 4}
    sections |= {"6.1": 3, "6.2": 12, "6.3": 8, "6.4": 6}
    expected = [f"{section}.{number}" for section, count in sections.items() for number in range(1, count + 1)]
    found = [number for row in ROWS for number in re.findall(r"(?<![\d.])[679]\.\d\.\d+(?![\d.])", row[0])]
    assert sorted(found) == sorted(expected)
