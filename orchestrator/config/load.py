"""From a job file and ``--set`` to a ``Job``: the only way in for YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.config.job import Job
from orchestrator.config.problems import (
    COMPARE,
    FieldPath,
    described,
    dotted,
    hint_for_unknown,
    joined,
    sections_by_path,
)
from orchestrator.config.reading import as_json, read_yaml
from orchestrator.config.space import SPACE, space_problems
from orchestrator.config.text import Plain, YamlError, parse_yaml
from orchestrator.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Override:
    """One ``--set section.field=value``, as typed and as understood."""

    typed: str
    path: tuple[str, ...]
    value: Plain

    @property
    def where(self) -> str:
        """How an error cites it."""
        return f"--set {self.typed}"


def load_job(path: Path, overrides: Sequence[str] = ()) -> Job:
    """Read a job file, put the overrides on top, and check the whole.

    Args:
        path: A YAML file.
        overrides: ``section.field=value`` each; the value is YAML. The last one wins.

    Returns:
        The job as written: relative paths are still relative.

    Raises:
        ConfigError: Anything is wrong; everything that is wrong has a line of its own.
    """
    values = _read(path)
    applied, problems = _apply(values, overrides)
    problems += _space_problems(values, path)
    try:
        job = Job.model_validate_json(as_json(values, path, compare=COMPARE))
    except ValidationError as error:
        for field, text in described(error.errors(include_url=False)).items():
            if field[:2] == SPACE and len(field) > 2:
                # Said already, and better.
                continue
            where = _cause(field, applied) or f"{path}: {dotted(field)}"
            problems.append(ConfigError(text, where, COMPARE))
        raise joined(problems) from None
    if problems:
        raise joined(problems)
    return job


def _apply(
    values: dict[str, Any], overrides: Sequence[str]
) -> tuple[list[Override], list[ConfigError]]:
    """Put overrides into ``values`` in place; those that cannot be come back as errors."""
    applied: list[Override] = []
    problems: list[ConfigError] = []
    for typed in overrides:
        try:
            override = _parse_override(typed)
            _put(values, override)
            applied.append(override)
        except ConfigError as error:
            problems.append(error)
    return applied, problems


def _read(path: Path) -> dict[str, Any]:
    values = read_yaml(path, compare=COMPARE, missing="Check the path to the job file")
    if not isinstance(values, dict):
        what = "nothing" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"holds {what} where sections should be", str(path), COMPARE)
    return values


def _parse_override(typed: str) -> Override:
    key, equals, text = typed.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    where = f"--set {typed}"
    if not equals:
        raise ConfigError("no '=' in it", where, "Write --set section.field=value")
    if path not in dict(sections_by_path()):
        problem = f"unknown field {dotted(path)!r}{hint_for_unknown(path)}"
        raise ConfigError(problem, where, COMPARE)
    try:
        return Override(typed, path, parse_yaml(text))
    except YamlError as error:
        fix = "Put the value in quotes if it is meant as text"
        raise ConfigError(f"not a YAML value: {error.problem}", where, fix) from error


def _put(values: dict[str, Any], override: Override) -> None:
    """Set one field in place, making sections that the file leaves out."""
    section = values
    for depth, name in enumerate(override.path[:-1], start=1):
        if section.get(name) is None:
            section[name] = {}
        section = section[name]
        if not isinstance(section, dict):
            problem = f"{dotted(override.path[:depth])} is no section in the job file"
            raise ConfigError(problem, override.where, COMPARE)
    section[override.path[-1]] = override.value


def _space_problems(values: dict[str, Any], path: Path) -> list[ConfigError]:
    search = values.get("search")
    space = search.get("space") if isinstance(search, dict) else None
    return [
        ConfigError(text, f"{path}: {dotted(SPACE)}.{name}", COMPARE)
        for name, text in space_problems(space)
    ]


def _cause(field: FieldPath, overrides: Sequence[Override]) -> str | None:
    """The override that a field's value came from, if one did."""
    for override in reversed(overrides):
        # A section as a whole is wrong if two of its fields do not go together.
        shared = min(len(field), len(override.path))
        if field[:shared] == override.path[:shared]:
            return override.where
    return None
