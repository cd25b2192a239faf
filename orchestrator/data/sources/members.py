"""Images and videos that came with a row in a tar: put where the row names them."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import MediaRef
from orchestrator.data.media_refs import show
from orchestrator.data.sources.columns import MEDIA, TURNS, Row

_IN_PARTS = ("image", "video", "image_url", "video_url", "path", "url")


def with_members(row: Row, members: Mapping[str, MediaRef]) -> Row:
    """Refer to members where a row names them, or to all where it names none.

    A member goes by its whole name, by its name without folders, and by what comes after the
    first dot. A row that names a single image by any other name means the only one there is.

    Args:
        row: A row in the one form, but for the names.
        members: By whole name, in order.

    Raises:
        BadSampleError: The row names one that did not come with it.
    """
    known = {alias: ref for name, ref in members.items() for alias in _aliases(name)}
    filled, used = _with_parts(row, known)
    for kind, columns in MEDIA.items():
        there = [ref for ref in members.values() if ref.kind == kind]
        given = next((name for name in columns if row.get(name)), None)
        if not there:
            continue
        if given is not None:
            filled[given] = _named(row[given], known, there)
        elif left := [ref for ref in there if ref not in used]:
            filled[columns[0]] = left
    return filled


def _aliases(name: str) -> Iterator[str]:
    base = name.rpartition("/")[2]
    yield from (name, base, base.partition(".")[2])


def _named(given: Any, known: Mapping[str, MediaRef], there: list[MediaRef]) -> Any:  # noqa: ANN401 - any cell
    entries = given if isinstance(given, list) else [given]
    if len(entries) == len(there) == 1 and isinstance(entries[0], str):
        return there
    return [_member(entry, known) if isinstance(entry, str) else entry for entry in entries]


def _member(name: str, known: Mapping[str, MediaRef]) -> MediaRef:
    if name not in known:
        raise BadSampleError(
            f"{name!r} did not come with the row in the tar, but {show(sorted(known))}",
            "Name images by the members of the sample, or not at all",
        )
    return known[name]


def _with_parts(row: Row, known: Mapping[str, MediaRef]) -> tuple[Row, list[MediaRef]]:
    """Put members into content parts that name them; give also which."""
    used: list[MediaRef] = []

    def put(part: object) -> object:
        if not isinstance(part, dict):
            return part
        for key in _IN_PARTS:
            cell = part.get(key)
            name = cell.get("url") if isinstance(cell, dict) else cell
            if isinstance(name, str) and name in known:
                used.append(known[name])
                return {**part, key: known[name]}
        return part

    def filled(turn: object) -> object:
        if not isinstance(turn, dict):
            return turn
        lists = {key: cell for key, cell in turn.items() if isinstance(cell, list)}
        return {**turn, **{key: [put(part) for part in cell] for key, cell in lists.items()}}

    turns = next((name for name in TURNS if isinstance(row.get(name), list)), None)
    if turns is None:
        return dict(row), used
    return {**row, turns: [filled(turn) for turn in row[turns]]}, used
