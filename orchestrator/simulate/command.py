"""What ``orchestrator simulate`` does: traces by name, figures from a run, a picture."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigError
from orchestrator.simulate.fleet import Rules
from orchestrator.simulate.measured import Measured, read_measured
from orchestrator.simulate.measuring import Event, from_events
from orchestrator.simulate.picture import plot_simulations
from orchestrator.simulate.reading import read_trace
from orchestrator.simulate.run import Prices, Simulation, simulate
from orchestrator.simulate.shapes import SHAPES
from orchestrator.simulate.traces import Trace, cut


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which machines there are, and what they cost."""

    traces: Sequence[str]
    """Names of shapes, or CSV files."""
    nodes: int
    """Of a shape, at most."""
    hours: float
    """Of a shape; files that are longer are cut."""
    seed: int
    prices: Prices


def times_of(path: Path | None, events: Sequence[Event] | None) -> Measured:
    """Times from a file if there is one, else from a run's log, else the defaults.

    Raises:
        InputError: They cannot be read, or are no times.
    """
    if path is not None:
        return read_measured(path)
    return Measured() if events is None else from_events(events)


def simulate_all(
    wanted: Wanted,
    measured: Measured,
    rules: Rules,
    progress: Callable[[int, str], None] = lambda _done, _what: None,
) -> list[Simulation]:
    """Train on every trace.

    Raises:
        ConfigError: A trace is neither a shape nor a file that can be read.
    """
    found: list[Simulation] = []
    for trace in list(_traces(wanted)):
        progress(len(found), trace.name)
        found.append(simulate(trace, measured, rules, wanted.prices))
    progress(len(found), "")
    return found


def draw(simulations: Sequence[Simulation], path: Path) -> None:
    """Write the picture.

    Raises:
        ConfigError: It cannot be written there.
    """
    hours = max(simulation.trace.end_s for simulation in simulations) / 3600
    title = f"{hours:.3g} hours on machines that come and go"
    try:
        plot_simulations(simulations, path, title)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot be written ({error})", str(path), "Name a PNG file"
        ) from error


def _traces(wanted: Wanted) -> Iterator[Trace]:
    if wanted.nodes < 1 or not wanted.hours > 0:
        problem = f"{wanted.nodes} nodes for {wanted.hours:g} hours"
        raise ConfigError(problem, "--nodes, --hours", "Give numbers above zero")
    for name in wanted.traces:
        if name in SHAPES:
            yield SHAPES[name](wanted.nodes, wanted.hours, wanted.seed)
        else:
            yield cut(read_trace(Path(name)), wanted.hours * 3600)
