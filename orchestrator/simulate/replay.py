"""Simulate a run that has happened, to see how far the simulator can be believed."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import DataError
from orchestrator.policy.joining import JoinWhenSteady
from orchestrator.simulate.fleet import Fleet
from orchestrator.simulate.measured import Measured
from orchestrator.simulate.measuring import Event, from_events
from orchestrator.simulate.newcomers import Rules
from orchestrator.simulate.outcome import Outcome
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Spell, Trace, trace_of

LATER_S = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A run and its simulation."""

    simulated: Outcome
    goodput: float
    """The run's own."""
    steps: int
    """The run's own, each once."""

    @property
    def difference(self) -> float:
        """Of the goodputs, as a share of the run's own."""
        return self.simulated.goodput / self.goodput - 1 if self.goodput else 0.0

    def as_json(self) -> dict[str, float | int]:
        """The comparison, flat."""
        return {
            "goodput": self.goodput,
            "goodput_simulated": self.simulated.goodput,
            "difference": self.difference,
            "steps": self.steps,
            "steps_simulated": self.simulated.steps,
            "losses_simulated": self.simulated.losses,
            "joins_simulated": self.simulated.joins,
        }


def compare(
    events: Sequence[Event], goodput: float, measured: Measured | None = None, least: int = 1
) -> Comparison:
    """Set a run beside its simulation.

    Args:
        events: The run's whole log.
        goodput: The run's own, as ``tracking.summary.summarise`` computes it.
        measured: How long things take, measured in another run; None: in this one.
        least: Workers that the job wants at least.

    Raises:
        DataError: Not one step was finished.
    """
    steps = {(event["epoch"], event["step"]) for event in events if event["kind"] == "step"}
    return Comparison(
        simulated=replay(events, measured, least=least), goodput=goodput, steps=len(steps)
    )


def replay(
    events: Sequence[Event], measured: Measured | None = None, *, least: int = 1
) -> Outcome:
    """Simulate a run on the joins and losses that it had, at the times that it had them."""
    found = measured or from_events(events)
    # Its workers had loaded, and waited as long as they were told, when they joined.
    loaded = found.model_copy(update={"load_s": 0.0})
    rules = Rules(least=least, joining=JoinWhenSteady(steady_s=0.0))
    return Fleet(as_trace(events, loaded), loaded, rules, Speed(loaded)).run()


def as_trace(events: Sequence[Event], measured: Measured) -> Trace:
    """A run's joins and losses as a trace, from its first step's start to its last one's end.

    A loss is recorded when the others have agreed anew, a heartbeat after it happened. Of
    workers that were lost with the journal nothing is recorded: they end with the last word
    before the run was resumed.

    Raises:
        DataError: Not one step was finished.
    """
    steps = [event for event in events if event["kind"] == "step"]
    if not steps:
        raise DataError(
            "no step was finished", "event log", "Name the log of a run that trained"
        )
    origin_s = float(steps[0]["wall_s"]) - float(steps[0]["round_s"])
    end_s = float(steps[-1]["wall_s"]) - origin_s
    spells: list[Spell] = []
    since_s: dict[int, float] = {}
    last_s = 0.0
    for event in events:
        now_s = max(0.0, float(event["wall_s"]) - origin_s)
        if event["kind"] == "resumed":
            spells += [_spell(each, last_s) for each in since_s.items()]
            since_s = {}
        elif event["kind"] == "joined":
            since_s.setdefault(event["cell"], now_s)
        elif event["kind"] == "lost" and event["cell"] in since_s:
            each = (event["cell"], since_s.pop(event["cell"]))
            noticed = event.get("reason") == "notice"
            spells.append(
                _spell(each, now_s - measured.heartbeat_s, noticed_s=now_s if noticed else None)
            )
        last_s = now_s
    spells += [_spell(each, end_s + 1) for each in since_s.items()]
    return trace_of("replay", spells, end_s=end_s)


def _spell(each: tuple[int, float], to_s: float, noticed_s: float | None = None) -> Spell:
    """One worker's life; one that left by itself is on a machine that goes much later."""
    cell, from_s = each
    node = f"cell {cell} from {from_s:.3f} s"
    if noticed_s is None:
        return Spell(node=node, from_s=from_s, to_s=max(from_s, to_s))
    return Spell(node=node, from_s=from_s, to_s=noticed_s + LATER_S, notice_s=LATER_S)
