"""What ``orchestrator simulate`` does: traces by name, times from a run, a picture."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.job import Job
from orchestrator.errors import ConfigError
from orchestrator.simulate.measured import Measured, read_measured
from orchestrator.simulate.measuring import Event, from_events
from orchestrator.simulate.newcomers import Rules
from orchestrator.simulate.picture import plot_simulations
from orchestrator.simulate.reading import read_trace
from orchestrator.simulate.replay import Comparison, compare
from orchestrator.simulate.run import Prices, Simulation, simulate
from orchestrator.simulate.shapes import SHAPES
from orchestrator.simulate.traces import Trace, cut, node_counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which machines there are, what they cost, and how long things take on them."""

    traces: Sequence[str] | None
    """Names of shapes, or CSV files; None: all shapes."""
    nodes: int
    """Of a shape, at most."""
    hours: float
    """Of a shape; files that are longer are cut."""
    seed: int
    spot: float
    on_demand: float
    measured: Path | None
    """Times by hand; None: those of the log, or the defaults."""
    log: Sequence[Event] | None
    """Of a run, which is replayed as well."""
    goodput: float
    """The run's own."""
    picture: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All that was simulated."""

    simulations: tuple[Simulation, ...]
    replayed: Comparison | None
    picture: Path

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {
            "traces": {one.trace.name: one.as_json() for one in self.simulations},
            "replayed": self.replayed and self.replayed.as_json(),
            "picture": str(self.picture),
        }


def simulate_all(
    wanted: Wanted, job: Job | None, progress: Callable[[int, int, str], None]
) -> Report:
    """Train on every trace, and draw what became of it.

    Args:
        wanted: Machines, prices, times.
        job: What a job wants; None: at least a tenth of a trace's machines, and all of them.
        progress: Told how many traces are done, of how many, and which is next.

    Raises:
        InputError: Something cannot be read or written, or says nothing.
    """
    measured, prices = _times(wanted, job), Prices(spot=wanted.spot, on_demand=wanted.on_demand)
    traces = list(_traces(wanted))
    found: list[Simulation] = []
    for number, trace in enumerate(traces):
        progress(number, len(traces), trace.name)
        found.append(simulate(trace, measured, _rules(job, trace), prices))
    progress(len(traces), len(traces), "drawn")
    _draw(found, wanted.picture)
    least = job.scale.workers[0] if job else 1
    replayed = compare(wanted.log, wanted.goodput, least=least) if wanted.log else None
    return Report(simulations=tuple(found), replayed=replayed, picture=wanted.picture)


def _times(wanted: Wanted, job: Job | None) -> Measured:
    if wanted.measured is not None:
        return read_measured(wanted.measured)
    found = Measured() if wanted.log is None else from_events(wanted.log)
    if job is None:
        return found
    return found.model_copy(update={"checkpoint_every_steps": job.train.checkpoint_every_steps})


def _rules(job: Job | None, trace: Trace) -> Rules:
    if job is not None:
        return Rules(least=job.scale.workers[0], most=job.scale.workers[1])
    # With one alone, a large job's first step would take as long as a thousand of all's.
    most = max(nodes for _, nodes in node_counts(trace))
    return Rules(least=max(1, most // 10), most=max(1, most))


def _traces(wanted: Wanted) -> Iterator[Trace]:
    if wanted.nodes < 1 or not wanted.hours > 0:
        problem = f"{wanted.nodes} nodes for {wanted.hours:g} hours"
        raise ConfigError(problem, "--nodes, --hours", "Give numbers above zero")
    for name in wanted.traces or SHAPES:
        if name in SHAPES:
            yield SHAPES[name](wanted.nodes, wanted.hours, wanted.seed)
        else:
            yield cut(read_trace(Path(name)), wanted.hours * 3600)


def _draw(simulations: Sequence[Simulation], path: Path) -> None:
    hours = max(simulation.trace.end_s for simulation in simulations) / 3600
    title = f"{hours:.3g} hours on machines that come and go"
    try:
        plot_simulations(simulations, path, title)
    except (OSError, ValueError) as error:
        fix = "Name a PNG file in a folder that can be written to"
        raise ConfigError(f"cannot be written ({error})", str(path), fix) from error
