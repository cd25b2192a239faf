"""A YAML file as plain values, and these as JSON for a model to check."""

import json
from pathlib import Path
from typing import Any

from orchestrator.config.text import Plain, YamlError, parse_yaml
from orchestrator.errors import ConfigError


def read_yaml(path: Path, *, compare: str, missing: str = "Check the path") -> Plain:
    """Plain values out of one YAML file.

    Args:
        path: The file.
        compare: What helps who wrote something wrong: a file to compare with.
        missing: What helps where there is no such file.

    Raises:
        ConfigError: It cannot be read, or is no YAML.
    """
    text = read_text(path, compare=compare, missing=missing)
    try:
        return parse_yaml(text)
    except YamlError as error:
        raise ConfigError(error.problem, f"{path}:{error.line}", compare) from error


def read_text(path: Path, *, compare: str, missing: str = "Check the path") -> str:
    """A file's text.

    Args:
        path: The file.
        compare: As for ``read_yaml``.
        missing: As for ``read_yaml``.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError("no such file", str(path), missing) from error
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot be read ({problem})", str(path), compare) from error


def as_json(values: dict[str, Any], path: Path, *, compare: str) -> str:
    """What a file holds as JSON, which strict models read.

    Args:
        values: What it holds.
        path: The file.
        compare: As for ``read_yaml``.

    Raises:
        ConfigError: There is more in it than plain values.
    """
    try:
        return json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        # A YAML tag can make a date or a set, an anchor a list that contains itself.
        problem = f"holds more than plain values ({error})"
        raise ConfigError(problem, str(path), compare) from error
