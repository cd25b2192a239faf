"""Read a template: a shipped one by its name, or a person's own text file."""

import difflib
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from orchestrator.data.templates.template import MARK, Field, Piece, Template
from orchestrator.errors import ConfigError, DataError

FIELDS = ("num_images", "numbered_images", "instruction")
EACH = f"Image {{number}}: {MARK}"
MOST_BYTES = 100_000
"""Larger files are refused: a data file given by mistake would become part of every sample."""

_HEADER = "each:"
_TOKEN = re.compile(MARK + r"|\{\{|\}\}|\{[^{}]*\}|[{}]")


def shipped_templates() -> tuple[str, ...]:
    """The names of the templates that come with the program, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".txt") for f in files if f.name.endswith(".txt")))


def load_template(name_or_path: str) -> Template:
    """Read a template.

    Args:
        name_or_path: A name of ``shipped_templates``, which comes first, or a text file's path.

    Raises:
        ConfigError: It is neither.
        DataError: The file cannot be read as a template.
    """
    names = shipped_templates()
    if name_or_path in names:
        file = resources.files(__package__).joinpath(f"{name_or_path}.txt")
        return parse_template(file.read_text(encoding="utf-8"), name_or_path)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        close = difflib.get_close_matches(name_or_path, names, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise ConfigError(
            f"no template and no file is called {name_or_path!r}{meant}",
            "template",
            f"Use one of {', '.join(names)}, or the path of a text file",
        )
    return parse_template(_read(path), str(path))


def parse_template(text: str, name: str) -> Template:
    """Read a template's text.

    Raises:
        DataError: A field is unknown, missing or there twice, or a brace has no partner.
    """
    header, _, body = text.partition("\n")
    first_line = 2
    if not header.startswith(_HEADER):
        header, body, first_line = _HEADER + EACH, text, 1
    blank = len(body) - len(body.lstrip())
    first_line += body.count("\n", 0, blank)
    each = header.removeprefix(_HEADER).strip()
    template = Template(
        name,
        tuple(_pieces(each, ("number", "image"), name, 1)),
        tuple(_pieces(body.strip(), FIELDS, name, first_line)),
    )
    _check_counts(template)
    return template


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", str(path), "Check the file"
        ) from error
    if len(data) > MOST_BYTES:
        raise DataError(
            f"{len(data)} bytes, at most {MOST_BYTES} in a template",
            str(path),
            "Name a template's text file",
        )
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start} is not UTF-8", str(path), "Save the file as UTF-8"
        ) from error


def _pieces(text: str, allowed: tuple[str, ...], name: str, first_line: int) -> Iterator[Piece]:
    """Cut a text at its fields; neighbouring text comes as one piece."""
    said, end = "", 0
    for token in _TOKEN.finditer(text):
        said += text[end : token.start()]
        end = token.end()
        if token[0] in ("{{", "}}"):
            said += token[0][0]
            continue
        line = first_line + text.count("\n", 0, token.start())
        field = _field(token[0], allowed, f"{name}, line {line}")
        if said:
            yield said
        yield field
        said = ""
    if said + text[end:]:
        yield said + text[end:]


def _field(token: str, allowed: tuple[str, ...], where: str) -> Field:
    if token in ("{", "}"):
        raise DataError(
            f"{token!r} has no partner", where, f"Close the field, or write {token * 2} for one"
        )
    name, options = ("image", ()) if token == MARK else _name_and_options(token[1:-1])
    if name == "image" and "image" not in allowed:
        raise DataError(
            f"{MARK} stands outside of each: the number of images is the row's",
            where,
            "Write {numbered_images} where the images go",
        )
    if name not in allowed or token == "{image}":
        known = [MARK if one == "image" else f"{{{one}}}" for one in allowed]
        raise DataError(f"unknown field {token}", where, f"Use {', '.join(known)}")
    _check_options(name, options, token, where)
    return Field(name, options)


def _name_and_options(inside: str) -> tuple[str, tuple[str, ...]]:
    name, bar, rest = inside.partition("|")
    if not bar:
        return name.strip(), ()
    # A question may have a bar in it; words of a number may not.
    return name.strip(), (rest,) if name.strip() == "instruction" else tuple(rest.split("|"))


def _check_options(name: str, options: tuple[str, ...], token: str, where: str) -> None:
    if name == "instruction":
        fits, remedy = (not options or options[0].strip() != ""), "Write a question behind |"
    elif name == "num_images":
        fits, remedy = len(options) in (0, 2), "Write {num_images|image|images}"
    else:
        fits, remedy = not options, f"Write {{{name}}}"
    if not fits:
        raise DataError(f"{token} is not complete", where, remedy)


def _check_counts(template: Template) -> None:
    """Refuse what would lose images or words, or use them twice."""
    places = (
        (template.body, "numbered_images", "{numbered_images}", template.name),
        (template.body, "instruction", "{instruction}", template.name),
        (template.each, "image", MARK, f"{template.name}: each"),
        (template.each, "number", "{number}", f"{template.name}: each"),
    )
    for pieces, name, written, where in places:
        times = sum(isinstance(piece, Field) and piece.name == name for piece in pieces)
        if times != 1:
            found = f"{written} is there {times} times" if times else f"{written} is missing"
            raise DataError(found, where, f"Write {written} once")
