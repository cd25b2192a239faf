"""A chaos run at a glance: workers over time with every fault, and how long all stood still."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Fault(Protocol):
    kind: str
    wall_s: float
    standstill_s: float


def draw(events: Sequence[Mapping[str, Any]], faults: Sequence[Fault], path: Path) -> None:
    """Write a PNG: above, workers over time; below, the standstill that each fault cost."""
    figure = Figure(figsize=(11, 8), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, gridspec_kw={"height_ratios": [1, 1.3]})
    figure.subplots_adjust(left=0.27, right=0.96, top=0.93, bottom=0.08, hspace=0.35)
    steps = [event for event in events if event["kind"] == "step"]
    origin_s = float(steps[0]["wall_s"])
    minutes = [(float(event["wall_s"]) - origin_s) / 60 for event in steps]
    above.step(minutes, [event["world_size"] for event in steps], where="post", color="#2f6db5")
    for fault in faults:
        above.axvline((fault.wall_s - origin_s) / 60, color="#c9372c", linewidth=0.8, alpha=0.6)
    above.set(xlabel="minutes", ylabel="workers", ylim=(0, None))
    above.set_title(f"{len(faults)} faults in {len(steps)} steps", loc="left")
    kinds = sorted({fault.kind for fault in faults}, reverse=True)
    costs = [[f.standstill_s for f in faults if f.kind == kind] for kind in kinds]
    for place, seconds in enumerate(costs):
        below.plot(seconds, np.full(len(seconds), place), "o", color="#c9372c", alpha=0.7)
    below.axvline(1.0, color="#7b8794", linestyle=":", linewidth=1)
    below.set_yticks(range(len(kinds)), kinds)
    below.set_xscale("symlog", linthresh=1.0)
    below.set_xlim(left=0)
    below.set_xlabel("seconds that no step was finished, beyond the median step")
    below.grid(axis="x", color="#e4e7eb")
    figure.savefig(path)
