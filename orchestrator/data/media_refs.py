"""From a cell that stands for an image or a video to what refers to it."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import MediaRef

_DATA = "data:"
_SHORTEST = 32
_HEAD_LETTERS = 24
# How the content of media begins; at which byte.
_MAGIC = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG"),
    (0, b"GIF8"),
    (8, b"WEBP"),
    (0, b"BM"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (4, b"ftyp"),
    (0, b"\x1a\x45\xdf\xa3"),
    (8, b"AVI "),
)


def refs_of(given: object, kind: str, column: str) -> list[MediaRef]:
    """Give what a row's column of media refers to.

    Args:
        given: One entry or a list of them, or None.
        kind: Names a ``Medium``.
        column: Its name, for messages.

    Raises:
        BadSampleError: It is neither.
    """
    if given is None:
        return []
    if isinstance(given, list):
        numbered = enumerate(given, start=1)
        return [ref_of(entry, kind, f"{kind} {number}") for number, entry in numbered]
    is_struct = isinstance(given, dict) and bool(given.keys() & {"bytes", "path"})
    if not is_struct and not isinstance(given, str | bytes | MediaRef):
        raise BadSampleError(f"{column!r} is {show(given)}", "Write a list of paths")
    return [ref_of(given, kind, f"{kind} 1")]


def ref_of(entry: object, kind: str, what: str) -> MediaRef:
    """Give what one entry refers to.

    Args:
        entry: A path or URL, a data URI, base64, bytes, ``{bytes, path}``, or a reference.
        kind: Names a ``Medium``.
        what: What messages call it.

    Raises:
        BadSampleError: It is nothing of the kind, or its base64 is none.
    """
    if isinstance(entry, str) and entry.strip():
        return _from_text(entry, kind, what)
    if isinstance(entry, bytes):
        return _inline(entry, kind, what)
    if isinstance(entry, MediaRef):
        return entry
    if isinstance(entry, dict):
        return _from_struct(entry, kind, what)
    raise _no_entry(entry, what)


def _from_text(text: str, kind: str, what: str) -> MediaRef:
    if text[:5].lower() == _DATA:
        return _inline(_from_data_uri(text, what), kind, what)
    # Nearly every path has a dot, and base64 has none.
    if "." in text or len(text) < _SHORTEST or not _begins_like_media(text):
        return MediaRef(text, kind)
    return _inline(_decoded(text, what), kind, what)


def _from_struct(entry: dict[str, Any], kind: str, what: str) -> MediaRef:
    content, path = entry.get("bytes"), entry.get("path")
    if content is None:
        if isinstance(path, str) and path.strip():
            return _from_text(path, kind, what)
        raise _no_entry(entry, what)
    if isinstance(content, str):
        content = _decoded(content, what)
    if not isinstance(content, bytes):
        raise _no_entry(entry, what)
    name = path if isinstance(path, str) and path.strip() else None
    return _inline(content, kind, what, name)


def _inline(content: bytes, kind: str, what: str, name: str | None = None) -> MediaRef:
    if not content:
        raise BadSampleError(f"{what} is empty (0 bytes)", "Write the file again")
    return MediaRef(name or f"inline {what}", kind, content=content)


def _from_data_uri(text: str, what: str) -> bytes:
    head, comma, body = text.partition(",")
    if not comma:
        raise BadSampleError(f"{what} is a data URI without data", "Write data:;base64,...")
    if head.lower().endswith(";base64"):
        return _decoded(body, what)
    return unquote_to_bytes(body)


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSampleError(f"{what} is broken base64 ({error})", "Write it again") from error


def _begins_like_media(text: str) -> bool:
    try:
        head = base64.b64decode(text[:_HEAD_LETTERS], validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(head.startswith(magic, place) for place, magic in _MAGIC)


def _no_entry(entry: object, what: str) -> BadSampleError:
    return BadSampleError(f"{what} is {show(entry)}", "Write its path, as text")


def show(value: object) -> str:
    """Show a value from outside, short enough for a line."""
    try:
        text = repr(value)
    except RecursionError:
        # JSON is parsed a few calls nearer to the limit than it is shown.
        return f"a {type(value).__name__} nested too deep"
    return text if len(text) <= 80 else f"{text[:77]}..."
