"""ETag and If-Match (RFC 9110, sections 8.8.3 and 13.1.1) over a task's version."""

import re

from rest_framework.exceptions import ParseError

from tasks.services import Versions

# A tag is anything printable in quotes, or that with W/ before it, which If-Match never matches.
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST = re.compile(rf"[ \t,]*{_TAG.pattern}([ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_MOST_TAGS = 10


def etag(version: int) -> str:
    """The strong entity tag of a task at this version."""
    return f'"{version}"'


def parse_if_match(header: str | None) -> Versions:
    """The versions that the header lets through; "any" without a header or for ``*``.

    Tags that are weak, or not ours, match nothing. Raises ParseError (400) where the header is malformed or lists
    more than 10 tags.
    """
    if header is None or header.strip() == "*":
        return "any"
    if not _LIST.fullmatch(header):
        raise ParseError('If-Match must be * or a list of entity tags such as "3".')
    tags = _TAG.findall(header)
    if len(tags) > _MOST_TAGS:
        raise ParseError(f"If-Match lists more than {_MOST_TAGS} entity tags.")
    return [int(value) for weak, value in tags if not weak and _VERSION.fullmatch(value)]
