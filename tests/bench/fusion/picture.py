"""The study at a glance: accuracy by number of pictures, a panel a task."""

from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from orchestrator.charts import INK, QUIET, set_up
from tests.bench.fusion.analysis import Trainings
from tests.bench.fusion.measure import TEST_IMAGES, sizes_of
from tests.bench.fusion.tasks import TASKS
from tests.bench.fusion.train import MOST_IMAGES

_LINES: Final = {
    "full": ("#1f2933", "-", 1.6, "full concatenation (16 tokens an image)"),
    "fusion": ("#c9372c", "-", 2.6, "fusion"),
    "resampler": ("#2f6db5", "-", 1.4, "resampler, image by image"),
    "mean": ("#3d9a6c", "-", 1.4, "mean pooling"),
    "downsample": ("#d9822b", "-", 1.4, "smaller images"),
    "random": ("#8a63b5", "-", 1.4, "random tokens"),
    "first": ("#7b8794", "--", 1.2, "first image only"),
    "text": ("#7b8794", ":", 1.2, "text only"),
}
"""Colour, dashes and width of a method, and what it is called."""


def plot_results(results: list[dict[str, Any]], path: Path) -> None:
    """Draw a PNG."""
    trainings = Trainings(results)
    figure = Figure(figsize=(12.6, 7.2), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(2, 3, sharey=True).flat)
    figure.subplots_adjust(
        left=0.06, right=0.985, top=0.88, bottom=0.075, wspace=0.1, hspace=0.34
    )
    for panel, task in zip(panels, TASKS, strict=False):
        _set_up(panel, task)
        _draw(panel, trainings, task)
    panels[-1].axis("off")
    handles, names = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, names, loc="center", frameon=False, fontsize=11, labelcolor=INK)
    figure.text(
        0.06, 0.945, "Right answers by number of images",
        color=INK, fontsize=15, weight="bold",
    )  # fmt: skip
    figure.text(
        0.985, 0.945, "all but the black line: 32 tokens for all images together; "
        "trained on 2 to 8 images (grey)",
        color=QUIET, fontsize=10, ha="right",
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _set_up(axes: Axes, task: str) -> None:
    axes.set_title(task, color=INK, fontsize=12, loc="left")
    axes.set_xscale("log", base=2)
    axes.set_xticks(TEST_IMAGES, [str(images) for images in TEST_IMAGES])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(1.8, 36)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.axvspan(1.8, MOST_IMAGES, color="#f5f7fa", zorder=0)
    set_up(axes)


def _draw(axes: Axes, trainings: Trainings, task: str) -> None:
    sizes = sizes_of(task)
    for method, (colour, dashes, width, name) in _LINES.items():
        means = [trainings.mean(task, method, images) for images in sizes]
        if None not in means:
            axes.plot(
                sizes, means, dashes, color=colour, linewidth=width, marker="o",
                markersize=3.5, label=name, zorder=3 if method == "fusion" else 2,
            )  # fmt: skip
