"""Simulations at a glance: nodes, goodput over time, and what a thousand steps cost.

Drawn with figures alone and never ``pyplot``, whose state is shared by a whole process.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from orchestrator.charts import INK, QUIET, set_up
from orchestrator.simulate.outcome import Outcome
from orchestrator.simulate.run import Simulation
from orchestrator.simulate.traces import node_counts

_OFFERED: Final = "#cbd2d9"
_COLORS: Final = ("#2f6db5", "#d9822b", "#c9372c")
"""Of the strategies, in their order."""
_WINDOWS: Final = 48
"""Goodput is a mean over so many parts of a trace."""
_LONGEST: Final = 2.0
"""Bars of cost are cut at so many times on-demand's; the figure beside them is not."""


def plot_simulations(simulations: Sequence[Simulation], path: Path, title: str) -> None:
    """Draw simulations as a PNG, a column a trace.

    Args:
        simulations: At least one.
        path: Where the PNG goes; its folder is created.
        title: The heading.
    """
    columns = len(simulations)
    figure = Figure(figsize=(1.6 + 4.6 * columns, 8.4), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        3, columns, squeeze=False, gridspec_kw={"height_ratios": [1.2, 1.2, 1], "hspace": 0.5}
    )
    left = 1.15 / figure.get_figwidth()
    figure.subplots_adjust(left=left, right=0.98, top=0.83, bottom=0.07, wspace=0.3)
    for column, simulation in enumerate(simulations):
        nodes, goodput, cost = panels[:, column]
        for axes in (nodes, goodput, cost):
            set_up(axes)
        _draw_nodes(nodes, simulation)
        _draw_goodput(goodput, simulation)
        _draw_cost(cost, simulation, is_first=column == 0)
    panels[0, 0].set_ylabel("nodes", color=INK)
    panels[1, 0].set_ylabel("goodput", color=INK)
    _draw_words(figure, panels[1, 0], panels[0, 0], title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_nodes(axes: Axes, simulation: Simulation) -> None:
    trace = simulation.trace
    axes.set_title(
        f"{trace.name}: {simulation.mean_nodes:,.0f} nodes on average",
        color=INK, fontsize=11, loc="left",
    )  # fmt: skip
    counts = node_counts(trace)
    hours = [at_s / 3600 for at_s, _ in counts]
    nodes = [number for _, number in counts]
    axes.fill_between(
        hours, nodes, step="post", color=_OFFERED, linewidth=0, label="nodes offered"
    )
    points = simulation.ranked[0].outcome.points
    axes.step(
        [point.at_s / 3600 for point in points],
        [point.world_size for point in points],
        where="post", color=INK, linewidth=0.9, label="workers that train, elastic",
    )  # fmt: skip
    axes.set_ylim(0, max(nodes) * 1.08 + 1)
    axes.set_xlim(0, trace.end_s / 3600)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _draw_goodput(axes: Axes, simulation: Simulation) -> None:
    end_s = simulation.trace.end_s
    edges_s = np.linspace(0, end_s, _WINDOWS + 1)
    middles_h = (edges_s[:-1] + edges_s[1:]) / 2 / 3600
    for ranked, color in zip(simulation.ranked, _COLORS, strict=False):
        shares = _useful_shares(ranked.outcome, edges_s)
        label = ranked.outcome.strategy
        axes.plot(middles_h, shares, color=color, linewidth=1.8, label=label)
    axes.set_ylim(0, 1.05)
    axes.set_xlim(0, end_s / 3600)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("hours", color=INK)


def _useful_shares(outcome: Outcome, edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each window: the share in which steps were done that no one had done before."""
    at_s = [point.at_s for point in outcome.points]
    best_s = np.maximum.accumulate([point.useful_s for point in outcome.points])
    shares: NDArray[np.float64] = np.diff(np.interp(edges_s, at_s, best_s)) / np.diff(edges_s)
    return shares


def _draw_cost(axes: Axes, simulation: Simulation, *, is_first: bool) -> None:
    on_demand = simulation.on_demand_per_1000
    bars = [("on-demand", on_demand, QUIET)] + [
        (ranked.outcome.strategy, ranked.cost_per_1000, color)
        for ranked, color in zip(simulation.ranked, _COLORS, strict=False)
    ]
    for place, (_, cost, color) in enumerate(bars):
        length = _LONGEST * on_demand if cost is None else min(cost, _LONGEST * on_demand)
        axes.barh(place, length, color=color, height=0.62, alpha=0.25 if cost is None else 1)
        words = "not one step" if cost is None else f"{cost:,.0f}" + " →" * (length < cost)
        axes.text(length + 0.03 * on_demand, place, words, va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars] if is_first else [])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, (_LONGEST + 0.45) * on_demand)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_title("cost of a thousand steps", color=INK, fontsize=10, loc="left")


def _draw_words(figure: Figure, lines: Axes, area: Axes, title: str) -> None:
    left = area.get_position().x0
    figure.text(left, 0.95, title, fontsize=15, weight="bold", color=INK, parse_math=False)
    handles, labels = [], []
    for axes in (area, lines):
        more_handles, more_labels = axes.get_legend_handles_labels()
        handles += more_handles
        labels += more_labels
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(left - 0.008, 0.935),
        ncols=3 if figure.get_figwidth() < 10 else len(handles),
        frameon=False, fontsize=9, labelcolor=INK, columnspacing=1.6, handlelength=1.8,
    )  # fmt: skip
