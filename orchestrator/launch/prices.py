"""Prices as a description or a launcher file holds them, and what a training would cost."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.launch.description import Fleet
from orchestrator.launch.launcher_file import Values
from orchestrator.launch.loading import load_description
from orchestrator.launch.reading import kind_of, read_documents
from orchestrator.launch.rules.groups import Group, launcher_groups
from orchestrator.launch.rules.tree import entries, number, text

_HOUR_S = 3600.0
_FIX = "Give prices as clusters/spot_l4.yaml does"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What machines of one cloud cost an hour."""

    cloud: str
    as_of: str
    """The day on which they were written down."""
    currency: str
    head: float
    gpus: int
    """Of a machine that trains: as many workers are on it."""
    spot: float | None
    """Of the cheapest machine that trains; None where there is none."""
    on_demand: float | None
    """The same, of those that stay."""
    data: float | None
    """Of the cheapest machine that renders."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A training at one world size, without interruptions."""

    world_size: int
    hours: float
    spot: float | None
    """With the head; without machines that render."""
    on_demand: float | None


def price_lists(path: Path) -> list[PriceList]:
    """The prices in a file, one list a cloud.

    Raises:
        ConfigError: The file cannot be read, or holds none.
    """
    documents = read_documents(path)
    kind = kind_of(documents[0])
    lists: Iterable[PriceList | None] = ()
    if kind == "launcher":
        lists = [_of_launcher(documents[0])]
    elif kind == "description":
        lists = _of_description(path)
    found = [one for one in lists if one is not None]
    if not found:
        raise ConfigError(
            "holds no prices of a head and of machines that train", str(path), _FIX
        )
    return found


def bills(prices: PriceList, step_s: Mapping[int, float], num_steps: int) -> list[Bill]:
    """What all steps cost at each world size.

    Args:
        prices: Of one cloud.
        step_s: Seconds of a step, by world size.
        num_steps: Of the whole training.
    """
    found = []
    for world_size, seconds in sorted(step_s.items()):
        hours = seconds * num_steps / _HOUR_S
        machines = math.ceil(world_size / prices.gpus)
        spot, on_demand = (
            None if each is None else round(hours * (machines * each + prices.head), 4)
            for each in (prices.spot, prices.on_demand)
        )
        found.append(Bill(world_size, round(hours, 5), spot, on_demand))
    return found


def _of_description(path: Path) -> Iterator[PriceList | None]:
    description = load_description(path)
    for name in ("aws", "gcp", "azure", "kubernetes"):
        cloud = getattr(description, name)
        if cloud is not None:
            yield _of_fleet(name, cloud.fleet)


def _of_fleet(cloud: str, fleet: Fleet) -> PriceList | None:
    first, head = fleet.gpu[0], fleet.head.on_demand
    if fleet.prices is None or head is None:
        return None
    return PriceList(
        cloud=cloud,
        as_of=fleet.prices.as_of.isoformat(),
        currency=fleet.prices.currency,
        head=head,
        gpus=first.gpus,
        spot=_least(machine.spot for machine in fleet.gpu),
        on_demand=first.on_demand,
        data=_least(machine.spot for machine in fleet.data),
    )


def _of_launcher(values: Values) -> PriceList | None:
    """From the metadata that goes along with a launcher file."""
    told: Any = values.get("metadata")
    hourly = {
        name: number({"": price}, "") for name, price in entries(told, "prices", "hourly")
    }
    groups = launcher_groups(values)
    trains = [group for group in groups if group.gpus >= 1 and not group.is_head]
    head = next((hourly.get(group.name) for group in groups if group.is_head), None)
    if head is None or not any(hourly.get(group.name) for group in trains):
        return None

    def cheapest(among: Iterable[Group]) -> float | None:
        return _least(hourly.get(group.name) for group in among)

    return PriceList(
        cloud=text(values, "provider", "type"),
        as_of=text(told, "prices", "as_of"),
        currency=text(told, "prices", "currency"),
        head=head,
        gpus=int(trains[0].gpus),
        spot=cheapest(group for group in trains if group.spot),
        on_demand=cheapest(group for group in trains if not group.spot),
        data=cheapest(group for group in groups if not group.gpus and not group.is_head),
    )


def _least(prices: Iterable[float | None]) -> float | None:
    return min((price for price in prices if price is not None), default=None)
