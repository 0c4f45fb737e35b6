"""Every command in the documents works, and every response shown is real."""

import re
from pathlib import Path

import pytest

from support.paths import CHECKOUT

from .conftest import Newcomer, agrees
from .documents import NOT_RUN, REST_NOT_RUN, UNTIL_STOPPED, commands, documents, notes

README = CHECKOUT / "README.md"
OTHERS = [path for path in documents() if path != README and any(c.skip_reason is None for c in commands(path))]


def test_the_readme_holds_what_it_says(readme: Newcomer) -> None:
    assert len([command for command in commands(README) if command.shown is not None]) >= 4


@pytest.mark.parametrize("document", OTHERS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_so_does_every_other_document(readme: Newcomer, document: Path) -> None:
    readme.follow(document)


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_what_is_not_run_says_why_and_every_note_belongs_to_a_command(document: Path) -> None:
    for command in commands(document):
        assert command.shell == "sh" or command.skip_reason, f"{command}: only sh is run; say why not, or write sh"
        assert command.skip_reason is None or len(command.skip_reason) > 10, (
            f"{command}: {command.skip_reason!r} is no reason"
        )
    comments = [note for note in notes(document) if re.search(r"\brun(s)?\b", note)]
    assert all(any(form.search(note) for form in (NOT_RUN, REST_NOT_RUN, UNTIL_STOPPED)) for note in comments), comments
    if not any(REST_NOT_RUN.search(note) for note in comments):
        noted = [command for command in commands(document) if command.ready_text or command.skip_reason]
        assert len(comments) == len(noted)


@pytest.mark.parametrize(
    ("shown", "real", "agree"),
    [
        ('{"id":1,"at":"2026-11-22T21:57:02.412646Z"}', '{"id":1,"at":"2027-01-01T00:00:00Z"}\n', True),
        ('{"duration":1}', '{"duration":2}', False),
        ('{"id":1}', '{"id":1,"more":2}', False),
        ('{"a":…}', '{"a":{"b":1}}', True),
        ('{"access":"eyJa.b.c"}', '{"access":"eyJxyz.123.456"}', True),
        ('{"access":"eyJa.b.c"}', '{"access":null}', False),
    ],
)
def test_what_differs_from_run_to_run_is_masked_and_nothing_else(shown: str, real: str, agree: bool) -> None:
    assert agrees(shown=shown, real=real) is agree
