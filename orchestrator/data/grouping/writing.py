"""Write groups as a data file, and know one's own file again.

Beside ``NAME.jsonl`` there is a folder ``NAME_sheets`` with the contact sheets, the list of
what was left out, and a note of what was written.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.grouping.finding import MADE
from orchestrator.data.grouping.rules import Group, LeftOut
from orchestrator.data.templates.template import MARK, Template, apply
from orchestrator.errors import DataError
from orchestrator.storage import Store


def sheets_folder(data_file: Path) -> Path:
    """Where all goes that is written beside a data file."""
    return data_file.with_name(f"{data_file.stem}_sheets")


def sheet_name(number: int, group: Group) -> str:
    """A file name that sorts as its group does, and says which it is."""
    words = re.sub(r"[^\w.-]+", "_", group.id).strip("_.")
    # A name may have 255 bytes, and a letter four.
    return f"{number:05}-{words[:50]}.jpg"


def refuse_foreign(data_file: Path) -> None:
    """Refuse to write over a file that is not as we wrote it.

    Raises:
        DataError: The file is another's, or somebody has changed it since.
    """
    if not data_file.exists():
        return
    written = _made(data_file).get("data_sha256")
    if not data_file.is_file() or written != _sha256(data_file.read_bytes()):
        raise DataError(
            "is there already, and not as this command wrote it",
            str(data_file),
            "Choose another file, or write over it with --force",
        )


def media_dir(folder: Path, data_file: Path) -> Path:
    """Where image paths start: beside the data file, unless the images are elsewhere."""
    return data_file.parent if folder.is_relative_to(data_file.parent) else folder


def row_of(
    group: Group, within: str, template: Template | None, question: str | None
) -> dict[str, Any]:
    """A group as a row whose answer is still to be given.

    Args:
        group: Its images.
        within: Path from ``media_dir`` to the folder that is grouped.
        template: Asks about them; None leaves that to the job.
        question: What is asked; None takes the template's.

    Raises:
        BadSampleError: Neither asks anything.
    """
    images = [(PurePosixPath(within) / name).as_posix() for name in group.names]
    asked = [Text(question)] if question else []
    if template is not None:
        turn = Turn("user", (*map(MediaRef, images), *asked))
        talk = apply(template, Conversation(group.id, (turn,)))
    else:
        talk = Conversation(group.id, (Turn("user", tuple(asked)),))
    said = "".join(part.text if isinstance(part, Text) else MARK for part in talk.parts())
    conversations = [{"role": "user", "content": said}]
    return {"id": group.id, "images": images, "conversations": conversations}


def announce(data_file: Path, sheets: Sequence[str]) -> None:
    """Note the sheets that are about to be drawn, so that they are never taken for images.

    Raises:
        StorageError: The disk does not take it.
    """
    made = _made(data_file)
    _note(data_file, made.get("data_sha256"), [*made.get("sheets", []), *sheets])


def write_all(
    data_file: Path,
    rows: Sequence[Mapping[str, Any]],
    left_out: Sequence[LeftOut],
    sheets: Sequence[str],
) -> None:
    """Write the data file and what is noted beside it; sheets of before that are none now go.

    Raises:
        StorageError: The disk does not take it.
    """
    beside = Store.open(str(sheets_folder(data_file)))
    for old in set(_made(data_file).get("sheets", [])) - set(sheets):
        beside.delete(old)
    left = [{"image": one.name, "reason": one.reason, "remedy": one.remedy} for one in left_out]
    beside.write("left_out.jsonl", _lines(left))
    data = _lines(rows)
    _note(data_file, _sha256(data), sheets)
    Store.open(str(data_file.parent)).write(data_file.name, data)


def _note(data_file: Path, data_sha256: str | None, sheets: Sequence[str]) -> None:
    made = {"data_sha256": data_sha256, "sheets": sorted(set(sheets))}
    text = json.dumps(made, indent=1, ensure_ascii=False)
    Store.open(str(sheets_folder(data_file))).write(MADE, text.encode())


def _made(data_file: Path) -> dict[str, Any]:
    """What was noted when the file was written; nothing where there is no such note."""
    try:
        made = json.loads((sheets_folder(data_file) / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
