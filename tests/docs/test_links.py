"""The links of the documents work. Other sites are not requested, so that no test fails because of them."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.paths import CHECKOUT

from .documents import anchors, codes, documents, links

DOCUMENTS = [pytest.param(path, id=str(path.relative_to(CHECKOUT))) for path in documents()]
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def test_the_documents_are_found() -> None:
    names = {str(path.relative_to(CHECKOUT)) for path in documents()}
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "services/auth/README.md"} <= names
    assert sum(len(links(path)) for path in documents()) > 20


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: Path) -> None:
    for target in links(document):
        where = urlsplit(target)
        if where.scheme:
            # Not localhost, which readers cannot reach.
            assert where.scheme == "https", target
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", where.netloc), target
            continue
        file = (document.parent / where.path).resolve() if where.path else document
        assert file.is_relative_to(CHECKOUT), target
        assert file.exists(), target
        if where.fragment:
            assert where.fragment in anchors(file), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    named = {
        name
        for code in codes(document)
        for name in re.findall(r"^make ([a-z][a-z0-9-]*)$|^make ([a-z][a-z0-9-]*) [A-Z_]+=", code)
        for name in name
        if name
    }
    assert named <= TARGETS
