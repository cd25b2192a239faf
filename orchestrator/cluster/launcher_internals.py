"""Every use of an internal of Ray's launcher and autoscaler, behind the same version test.

Kept from ``internals``: what asks these needs no cluster, and the autoscaler loads them itself.
"""

import copy
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray.autoscaler
from ray.autoscaler._private.resource_demand_scheduler import (
    _resource_based_utilization_scorer,
)
from ray.autoscaler._private.util import prepare_config, validate_config


def launcher_schema() -> dict[str, Any]:
    """Ray's own schema of a file for ``ray up``."""
    file = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def launcher_refusal(values: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    """Why ``ray up`` would not even begin with a file; None where it would."""
    with _quiet():
        try:
            validate_config(prepare_config(copy.deepcopy(values)))
        except Exception as error:  # noqa: BLE001 - Ray's checks raise whatever they come upon
            return str(error) or type(error).__name__
    return None


def use_of_node(
    resources: dict[str, float],
    wanted: list[dict[str, float]],
    availability: Any,  # noqa: ANN401 - Ray's summary, handed through
) -> tuple[bool, int, float, float] | None:
    """How Ray ranks a type of node by what it has alone.

    Returns:
        Whether GPUs are kept for who needs them, kinds of resources that match, the least and
        the mean use; None where the type can do nothing of it.
    """
    found: tuple[bool, int, float, float] | None = _resource_based_utilization_scorer(
        resources, wanted, node_availability_summary=availability
    )
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's launcher warns in a log while it prepares a file."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
