"""What belongs together: pure functions over names, times and looks.

A name is a picture's path inside the folder that is grouped, with ``/`` between its parts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.data.grouping.similarity import alike
from orchestrator.errors import ConfigError

NAME_PATTERN = r"^(.*?)(?:[-_ ]\(?\d+\)?)?\.\w+$"
"""The name up to a number that ends it: ``shoe_1.jpg`` and ``shoe (2).jpg`` have ``shoe``."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that belong together."""

    id: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is in no group."""

    name: str
    reason: str
    remedy: str


def natural_key(name: str) -> tuple[object, ...]:
    """Sort key that puts ``img2`` before ``img10``, folder by folder."""
    parts = tuple(_pieces(part.casefold()) for part in name.split("/"))
    # Behind it the name itself: A.jpg and a.jpg always come in the same order.
    return parts, name


def _pieces(text: str) -> tuple[str | int, ...]:
    # Words and numbers in turn, so that like is compared with like.
    words_and_numbers = re.split(r"([0-9]+)", text)
    return tuple(
        int(piece) if place % 2 else piece for place, piece in enumerate(words_and_numbers)
    )


def folder_of(name: str) -> str:
    """The folder that a picture is in; "" for the top one."""
    return name.rpartition("/")[0]


def by_folder(names: Sequence[str], top: str) -> list[Group]:
    """One group for each folder, called by its path from ``top`` on, the top one's name."""
    return [
        Group(f"{top}/{folder}" if folder else top, tuple(inside))
        for folder, inside in _inside(names).items()
    ]


def checked_pattern(pattern: str) -> re.Pattern[str]:
    """Take a regular expression with one group in it.

    Raises:
        ConfigError: It is none.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"{pattern!r} is no regular expression ({error})",
            "the name's pattern",
            "Correct it",
        ) from error
    if compiled.groups != 1:
        raise ConfigError(
            f"{pattern!r} has {compiled.groups} groups",
            "the name's pattern",
            "Put brackets around the part of a name that its group shares, and no others",
        )
    return compiled


def by_name(
    names: Sequence[str], pattern: re.Pattern[str], *, across_folders: bool
) -> tuple[list[Group], list[LeftOut]]:
    """One group for each key that ``pattern`` finds in a file's name."""
    groups: dict[str, list[str]] = {}
    left_out = []
    for name in names:
        folder, _, file = name.rpartition("/")
        found = pattern.search(file)
        if found is None or not found[1]:
            left_out.append(
                LeftOut(name, f"{pattern.pattern!r} finds no key in its name", "Rename it")
            )
            continue
        within = "" if across_folders or not folder else f"{folder}/"
        groups.setdefault(within + found[1], []).append(name)
    return [Group(key, tuple(inside)) for key, inside in groups.items()], left_out


def by_time(
    times: Mapping[str, datetime], gap_s: float, *, across_folders: bool
) -> list[Group]:
    """A new group wherever more than ``gap_s`` lies between one picture and the next.

    Args:
        times: When each picture was taken, in the order of names.
        gap_s: Seconds.
        across_folders: Whether a group may hold pictures of several folders.

    Returns:
        Groups in the order of time, called as their first picture.
    """
    gap = timedelta(seconds=gap_s)
    groups = []
    for inside in _inside(times, across_folders=across_folders).values():
        # Stable: pictures of one second stay in the order of their names.
        ordered = sorted(inside, key=times.__getitem__)
        runs: list[list[str]] = []
        for name in ordered:
            if runs and times[name] - times[runs[-1][-1]] <= gap:
                runs[-1].append(name)
            else:
                runs.append([name])
        groups += [Group(run[0], tuple(run)) for run in runs]
    return groups


def by_look(hashes: Mapping[str, int], most_bits: int, *, across_folders: bool) -> list[Group]:
    """Pictures that look alike, called as the first of them; see ``similarity.alike``."""
    groups = []
    for inside in _inside(hashes, across_folders=across_folders).values():
        for places in alike([hashes[name] for name in inside], most_bits):
            names = tuple(inside[place] for place in places)
            groups.append(Group(names[0], names))
    return groups


def bounded(
    groups: Iterable[Group], min_size: int, max_size: int
) -> tuple[list[Group], list[LeftOut]]:
    """Cut what is too large into even pieces, and set aside what is too small.

    Args:
        groups: As found.
        min_size: Pictures that a group must have, before it is cut.
        max_size: Pictures that a group may have.

    Returns:
        The groups, a piece called as its group with ``#1`` behind it; and the pictures of
        groups that are too small.
    """
    kept, left_out = [], []
    for group in groups:
        if len(group.names) >= min_size:
            kept += list(_cut(group, max_size))
            continue
        reason = f"in a group of {len(group.names)}, at least {min_size} are wanted"
        remedy = "Lower the least size, or group in another way"
        left_out += [LeftOut(name, reason, remedy) for name in group.names]
    return kept, left_out


def _cut(group: Group, max_size: int) -> Iterator[Group]:
    count = len(group.names)
    pieces = -(-count // max_size)
    if pieces == 1:
        yield group
        return
    for piece in range(pieces):
        names = group.names[piece * count // pieces : (piece + 1) * count // pieces]
        yield Group(f"{group.id}#{piece + 1}", names)


def _inside(names: Iterable[str], *, across_folders: bool = False) -> dict[str, list[str]]:
    """Names by folder, in their order; all of them together across folders."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault("" if across_folders else folder_of(name), []).append(name)
    return folders
