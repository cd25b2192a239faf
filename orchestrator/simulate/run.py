"""All strategies on one trace, side by side, and what each costs."""

import itertools
from dataclasses import dataclass
from typing import Any

from orchestrator.simulate.fleet import Fleet
from orchestrator.simulate.measured import Measured
from orchestrator.simulate.newcomers import Rules
from orchestrator.simulate.outcome import Outcome
from orchestrator.simulate.restarts import STOCK, TUNED, RestartedGroup
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Trace, node_counts, node_seconds

HOUR_S = 3600.0
MINUTE_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Of one node for one hour, in any currency."""

    spot: float = 0.35
    on_demand: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A strategy beside the others."""

    outcome: Outcome
    of_ideal: float
    """Steps over those of machines that lose nothing and wait for nothing."""
    cost_per_1000: float | None
    """Of a thousand steps; None where not one was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """What became of one training on one trace."""

    trace: Trace
    mean_nodes: float
    ranked: tuple[Ranked, ...]
    """Elastic first."""
    on_demand_per_1000: float
    """As many machines as there were on average, none of which is ever lost."""

    def as_json(self) -> dict[str, Any]:
        """Every figure, without the points of the curves."""
        strategies = {
            ranked.outcome.strategy: {
                "steps": ranked.outcome.steps,
                "goodput": ranked.outcome.goodput,
                "of_ideal": ranked.of_ideal,
                "standstill_s": ranked.outcome.standstill_s,
                "steps_replayed": ranked.outcome.steps_replayed,
                "lost_node_hours": ranked.outcome.lost_node_s / HOUR_S,
                "joins": ranked.outcome.joins,
                "losses": ranked.outcome.losses,
                "cost_per_1000_steps": ranked.cost_per_1000,
            }
            for ranked in self.ranked
        }
        return {
            "hours": self.trace.end_s / HOUR_S,
            "mean_nodes": self.mean_nodes,
            "on_demand_per_1000_steps": self.on_demand_per_1000,
            "strategies": strategies,
        }


def simulate(
    trace: Trace, measured: Measured, rules: Rules, prices: Prices = Prices()
) -> Simulation:
    """Train on a trace as it is done here, and as checkpoint and restart would.

    Args:
        trace: Which machines there are.
        measured: How long things take.
        rules: What the job wants, and the policies that decide.
        prices: What machines cost.
    """
    speed = Speed(measured)
    paid_s = node_seconds(trace, rules.most)
    mean_nodes = paid_s / trace.end_s if trace.end_s else 0.0
    size = max(rules.least, round(mean_nodes), 1)
    workers = (rules.least, rules.most)
    often = _saved_often(measured, speed.step_s(size))
    outcomes = (
        Fleet(trace, measured, rules, speed).run(),
        RestartedGroup(trace, often, TUNED, workers, speed).run(),
        RestartedGroup(trace, measured, STOCK, workers, speed).run(),
    )
    ideal = _ideal_steps(trace, speed, rules)
    return Simulation(
        trace=trace,
        mean_nodes=mean_nodes,
        ranked=tuple(
            Ranked(
                outcome=outcome,
                of_ideal=outcome.steps / ideal if ideal else 0.0,
                cost_per_1000=1000 * paid_s / HOUR_S * prices.spot / outcome.steps
                if outcome.steps
                else None,
            )
            for outcome in outcomes
        ),
        on_demand_per_1000=1000 * speed.step_s(size) * size / HOUR_S * prices.on_demand,
    )


def _saved_often(measured: Measured, step_s: float) -> Measured:
    """With a checkpoint a minute, where the job writes fewer."""
    every = max(1, min(measured.checkpoint_every_steps, round(MINUTE_S / step_s)))
    return measured.model_copy(update={"checkpoint_every_steps": every})


def _ideal_steps(trace: Trace, speed: Speed, rules: Rules) -> float:
    return sum(
        (later_s - at_s) / speed.step_s(min(nodes, rules.most))
        for (at_s, nodes), (later_s, _) in itertools.pairwise(node_counts(trace))
        if nodes >= rules.least and later_s > at_s
    )
