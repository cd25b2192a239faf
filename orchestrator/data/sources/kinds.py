"""What kind of data file this is: told by how it begins, and only then by its name."""

import json
from pathlib import PurePosixPath

from orchestrator.data.sources import (
    arrow_file,
    arrow_stream,
    csv_rows,
    json_lines,
    json_list,
    parquet,
    tar,
)
from orchestrator.data.sources.json_lines import BOM, UNPARSABLE
from orchestrator.data.sources.opening import head_of, open_file
from orchestrator.data.sources.reader import Reader
from orchestrator.errors import DataError

READERS: dict[str, Reader] = {
    "json_lines": json_lines,
    "json_list": json_list,
    "csv": csv_rows,
    "parquet": parquet,
    "arrow_file": arrow_file,
    "arrow_stream": arrow_stream,
    "tar": tar,
}

TABLES = {"csv", "parquet", "arrow_file", "arrow_stream"}
"""Readers of files in which every row has every column."""
TEXTS = {"json_lines", "json_list"}
"""Readers of files of which a run of bytes is a run of rows."""

_LINES = {".jsonl", ".ndjson"}
_CSV = {".csv", ".tsv"}
_NAMED = {*_LINES, *_CSV, ".json", ".parquet", ".arrow", ".tar"}
_PACKED = ".gz"

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow_file", b"\xff\xff\xff\xff": "arrow_stream"}
_TAR_MAGIC = slice(257, 262)
_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 1 << 16

_READ = "JSON, JSON Lines, CSV, Parquet, Arrow and tar (WebDataset) are read"


def is_named_as_data(name: str) -> bool:
    """Whether a file in a folder looks like a data file by its name."""
    return not name.startswith((".", "_")) and _extension(name) in _NAMED


def kind_of(url: str) -> str:
    """Tell the kind of a file.

    Returns:
        A key of ``READERS``.

    Raises:
        DataError: It is none of them.
    """
    with open_file(url) as file:
        raw = file.read(_HEAD_BYTES)
    kind = next((kind for magic, kind in _MAGIC.items() if raw.startswith(magic)), None)
    if kind is None and (raw[_TAR_MAGIC] == b"ustar" or _extension(url) == ".tar"):
        kind = "tar"
    packed = raw.startswith(_GZIP)
    head = head_of(url, _HEAD_BYTES) if packed else raw
    if packed and (kind == "tar" or head[_TAR_MAGIC] == b"ustar"):
        raise DataError(
            "is a packed tar, in which nothing can be found", url, "Unpack it: gunzip"
        )
    return kind or _kind_of_text(url, head)


def _kind_of_text(url: str, head: bytes) -> str:
    if head.startswith(_UTF16):
        raise DataError("is UTF-16 text", url, "Save it as UTF-8")
    extension = _extension(url)
    if extension in _LINES:
        return "json_lines"
    if extension in _CSV:
        return "csv"
    text = head.removeprefix(BOM).lstrip()
    if text.startswith(b"["):
        return "json_list"
    if text.startswith(b"{"):
        _refuse_one_object(url, text)
        return "json_lines"
    if not text and extension == ".json":
        return "json_lines"
    raise DataError(f"is of no kind that is read ({_begins(head)})", url, _READ)


def _refuse_one_object(url: str, text: bytes) -> None:
    """An object over several lines is a whole file, and none of its lines is a row."""
    line = text.splitlines()[0].strip()
    if _parses(line) or not _is_opening(line):
        return
    raise DataError(
        "is one JSON object, not a list of rows",
        url,
        "Write a list of objects, or one object a line (JSONL)",
    )


def _is_opening(line: bytes) -> bool:
    """Whether a line only opens an object that goes on in the next."""
    return line in (b"{", b"{[") or line.endswith((b"{", b"[", b","))


def _parses(text: bytes) -> bool:
    try:
        json.loads(text)
    except UNPARSABLE:
        return False
    return True


def _begins(head: bytes) -> str:
    return f"it begins with {head[:16]!r}" if head else "it is empty"


def _extension(url: str) -> str:
    path = PurePosixPath(url.partition("?")[0].lower())
    return path.with_suffix("").suffix if path.suffix == _PACKED else path.suffix
