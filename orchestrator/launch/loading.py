"""From a file to a ``Description``."""

from pathlib import Path

from pydantic import ValidationError

from orchestrator.config.problems import described, dotted, joined
from orchestrator.config.reading import as_json, read_yaml
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
    values = read_yaml(path, compare=COMPARE)
    if not isinstance(values, dict):
        raise ConfigError("holds no description of a cluster", str(path), COMPARE)
    try:
        return Description.model_validate_json(as_json(values, path, compare=COMPARE))
    except ValidationError as error:
        problems = [
            ConfigError(text, f"{path}: {dotted(field)}", COMPARE)
            for field, text in described(error.errors(include_url=False), Description).items()
        ]
        raise joined(problems) from None
