"""From a file to a ``Description``."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.config.problems import described, dotted, joined
from orchestrator.config.text import Plain, YamlError, parse_yaml
from orchestrator.errors import ConfigError
from orchestrator.launch.description import Description

DEFAULT = Path("clusters/spot_l4.yaml")
"""The description that comes with the project."""
COMPARE = f"Compare {DEFAULT}"


def load_description(path: Path) -> Description:
    """Read a cluster's description.

    Raises:
        ConfigError: Anything is wrong; everything that is wrong has a line of its own.
    """
    return parse_description(read_yaml(path), path)


def parse_description(values: Plain, path: Path) -> Description:
    """Check what a file says.

    Raises:
        ConfigError: Anything is wrong; everything that is wrong has a line of its own.
    """
    if not isinstance(values, dict):
        raise ConfigError("holds no description of a cluster", str(path), COMPARE)
    try:
        return Description.model_validate_json(_as_json(values, path))
    except ValidationError as error:
        problems = [
            ConfigError(text, f"{path}: {dotted(field)}", COMPARE)
            for field, text in described(error.errors(include_url=False), Description).items()
        ]
        raise joined(problems) from None


def read_yaml(path: Path) -> Plain:
    """Plain values out of one YAML file.

    Raises:
        ConfigError: It cannot be read, or is no YAML.
    """
    text = read_text(path)
    try:
        return parse_yaml(text)
    except YamlError as error:
        raise ConfigError(error.problem, f"{path}:{error.line}", COMPARE) from error


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError("no such file", str(path), "Check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot be read ({problem})", str(path), COMPARE) from error


def _as_json(values: dict[str, Any], path: Path) -> str:
    try:
        return json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"holds more than plain values ({error})"
        raise ConfigError(problem, str(path), COMPARE) from error
