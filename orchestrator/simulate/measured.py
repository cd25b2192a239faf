"""The seconds that a simulation rests on: of a run, written by hand, or the defaults."""

from functools import reduce
from pathlib import Path

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from orchestrator.config.section import Section
from orchestrator.errors import ConfigError


class Measured(Section):
    """How long things take. The defaults are those of a 7B model on one GPU a worker."""

    num_micro: PositiveInt = 4096
    """Micro-batches in a step."""

    micro_s: PositiveFloat = 0.5
    """Seconds that a worker takes for one of them, on average."""

    spread: float = Field(default=0.25, ge=0.0, lt=1.0)
    """Costs lie evenly between one minus and one plus this share of the average."""

    fixed_s: NonNegativeFloat = 0.02
    """Of every step: agreement, exact sum, optimizer."""

    round_s: tuple[tuple[PositiveInt, PositiveFloat], ...] = ()
    """World sizes whose steps were measured themselves, with their seconds."""

    between_s: NonNegativeFloat = 0.0
    """Between a step's end and the next one's start: records, evaluation, checkpoints."""

    heartbeat_s: NonNegativeFloat = 0.5
    """Silence after which a worker counts as lost; it runs while the others compute."""

    pause_s: NonNegativeFloat = 0.15
    """What a loss costs the others beyond the heartbeat and the lost worker's share."""

    disturbed_share: NonNegativeFloat = 1.0
    """Time that a run's own log counts for a step in which somebody was lost, in steps."""

    join_s: NonNegativeFloat = 0.3
    """What newcomers that join together cost those who train."""

    load_s: NonNegativeFloat = 30.0
    """A newcomer's imports and base model, while the others train."""

    checkpoint_every_steps: PositiveInt = 50
    """Steps between checkpoints, written in the background."""

    checkpoint_s: NonNegativeFloat = 5.0
    """Seconds until a checkpoint holds."""

    restore_s: NonNegativeFloat = 2.0
    """From enough workers with a model to the first step, where all were lost."""


def read_measured(path: Path) -> Measured:
    """Read figures from a JSON file; those left out are the defaults.

    Raises:
        ConfigError: Anything is wrong; every field that is has a line of its own.
    """
    fields = ", ".join(Measured.model_fields)
    try:
        return Measured.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", str(path), "Name a JSON file"
        ) from error
    except ValidationError as error:
        problems = [
            ConfigError(
                f"{detail['msg'].lower()}, got {str(detail['input'])[:60]!r}",
                f"{path}: {'.'.join(map(str, detail['loc'])) or 'the file'}",
                f"There are {fields}",
            )
            for detail in error.errors(include_url=False)
        ]
        raise reduce(_both, problems) from None


def _both(first: ConfigError, second: ConfigError) -> ConfigError:
    problem = f"{first.problem}.\n{second.where}: {second.problem}"
    return ConfigError(problem, first.where, second.fix)
