"""Say what is wrong with a job in a person's words: field, value, remedy, one line each."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from orchestrator.config.job import Job
from orchestrator.errors import ConfigError

COMPARE = "Compare jobs/demo.yaml"

FieldPath = tuple[str | int, ...]

_SHOULD_BE = "input should be "
_TAGS = {"one", "many"}
_SPACE = ("search", "space")

# A job file is YAML: its readers know sections and lists.
_YAML_WORDS = {"an object": "a section", "a valid array": "a list"}
_YAML_VALUES = {None: "null", True: "true", False: "false"}


def joined(problems: Iterable[ConfigError]) -> ConfigError:
    """Several problems as one error whose text has a line for each."""
    return reduce(
        lambda a, b: ConfigError(
            f"{a.problem}. {a.fix}.\n{b.where}: {b.problem}", a.where, b.fix
        ),
        problems,
    )


def dotted(path: FieldPath) -> str:
    """``("train", "epochs")`` as a person writes it."""
    return ".".join(str(part) for part in path)


def described(
    details: Iterable[ErrorDetails], model: type[BaseModel] = Job
) -> dict[FieldPath, str]:
    """What pydantic found in a file of ``model``, by field, in the order of the file.

    The alternatives of one field (``gpu``: a word or a truth value) come as one text.
    """
    found: dict[FieldPath, list[str]] = {}
    values: dict[FieldPath, str] = {}
    for detail in details:
        path = _real_path(detail, model)
        found.setdefault(path, []).append(_message(detail, path, model))
        values[path] = _value(detail)
    return {path: _either(texts) + values[path] for path, texts in found.items()}


def sections_by_path(
    model: type[BaseModel] = Job, prefix: FieldPath = ()
) -> Iterator[tuple[FieldPath, type[BaseModel] | None]]:
    """Every field of a job file with its section type; None for a plain value."""
    for name, field in model.model_fields.items():
        path = (*prefix, name)
        section = section_type(field.annotation)
        yield path, section
        if section is not None:
            yield from sections_by_path(section, path)


def hint_for_unknown(path: FieldPath, model: type[BaseModel] = Job) -> str:
    """What a person most likely meant by ``path``, in brackets; "" if nobody can know.

    A neighbour of a similar name comes first, written without its section; then the same name
    in another section; then all that the section has.
    """
    real = [field for field, _ in sections_by_path(model)]
    section = _without_numbers(path)[:-1]
    neighbours = [str(field[-1]) for field in real if field[:-1] == section]
    close = difflib.get_close_matches(str(path[-1]), neighbours, n=1)
    close += [dotted(field) for field in real if field[-1] == path[-1]]
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (there are {', '.join(neighbours)})" if neighbours else ""


def section_type(annotation: object) -> type[BaseModel] | None:
    """The section that a field holds; None for a plain value, and for a mapping of any keys."""
    if get_origin(annotation) is dict:
        return None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_type, get_args(annotation))), None)


def _real_path(detail: ErrorDetails, model: type[BaseModel]) -> FieldPath:
    """The location without the tags that pydantic adds for the alternatives of a union."""
    location = tuple(part for part in detail["loc"] if part not in _TAGS)
    if detail["type"] == "extra_forbidden":
        return location
    fields = dict(sections_by_path(model))
    while location and _without_numbers(location) not in fields:
        # The keys of a mapping are a person's own, and say where to look.
        if location[:-1] == _SPACE:
            break
        location = location[:-1]
    return location


def _without_numbers(path: FieldPath) -> FieldPath:
    """A field's path whatever its place in a list."""
    return tuple(part for part in path if not isinstance(part, int))


def _message(detail: ErrorDetails, path: FieldPath, model: type[BaseModel]) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown field{hint_for_unknown(path, model)}"
    text = detail["msg"].removeprefix("Value error, ")
    for word, plain in _YAML_WORDS.items():
        text = text.replace(word, plain)
    return text[:1].lower() + text[1:]


def _value(detail: ErrorDetails) -> str:
    # A missing field has no value, and a section's is too long to repeat.
    if detail["type"] in {"missing", "extra_forbidden"} or isinstance(detail["input"], Mapping):
        return ""
    value = detail["input"]
    is_word = value is None or isinstance(value, bool)
    shown = _YAML_VALUES[value] if is_word else repr(value)
    return f", got {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _either(texts: list[str]) -> str:
    first, *rest = dict.fromkeys(texts)
    return " or ".join([first, *(text.removeprefix(_SHOULD_BE) for text in rest)])
