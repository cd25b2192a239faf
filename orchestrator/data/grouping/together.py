"""Find out of each image what its group depends on, and group by that."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar, assert_never

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.grouping import rules
from orchestrator.data.grouping.finding import Progress, content_of, when_taken
from orchestrator.data.grouping.rules import Group, LeftOut
from orchestrator.data.grouping.similarity import perceptual_hash
from orchestrator.data.grouping.spreading import spread
from orchestrator.data.grouping.wanted import Grouping

T = TypeVar("T", int, datetime)


def together(
    folder: Path, names: Sequence[str], wanted: Grouping, progress: Progress | None
) -> tuple[list[Group], list[LeftOut]]:
    """Group images in the way that is wanted, into groups of whatever size.

    Args:
        folder: The folder that is grouped.
        names: Its images, in natural order.
        wanted: How.
        progress: Called as images are looked at, where they are.

    Returns:
        Groups, and the images of which is not known what the grouping needs.

    Raises:
        StorageError: The disk does not answer.
    """
    across = wanted.across_folders
    match wanted.how:
        case "folder":
            return rules.by_folder(names, folder.name), []
        case "name":
            pattern = rules.checked_pattern(wanted.pattern)
            return rules.by_name(names, pattern, across_folders=across)
        case "time":
            ask_time = partial(_time, folder, use_file_time=wanted.use_file_time)
            times, unfit = _known(names, spread(ask_time, names, "images", progress))
            return rules.by_time(times, wanted.gap_s, across_folders=across), unfit
        case "look":
            hashes, unfit = _known(
                names, spread(partial(_hash, folder), names, "images", progress)
            )
            return rules.by_look(hashes, wanted.distance, across_folders=across), unfit
        case _:
            assert_never(wanted.how)


def _time(folder: Path, name: str, *, use_file_time: bool) -> datetime | LeftOut:
    try:
        return when_taken(folder, name, use_file_time=use_file_time)
    except BadSampleError as error:
        return LeftOut(name, error.reason, error.remedy)


def _hash(folder: Path, name: str) -> int | LeftOut:
    try:
        return perceptual_hash(content_of(folder, name))
    except BadSampleError as error:
        return LeftOut(name, error.reason, error.remedy)


def _known(
    names: Sequence[str], facts: Sequence[T | LeftOut]
) -> tuple[dict[str, T], list[LeftOut]]:
    """What was found out of each image, and those of which nothing was."""
    pairs = zip(names, facts, strict=True)
    known = {name: fact for name, fact in pairs if not isinstance(fact, LeftOut)}
    return known, [fact for fact in facts if isinstance(fact, LeftOut)]
