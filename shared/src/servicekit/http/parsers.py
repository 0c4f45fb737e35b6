"""The only body parser: strict JSON (RFC 8259, and I-JSON, RFC 7493, where that is stricter)."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from servicekit.http.exceptions import PayloadTooLarge, UnsupportedContentEncoding

MAXIMUM_BODY_BYTES = 64 * 1024


class StrictJSONParser(BaseParser):
    """Parses JSON to Python values, and rejects anything that another parser could read differently.

    Raises UnsupportedMediaType (415) for another type or a charset other than UTF-8, UnsupportedContentEncoding (415)
    for an encoded body, PayloadTooLarge (413) over 64 KiB, and ParseError (400) for invalid UTF-8, a byte order mark,
    duplicate keys, NaN and infinities, lone surrogates, and nesting or numbers that exhaust the parser.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request = parser_context["request"] if parser_context else None
        encoding = request.META.get("HTTP_CONTENT_ENCODING", "") if request is not None else ""
        if media_type not in (None, self.media_type) and not self._is_utf8_json(media_type):
            raise UnsupportedMediaType(media_type)
        if encoding.lower() not in ("", "identity"):
            raise UnsupportedContentEncoding
        body = stream.read(MAXIMUM_BODY_BYTES + 1)
        if len(body) > MAXIMUM_BODY_BYTES:
            raise PayloadTooLarge
        return loads(body)

    def _is_utf8_json(self, media_type: str) -> bool:
        kind, parameters = parse_header_parameters(media_type)
        return kind == self.media_type and parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")


def loads(body: bytes) -> Any:
    """Parse strict JSON; raises ParseError, whose message may be shown to the client."""
    try:
        text = body.decode("utf-8")
        if text.startswith("\ufeff"):
            raise ValueError("a byte order mark")
        value = _decoder.decode(text)
        if b"\\u" in body:
            # Only an escape can produce a lone surrogate, which would fail later, when it is stored or sent back.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ParseError:
        raise
    except UnicodeDecodeError:
        raise ParseError("The body is not valid UTF-8.") from None
    except UnicodeEncodeError:
        raise ParseError("The body contains half of a surrogate pair.") from None
    # A ValueError means invalid JSON, or a whole number with more digits than Python converts.
    except (ValueError, RecursionError):
        raise ParseError("The body is not valid JSON.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ParseError("The body has a duplicate member.")
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise ParseError(f"{constant} is not JSON.")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ParseError("The body contains a number that is too large.")
    return number


# With options, json.loads() would create a decoder for each call.
_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite_float)
