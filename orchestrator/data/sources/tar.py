"""WebDataset shards: tars in which members of one sample share their name up to the first dot.

A sample's ``.json`` is its row; ``.txt`` and ``.cls`` are columns of these names. Images and
videos stay where they are: a row refers to them by their bytes in the tar. Members of other
kinds are left alone.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, BinaryIO

from orchestrator.data.conversation import MediaRef
from orchestrator.data.sources.json_lines import UNPARSABLE, brief
from orchestrator.data.sources.opening import bytes_of, is_remote, open_file
from orchestrator.data.sources.record import Record
from orchestrator.data.sources.spans import Span
from orchestrator.data.sources.tar_members import Member, members
from orchestrator.errors import DataError

# Nothing is read by these names but which Medium to ask; it looks at the content.
_KINDS = {
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"), "image"),
    **dict.fromkeys(("mp4", "webm", "mov", "mkv", "avi"), "video"),
    **dict.fromkeys(("wav", "mp3", "flac", "m4a", "ogg"), "audio"),
}
_MOST_REMOTE_BYTES = 4 << 30
_ROW = "json"
_COLUMNS = (_ROW, "txt", "cls")
_NAME = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)
_DIGITS = re.compile(r"(\d{1,18})")
_WHOLE = "Copy or write the shard again"
_IN_FULL = "Write the file itself into the shard, and rows as JSON objects in UTF-8"


@dataclass(frozen=True, slots=True)
class _Sample:
    key: str
    members: tuple[Member, ...]

    @property
    def fault(self) -> str | None:
        return self.members[-1].fault


class _BadRowError(Exception):
    """Says what is wrong with a row."""


def cut(url: str, rows: int) -> Iterator[Span]:
    """Divide a shard between samples. Start and stop are bytes.

    Raises:
        DataError: It is no tar at all.
    """
    with open_file(url) as file:
        first, end = next(_samples(file, 0, None), None), bytes_of(file)
        if first is not None and first.fault is not None and not first.key:
            raise DataError(f"is no tar ({first.fault})", url, _WHOLE)
        if not is_remote(url) or end > _MOST_REMOTE_BYTES:
            yield from _cut(_samples(file, 0, None), rows)
        elif first is not None:
            # To find its samples, nearly all of it is fetched: a task does that.
            yield Span(0, end, 1)


def read(url: str, span: Span) -> Iterator[Record]:
    """Give each sample as a row; where the shard breaks off, a row that says so is the last."""
    with open_file(url) as file:
        samples = _samples(file, span.start, span.stop)
        for row, sample in enumerate(samples, start=span.first_row):
            if sample.fault is not None:
                fault = f"breaks off, {sample.fault} (byte {sample.members[-1].start})"
                yield Record(row, {"id": sample.key}, fault, _WHOLE)
            else:
                yield _record(file, row, sample, url)


def _cut(samples: Iterable[_Sample], rows: int) -> Iterator[Span]:
    start = first_row = held = stop = 0
    for row, sample in enumerate(samples, start=1):
        if not held:
            start, first_row = sample.members[0].start, row
        held, stop = held + 1, sample.members[-1].stop
        if held == rows:
            yield Span(start, stop, first_row)
            held = 0
    if held:
        yield Span(start, stop, first_row)


def _samples(file: BinaryIO, start: int, stop: int | None) -> Iterator[_Sample]:
    """Members that follow one another and share a key."""
    keyed = _keyed(members(file, start, stop))
    for key, group in groupby(keyed, key=lambda pair: pair[0]):
        yield _Sample(key, tuple(member for _, member in group))


def _keyed(given: Iterable[Member]) -> Iterator[tuple[str, Member]]:
    key = ""
    for member in given:
        named = _NAME.fullmatch(member.name)
        if named is not None:
            key = named[1]
        # A break without a name is one in the sample that it is found in.
        if named is not None or member.fault is not None:
            yield key, member


def _record(file: BinaryIO, row: int, sample: _Sample, url: str) -> Record:
    texts = [member for member in sample.members if _suffix(member) in _COLUMNS]
    links = [member.name for member in sample.members if member.is_link]
    try:
        cells = {} if links else _cells(file, texts)
    except _BadRowError as error:
        return Record(row, {"id": sample.key}, str(error), _IN_FULL)
    if links:
        fault = f"has a link in the tar, {links[0]!r}"
        return Record(row, {"id": sample.key}, fault, _IN_FULL)
    media = {member.name: ref for member in _in_order(sample) if (ref := _ref(member, url))}
    sounds = [name for name, ref in media.items() if ref.kind == "audio"]
    # Refused further on, as a column of that name is anywhere.
    heard = {"audios": sounds} if sounds else {}
    return Record(row, {"id": sample.key, **heard, **cells}, members=media)


def _cells(file: BinaryIO, texts: list[Member]) -> dict[str, Any]:
    """Columns of a row; those that it gives itself count more than members of their name."""
    last_is_row = sorted(texts, key=lambda member: _suffix(member) == _ROW)
    cells: dict[str, Any] = {}
    for member in last_is_row:
        cells |= _columns(file, member)
    return cells


def _columns(file: BinaryIO, member: Member) -> dict[str, Any]:
    """What a member says as text: the row, or one column."""
    file.seek(member.offset)
    body = file.read(member.length)
    try:
        if _suffix(member) != _ROW:
            return {_suffix(member): body.decode().strip()}
        found = json.loads(body)
    except UNPARSABLE as error:
        raise _BadRowError(f"{member.name!r} cannot be read ({brief(error)})") from error
    if not isinstance(found, dict):
        raise _BadRowError(f"{member.name!r} is a JSON {type(found).__name__}, not an object")
    return found


def _ref(member: Member, url: str) -> MediaRef | None:
    kind = _KINDS.get(member.name.rpartition(".")[2].lower())
    if kind is None:
        return None
    span = member.offset, member.length
    return MediaRef(url, kind, *span, is_own=True, name=member.name)


def _suffix(member: Member) -> str:
    """What comes after the first dot."""
    return member.name.rpartition("/")[2].partition(".")[2].lower()


def _in_order(sample: _Sample) -> list[Member]:
    """By name, numbers in it by their size: 10.jpg comes after 9.jpg."""
    return sorted(sample.members, key=lambda member: _natural(member.name))


def _natural(name: str) -> list[str | int]:
    pieces = _DIGITS.split(name)
    # Between two digits runs there is always one of other letters, empty or not.
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]
