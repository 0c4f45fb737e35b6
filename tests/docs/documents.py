"""The project's documents, parsed as CommonMark: commands with their notes and output, headings, links."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from support.paths import CHECKOUT

# The languages of blocks of commands; only those in "sh" are run.
SHELLS = {"sh", "bash", "console", "shell", "zsh", "powershell", "bat", "cmd"}
OUTPUTS = {"json", "text", "http"}

NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
REST_NOT_RUN = re.compile(r"<!-- nothing below is run: (.+?) -->", re.DOTALL)
UNTIL_STOPPED = re.compile(r"<!-- runs until stopped; it says: (.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A block of commands.

    ``skip_reason`` and ``ready_text`` come from the comment before it; ``shown`` is the output in the block after it.
    """

    document: Path
    line: int
    shell: str
    text: str
    skip_reason: str | None
    ready_text: str | None
    shown: str | None

    def __str__(self) -> str:
        return f"{self.document.relative_to(CHECKOUT)}:{self.line}"


@cache
def documents() -> tuple[Path, ...]:
    """Return the README, then every other Markdown file of the project."""
    found = []
    for folder, below, files in os.walk(CHECKOUT):
        below[:] = [name for name in below if not name.startswith(".") and name not in ("var", "node_modules")]
        found += [Path(folder, name) for name in files if name.endswith(".md")]
    return tuple(sorted(found, key=lambda path: (path != CHECKOUT / "README.md", path)))


def _blocks(document: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))


def commands(document: Path) -> list[Command]:
    """Return the document's blocks of commands in order."""
    blocks = _blocks(document)
    found = []
    below: re.Match[str] | None = None
    for before, block, after in zip([None, *blocks], blocks, [*blocks[1:], None], strict=False):
        if block.type == "html_block":
            below = REST_NOT_RUN.search(block.content) or below
        if block.type != "fence" or block.info not in SHELLS:
            continue
        note = before.content if before and before.type == "html_block" else ""
        skip_reason, ready_text = NOT_RUN.search(note) or below, UNTIL_STOPPED.search(note)
        found.append(
            Command(
                document=document,
                line=block.map[0] + 1,
                shell=block.info,
                text=block.content,
                skip_reason=skip_reason[1] if skip_reason else None,
                ready_text=ready_text[1] if ready_text else None,
                shown=after.content if after and after.type == "fence" and after.info in OUTPUTS else None,
            )
        )
    return found


def notes(document: Path) -> list[str]:
    """Return the document's HTML comments, each of which should belong to a block of commands."""
    return [block.content for block in _blocks(document) if block.type == "html_block"]


def _inline(document: Path) -> Iterator[Token]:
    for block in _blocks(document):
        yield from block.children or []


def codes(document: Path) -> list[str]:
    """Return the document's inline code."""
    return [token.content for token in _inline(document) if token.type == "code_inline"]


def links(document: Path) -> list[str]:
    """Return the targets of the document's links and images."""
    targets = [token.attrGet("href") or token.attrGet("src") for token in _inline(document)]
    return [unquote(str(target)) for target in targets if target is not None]


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub assigns to the document's headings."""
    found: set[str] = set()
    blocks = _blocks(document)
    for opening, heading in pairwise(blocks):
        if opening.type != "heading_open":
            continue
        words = "".join(token.content for token in heading.children or [] if token.type in ("text", "code_inline"))
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (name if number == 0 else f"{name}-{number}") in found:
            number += 1
        found.add(name if number == 0 else f"{name}-{number}")
    return found
