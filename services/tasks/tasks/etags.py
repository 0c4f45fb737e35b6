"""ETag, If-Match and If-None-Match (RFC 9110, sections 8.8.3 and 13.1), based on a task's version."""

import re
from typing import Literal

from rest_framework.exceptions import ParseError

from tasks.services import Versions

# A tag is printable text in quotes. W/ before it makes it weak, and If-Match never matches a weak tag.
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST = re.compile(rf"[ \t,]*{_TAG.pattern}([ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")
# At most as many digits as models.VERSION_MAXIMUM has.
_VERSION = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_MOST_TAGS = 10


def etag(version: int) -> str:
    """Return the strong entity tag of a task at this version."""
    return f'"{version}"'


def parse_if_match(header: str | None) -> Versions:
    """Return the versions that the header allows; "any" without a header or for ``*``.

    Weak tags, and tags that are not ours, match nothing. Raises ParseError (400) if the header is malformed or lists
    more than 10 tags.
    """
    if header is None:
        return "any"
    tags = _tags("If-Match", header)
    return tags if tags == "any" else [int(value) for weak, value in tags if not weak and _VERSION.fullmatch(value)]


def parse_if_none_match(header: str | None) -> Versions:
    """Return the versions that the header excludes, including weak tags; none without it. Raises ParseError too."""
    if header is None:
        return ()
    tags = _tags("If-None-Match", header)
    return tags if tags == "any" else [int(value) for _, value in tags if _VERSION.fullmatch(value)]


def _tags(name: str, header: str) -> Literal["any"] | list[tuple[str, str]]:
    """Return each tag with its prefix, W/ or nothing."""
    if header.strip() == "*":
        return "any"
    if not _LIST.fullmatch(header):
        raise ParseError(f'{name} must be * or a list of entity tags such as "3".')
    tags = _TAG.findall(header)
    if len(tags) > _MOST_TAGS:
        raise ParseError(f"{name} lists more than {_MOST_TAGS} entity tags.")
    return tags
