"""What is wrong with ``search.space``: unknown fields, and values that a field cannot have.

Held against the job's own models, and before the job itself is known to be right, so that all
mistakes of a file are said in one pass.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, JsonValue, ValidationError, create_model
from pydantic.fields import FieldInfo

from orchestrator.config.job import Job
from orchestrator.config.problems import (
    FieldPath,
    described,
    hint_for_unknown,
    section_type,
    sections_by_path,
)
from orchestrator.config.search import Span
from orchestrator.config.section import Section

SPACE: FieldPath = ("search", "space")
_FIXED = {
    "name": "trials are named by their values",
    "storage": "all trials share one place",
    "tracking": "all trials share one record",
    "search": "a search cannot search itself",
}


def space_problems(space: object) -> Iterator[tuple[str, str]]:
    """What is wrong with each axis.

    Args:
        space: As the file has it; nothing is said of what is no mapping.

    Yields:
        The field as it is written, and what is wrong.
    """
    if isinstance(space, Mapping):
        for name, axis in space.items():
            for problem in _axis_problems(str(name), axis):
                yield str(name), problem


def field_of(name: str) -> FieldInfo | None:
    """A field of a job by its dotted name; None where there is none."""
    path = tuple(name.split("."))
    if path not in dict(sections_by_path()):
        return None
    model: type[BaseModel] = Job
    for part in path[:-1]:
        section = section_type(model.model_fields[part].annotation)
        assert section is not None
        model = section
    return model.model_fields[path[-1]]


@lru_cache(maxsize=256)
def is_whole(name: str) -> bool:
    """Whether a field takes whole numbers, and no others."""
    field = field_of(name)
    kinds = set(_kinds(field.annotation)) if field else set()
    return int in kinds and float not in kinds


def _kinds(annotation: object) -> Iterator[object]:
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _axis_problems(name: str, axis: object) -> Iterator[str]:
    path = tuple(name.split("."))
    field = field_of(name)
    if field is None:
        yield f"unknown field{hint_for_unknown(path)}"
    elif path[0] in _FIXED:
        yield f"cannot be searched: {_FIXED[path[0]]}"
    elif isinstance(axis, list | tuple):
        yield from _choice_problems(field, axis)
    else:
        yield from _span_problems(field, axis)


def _choice_problems(
    field: FieldInfo, values: list[JsonValue] | tuple[JsonValue, ...]
) -> Iterator[str]:
    if not values:
        yield "an empty list, where values should be"
    seen: set[str] = set()
    for value in values:
        text = _as_json(value)
        if text in seen:
            yield f"{text} is written twice"
        seen.add(text)
        refusal = _refusal(field, value)
        if refusal is not None:
            yield refusal


def _span_problems(field: FieldInfo, axis: object) -> Iterator[str]:
    if not isinstance(axis, Mapping):
        yield f"input should be a list of values or a range, got {_as_json(axis)}"
        return
    try:
        span = Span.model_validate_json(_as_json(axis))
    except ValidationError as error:
        yield from _texts(error)
        return
    for end in span.ends:
        refusal = _refusal(field, end)
        if refusal is not None:
            yield refusal


def _refusal(field: FieldInfo, value: JsonValue) -> str | None:
    """Why a field by itself does not take a value; other fields may yet refuse it."""
    try:
        _holder(field).model_validate_json(_as_json({"value": value}))
    except ValidationError as error:
        return "; ".join(_texts(error))
    return None


def _holder(field: FieldInfo) -> type[BaseModel]:
    """A section with this field alone in it."""
    annotation: Any = field.annotation
    return create_model("One", __base__=Section, value=(annotation, field))


def _texts(error: ValidationError) -> list[str]:
    return [*described(error.errors(include_url=False)).values()]


def _as_json(value: object) -> str:
    # What is no JSON is said of the file as a whole.
    return json.dumps(value, sort_keys=True, default=str)
