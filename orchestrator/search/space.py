"""From a space to jobs: combinations of a grid, draws at random, and the job of each."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pydantic import JsonValue, ValidationError

from orchestrator.config.job import Job
from orchestrator.config.problems import described, dotted
from orchestrator.config.search import Axis, Number, Span
from orchestrator.config.space import is_whole
from orchestrator.errors import ConfigError

Values: TypeAlias = dict[str, JsonValue]
"""What a trial sets: dotted fields of the job, in the order of the space."""
Space: TypeAlias = Mapping[str, Axis]


def grid(space: Space) -> Iterator[Values]:
    """All combinations of lists, the last field changing fastest."""
    choices = [axis for axis in space.values() if not isinstance(axis, Span)]
    assert len(choices) == len(space), "a grid of ranges"
    for combination in itertools.product(*choices):
        yield dict(zip(space, combination, strict=True))


def draw(space: Space, *, seed: int, number: int) -> Values:
    """The draw of a number; another one has another, and each is always the same.

    Args:
        space: Lists and ranges.
        seed: Of the search.
        number: Of the draw.
    """
    rng = np.random.default_rng((seed, number))
    return {name: draw_one(name, axis, rng) for name, axis in space.items()}


def draw_one(name: str, axis: Axis, rng: np.random.Generator) -> JsonValue:
    """A value of one field."""
    if not isinstance(axis, Span):
        chosen: JsonValue = axis[int(rng.integers(len(axis)))]
        return chosen
    return at(name, axis, float(rng.random()))


def at(name: str, span: Span, share: float) -> Number:
    """The number at a place of a range.

    Args:
        name: The field, which may want whole numbers.
        span: The range.
        share: 0 is its least, 1 its most.
    """
    least, most = span.ends
    whole = is_whole(name)
    # A whole number is as likely as any other, the ends included.
    low, high = (least - 0.5, most + 0.5) if whole else (float(least), float(most))
    if span.log is not None:
        low, high = math.log(low), math.log(high)
    drawn = low + share * (high - low)
    if span.log is not None:
        drawn = math.exp(drawn)
    return as_field(name, span, drawn)


def as_field(name: str, span: Span, number: float) -> Number:
    """A number as its field takes it, and within its range."""
    least, most = span.ends
    if is_whole(name):
        return min(max(round(number), math.ceil(least)), math.floor(most))
    # Four digits tell a learning rate; more make names that nobody can read.
    return min(max(float(f"{number:.4g}"), float(least)), float(most))


def job_with(job: Job, values: Values, *, name: str) -> Job:
    """The job of one trial: resolved, with a name of its own, and no search in it.

    Args:
        job: The resolved job of the search.
        values: What this trial sets.
        name: Of the trial's run.

    Raises:
        ConfigError: The values do not go together, or not with the rest of the job.
    """
    plain = job.model_dump(mode="json")
    plain |= {"name": name, "search": None}
    for field, value in values.items():
        _put(plain, field.split("."), value)
    try:
        return Job.model_validate_json(json.dumps(plain)).resolved(Path.cwd())
    except ValidationError as error:
        found = described(error.errors(include_url=False))
        why = "; ".join(f"{dotted(field)}: {text}" for field, text in found.items())
        raise ConfigError(why, name, "Leave this combination out of search.space") from None


def _put(plain: dict[str, Any], path: list[str], value: JsonValue) -> None:
    """Set a field in place; of a list of one data set, that one's."""
    section: Any = plain
    for part in path[:-1]:
        if section[part] is None:
            section[part] = {}
        section = section[part]
        if isinstance(section, list) and len(section) == 1:
            section = section[0]
        if not isinstance(section, dict):
            raise ConfigError(
                f"{part} has several data sets, and nobody can tell whose field is meant",
                f"search.space.{'.'.join(path)}",
                "Search a field that all of them share",
            )
    section[path[-1]] = value
