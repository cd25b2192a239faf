"""Group the pictures of a folder, show the groups, and write them as a data file."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.contact_sheet import contact_sheet
from orchestrator.data.grouping import rules
from orchestrator.data.grouping.answers import Answers, answered, read_answers
from orchestrator.data.grouping.finding import Progress, content_of, find_images
from orchestrator.data.grouping.rules import Group, LeftOut
from orchestrator.data.grouping.spreading import spread
from orchestrator.data.grouping.together import together
from orchestrator.data.grouping.wanted import Grouping, check
from orchestrator.data.grouping.writing import (
    announce,
    media_dir,
    refuse_foreign,
    row_of,
    sheet_name,
    sheets_folder,
    write_all,
)
from orchestrator.data.templates.reading import load_template
from orchestrator.data.templates.template import Template
from orchestrator.errors import ConfigError
from orchestrator.storage import Store

_Groups = tuple[list[Group], list[LeftOut]]


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What became of a folder."""

    data_file: str
    media_dir: str
    """What a job has to name as ``media_dir``."""

    sheets: str
    """Folder of the contact sheets, and of the list of what was left out."""

    groups: int
    images: int
    sizes: dict[int, int]
    """Number of groups by number of images."""

    unanswered: int
    """Groups whose answer is still to be given: as they are, nothing is learned from them."""

    left_out: tuple[LeftOut, ...]
    other_files: int
    """Files that are no images."""

    notes: tuple[str, ...]
    """What a person should hear of the answers."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, what is left out as a number."""
        return {**asdict(self), "left_out": len(self.left_out)}


def group_images(
    folder: Path, data_file: Path, wanted: Grouping, progress: Progress | None = None
) -> GroupReport:
    """Group the images in a folder and the folders in it.

    The same images and wishes give the same files, byte for byte.

    Args:
        folder: What is grouped.
        data_file: JSONL that is written. Beside it comes a folder for contact sheets.
        wanted: How.
        progress: Called with what is done, what there is to do, and what that is.

    Raises:
        ConfigError: A wish cannot be met.
        DataError: There is no image, or the data file is not as this wrote it.
        StorageError: A disk does not answer.
    """
    check(wanted, data_file)
    template = load_template(wanted.template) if wanted.template else None
    _refuse_silence(template, wanted.question)
    answers = read_answers(wanted.answers) if wanted.answers else Answers("id", {})
    rules.checked_pattern(wanted.pattern)
    folder, data_file = folder.resolve(), data_file.resolve()
    if not wanted.force:
        refuse_foreign(data_file)
    found = find_images(folder, progress)
    groups, left_out = _groups(folder, found.names, wanted, progress)
    sheets: list[str] = []
    if wanted.sheets:
        sheets, torn = _draw(folder, data_file, groups, progress)
        groups, small = _without(groups, torn, wanted.min_size)
        left_out += [*torn, *small]
    left_out = sorted([*found.left_out, *left_out], key=lambda one: rules.natural_key(one.name))
    known = answered(groups, answers)
    start = media_dir(folder, data_file)
    within = folder.relative_to(start).as_posix()
    rows = [row_of(group, within, template, wanted.question) for group in groups]
    unanswered = _answer(rows, known.by_id, wanted.answer)
    write_all(data_file, rows, left_out, sheets)
    return GroupReport(
        data_file=str(data_file),
        media_dir=str(start),
        sheets=str(sheets_folder(data_file)),
        groups=len(groups),
        images=sum(len(group.names) for group in groups),
        sizes=dict(sorted(Counter(len(group.names) for group in groups).items())),
        unanswered=unanswered,
        left_out=tuple(left_out),
        other_files=found.num_others,
        notes=known.notes,
    )


def _refuse_silence(template: Template | None, question: str | None) -> None:
    """Find out before the work that nothing would be asked."""
    try:
        row_of(Group("", ("image",)), "", template, question)
    except BadSampleError as error:
        raise ConfigError("nothing is asked", "group", "Give a question") from error


def _groups(
    folder: Path, names: Sequence[str], wanted: Grouping, progress: Progress | None
) -> _Groups:
    """Groups of a size that is wanted, in natural order, and what is in none."""
    groups, unfit = together(folder, names, wanted, progress)
    groups.sort(key=lambda group: rules.natural_key(group.id))
    kept, small = rules.bounded(groups, wanted.min_size, wanted.max_size)
    return kept, [*unfit, *small]


def _draw(
    folder: Path, data_file: Path, groups: Sequence[Group], progress: Progress | None
) -> tuple[list[str], list[LeftOut]]:
    """Draw the contact sheets; give their names, and the images that are broken."""
    sheets = [sheet_name(number, group) for number, group in enumerate(groups, start=1)]
    announce(data_file, sheets)
    draw = partial(_draw_one, folder, str(sheets_folder(data_file)))
    torn = spread(draw, list(zip(sheets, groups, strict=True)), "sheets", progress)
    return sheets, list(chain.from_iterable(torn))


def _draw_one(folder: Path, sheets: str, one: tuple[str, Group]) -> list[LeftOut]:
    name, group = one
    sheet = contact_sheet(group.id, [content_of(folder, image) for image in group.names])
    Store.open(sheets).write(name, sheet.jpeg)
    return [LeftOut(group.names[b.place], b.reason, b.remedy) for b in sheet.broken]


def _without(groups: Sequence[Group], torn: Sequence[LeftOut], min_size: int) -> _Groups:
    """Take broken images out of their groups; a group may be too small then."""
    names = {one.name for one in torn}
    whole = [
        replace(group, names=tuple(name for name in group.names if name not in names))
        for group in groups
    ]
    hurt = [group for group, old in zip(whole, groups, strict=True) if group != old]
    small = rules.bounded(hurt, min_size, sys.maxsize)[1]
    gone = {one.name for one in small}
    return [group for group in whole if group.names and group.names[0] not in gone], small


def _answer(
    rows: Sequence[dict[str, Any]], by_id: dict[str, str], otherwise: str | None
) -> int:
    """Give each row its answer; give the number of those that have none."""
    unanswered = 0
    for row in rows:
        answer = by_id.get(row["id"], otherwise)
        if answer:
            row["conversations"].append({"role": "assistant", "content": answer})
        else:
            unanswered += 1
    return unanswered
