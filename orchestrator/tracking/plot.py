"""The run at a glance: loss and world size over time, with what happened on the way.

Drawn with figures alone and never ``pyplot``, whose state is shared by a whole process.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.charts import INK, QUIET, set_up
from orchestrator.tracking.events import Event, number
from orchestrator.tracking.summary import RunFigures, beginning, summarise

Points: TypeAlias = tuple[list[float], list[float]]

_LOSS: Final = "#2f6db5"
_WORLD: Final = "#5b8c5a"
_MAX_PLAIN_STEPS: Final = 80
"""With more steps than this the line is smoothed, and the steps themselves drawn faintly."""
_GAP = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    """A kind of event that is drawn as lines from top to bottom."""

    kind: str
    label: str
    color: str
    style: str


_MARKS: Final = (
    _Mark(kind="lost", label="cell lost", color="#c9372c", style="--"),
    _Mark(kind="left", label="cell left", color="#d9822b", style="--"),
    _Mark(kind="joined", label="cell joined", color=_WORLD, style=":"),
    _Mark(kind="resumed", label="resumed", color="#8250a8", style="-."),
)


def plot_run(events: Sequence[Event], path: Path, title: str) -> None:
    """Draw a run as a PNG.

    Above, the loss over minutes since the first event, with held-out loss and checkpoints;
    below, the world size; through both, lines where a cell was lost or joined and where the
    run was taken up again. A run without a step gives a plot that says so.

    Args:
        events: The run's whole log.
        path: Where the PNG goes; its folder is created.
        title: The heading.
    """
    figure = Figure(figsize=(10, 6), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    loss, world = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.08}
    )
    figure.subplots_adjust(left=0.08, right=0.97, top=0.8, bottom=0.1)
    origin_s = number(beginning(events), "wall_s") if events else 0.0
    for axes in (loss, world):
        _set_up(axes)
    _draw_loss(loss, events, origin_s)
    _draw_world_size(world, events, origin_s)
    _draw_marks((loss, world), events, origin_s)
    _draw_words(figure, loss, title, summarise(events))
    loss.set_xlim(left=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _set_up(axes: Axes) -> None:
    set_up(axes)
    axes.tick_params(axis="x", pad=8)  # else the corner's two zeros touch


def _draw_loss(axes: Axes, events: Sequence[Event], origin_s: float) -> None:
    axes.set_ylabel("loss", color=INK)
    minutes, losses = _curve(events, ("step",), "loss", origin_s)
    if not minutes:
        return
    if len(minutes) > _MAX_PLAIN_STEPS:
        axes.plot(minutes, losses, color=_LOSS, alpha=0.25, linewidth=0.8)
        smooth = _smoothed(losses, reach=len(losses) // 40)
        axes.plot(minutes, smooth, color=_LOSS, linewidth=1.8, label="training loss, smoothed")
    else:
        axes.plot(minutes, losses, "o-", color=_LOSS, markersize=3, label="training loss")
    evals = _curve(events, ("eval",), "loss", origin_s)
    if evals[0]:
        axes.plot(*evals, "D", color="#d9822b", markersize=6, label="held-out loss")
    saved = [_minutes(e, origin_s) for e in events if e["kind"] == "checkpoint"]
    if saved:
        # At the foot of the panel whatever the losses are.
        foot = axes.get_xaxis_transform()
        axes.plot(
            saved,
            [0.0] * len(saved),
            "^",
            color=QUIET,
            markersize=5,
            clip_on=False,
            transform=foot,
            label="checkpoint",
        )


def _draw_world_size(axes: Axes, events: Sequence[Event], origin_s: float) -> None:
    axes.set_ylabel("world size", color=INK)
    axes.set_xlabel("minutes", color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    minutes, sizes = _curve(events, ("quorum", "step"), "world_size", origin_s)
    axes.fill_between(minutes, sizes, step="post", color=_WORLD, alpha=0.2, linewidth=0)
    axes.step(minutes, sizes, where="post", color=_WORLD, linewidth=1.8)
    known = [size for size in sizes if not math.isnan(size)]
    axes.set_ylim(0, max(known, default=1.0) * 1.25)


def _draw_marks(panels: Iterable[Axes], events: Sequence[Event], origin_s: float) -> None:
    for axes in panels:
        for mark in _MARKS:
            minutes = [_minutes(e, origin_s) for e in events if e["kind"] == mark.kind]
            label = mark.label if len(minutes) == 1 else f"{mark.label} ({len(minutes)} times)"
            for index, minute in enumerate(minutes):
                axes.axvline(
                    minute,
                    color=mark.color,
                    linestyle=mark.style,
                    linewidth=1.4,
                    zorder=1.5,
                    label=label if index == 0 else None,
                )


def _draw_words(figure: Figure, axes: Axes, title: str, figures: RunFigures) -> None:
    left = axes.get_position().x0
    figure.text(left, 0.945, title, fontsize=15, weight="bold", color=INK, parse_math=False)
    figure.text(left, 0.9, _in_a_line(figures), fontsize=10, color=QUIET, parse_math=False)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(left - 0.008, 0.885),
            ncols=len(handles),
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            columnspacing=1.6,
            handlelength=1.8,
        )
    if not figures.steps:
        axes.text(
            0.5,
            0.5,
            "no step was finished",
            transform=axes.transAxes,
            ha="center",
            color=QUIET,
        )


def _in_a_line(figures: RunFigures) -> str:
    if figures.first_loss is None or figures.final_loss is None:
        return f"no step in {figures.wall_s / 60:.1f} minutes"
    words = [
        f"{figures.steps} step{'s' * (figures.steps > 1)} in {figures.wall_s / 60:.1f} minutes",
        f"loss {figures.first_loss:.3g} to {figures.final_loss:.3g}",
        f"longest gap {figures.longest_gap_s:.1f} s",
        f"goodput {figures.goodput:.0%}",
    ]
    if figures.evals:
        words.append(f"held-out accuracy {figures.evals[-1].accuracy:.0%}")
    return "  ·  ".join(words)


def _curve(
    events: Sequence[Event], kinds: tuple[str, ...], field: str, origin_s: float
) -> Points:
    """Minutes and values of some kinds of event, with a gap wherever an attempt opens."""
    points: list[tuple[float, float]] = []
    for event in events:
        if event["kind"] in kinds:
            value = number(event, field)
            points.append(
                (_minutes(event, origin_s), value if math.isfinite(value) else math.nan)
            )
        elif event["kind"] in {"started", "resumed"} and points:
            points.append(_GAP)
    return [minute for minute, _ in points], [value for _, value in points]


def _minutes(event: Event, origin_s: float) -> float:
    return (number(event, "wall_s") - origin_s) / 60


def _smoothed(values: Sequence[float], reach: int) -> list[float]:
    """Mean over the neighbours up to ``reach`` away that are numbers; gaps stay gaps."""
    smooth = []
    for index, value in enumerate(values):
        near = [
            v for v in values[max(0, index - reach) : index + reach + 1] if not math.isnan(v)
        ]
        smooth.append(math.nan if math.isnan(value) else sum(near) / len(near))
    return smooth
