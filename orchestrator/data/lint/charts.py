"""Histograms, drawn by hand as SVG: shares of the training data as bars, held-out as a line.

Letters: V values; B bins, the last of which takes all that is larger; E their edges.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.data.lint.words import escaped, of, percent, short

Values = npt.NDArray[np.number]
Counts = npt.NDArray[np.int64]

_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 8, 38
_ROOM_X, _ROOM_Y = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_WORD_WIDTH = 44
"""Of the word under the last bin, with some air."""

_MOST_BINS = 24
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Chart:
    """One histogram to be."""

    title: str
    axis: str
    """What lies along it, with its unit."""

    noun: str
    """What is counted, one of it."""

    train: Values
    held_out: Values | None = None


def figure(chart: Chart) -> str:
    """Draw a histogram with its title and its figures, as an HTML ``figure``."""
    values_V = chart.train
    caption = (
        f"median {short(np.median(values_V))} · 99% up to "
        f"{short(np.percentile(values_V, 99))} · most {short(values_V.max())}"
        if len(values_V)
        else "nothing to show"
    )
    drawn = _svg(chart) if len(values_V) else ""
    title = f"<b>{escaped(chart.title)}</b>"
    return f"<figure><figcaption>{title}{caption}</figcaption>{drawn}</figure>"


def bin_edges(values_V: Values) -> list[float]:
    """Choose round edges that show nearly all values well.

    Args:
        values_V: At least one finite value; whole numbers get bins of whole numbers.

    Returns:
        Ascending, at least two. Values from the last one on belong to a bin of their own.
    """
    low, high = float(values_V.min()), float(np.percentile(values_V, 99))
    largest = float(values_V.max())
    high = largest if largest <= 1.5 * high else high
    start = 0.0 if low < 0.5 * high else low
    is_whole = bool(np.issubdtype(values_V.dtype, np.integer))
    step = _round_step((high - start) / _MOST_BINS or high / _MOST_BINS, is_whole=is_whole)
    first = math.floor(start / step)
    # One more than needed: the highest value lies below the last edge.
    last = max(math.floor(high / step) + 1, first + 1)
    return [number * step for number in range(first, last + 1)]


def _round_step(width: float, *, is_whole: bool) -> float:
    if width <= 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    step = next(each * power for each in _STEPS if each * power >= width * (1 - 1e-9))
    return max(1.0, float(math.ceil(step))) if is_whole else step


def _counts(values_V: Values, edges: Sequence[float]) -> Counts:
    inside, _ = np.histogram(values_V, bins=[*edges, np.inf])
    return inside.astype(np.int64)


def _svg(chart: Chart) -> str:
    edges = bin_edges(chart.train)
    counts_B = _counts(chart.train, edges)
    shares = [counts_B / counts_B.sum()]
    if chart.held_out is not None and len(chart.held_out):
        held_B = _counts(chart.held_out, edges)
        shares.append(held_B / held_B.sum())
    # Without anything beyond the last edge, its bin is not drawn.
    num_bins = len(counts_B) if any(share[-1] for share in shares) else len(counts_B) - 1
    top = _top_share(max(float(share.max()) for share in shares))
    parts = [
        *_grid(top),
        *_bars(edges, counts_B[:num_bins], top, chart.noun),
        *(_outline(share[:num_bins], top) for share in shares[1:]),
        *_ticks(edges, num_bins),
        f'<text x="{_LEFT + _ROOM_X / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{escaped(chart.axis)}</text>",
    ]
    label = escaped(f"Histogram: {chart.title}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _top_share(highest: float) -> float:
    step = _round_step(highest / 3, is_whole=False)
    return step * math.ceil(highest / step - 1e-9)


def _grid(top: float) -> Iterator[str]:
    step = _round_step(top / 4, is_whole=False)
    for number in range(round(top / step) + 1):
        share = number * step
        y = _y(share, top)
        kind = "grid" if number else "axis"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        label = f"{100 * share:.3g}%"
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _bars(edges: Sequence[float], counts_B: Counts, top: float, noun: str) -> Iterator[str]:
    width = _ROOM_X / len(counts_B)
    total = int(counts_B.sum())
    for place, count in enumerate(counts_B):
        if not count:
            continue
        # A bar that is there can be seen.
        height = max(1.0, _TOP + _ROOM_Y - _y(count / total, top))
        kind = "train" if place < len(edges) - 1 else "rest"
        words = f"{_range(edges, place)}: {of(count, noun)} ({percent(count / total)})"
        yield (
            f'<rect class="{kind}" x="{_LEFT + place * width + 0.5:.1f}" '
            f'y="{_TOP + _ROOM_Y - height:.1f}" width="{max(1.0, width - 1):.1f}" '
            f'height="{height:.1f}"><title>{escaped(words)}</title></rect>'
        )


def _range(edges: Sequence[float], place: int) -> str:
    if place >= len(edges) - 1:
        return f"{short(edges[-1])} and more"
    low, high = edges[place], edges[place + 1]
    return short(low) if high - low == 1.0 else f"{short(low)} to {short(high)}"


def _outline(share_B: npt.NDArray[np.float64], top: float) -> str:
    width = _ROOM_X / len(share_B)
    points = [f"M{_LEFT} {_TOP + _ROOM_Y}"]
    for place, share in enumerate(share_B):
        y = _y(float(share), top)
        points.append(f"V{y}H{_LEFT + (place + 1) * width:.1f}")
    return f'<path class="held" d="{"".join(points)}V{_TOP + _ROOM_Y}"/>'


def _ticks(edges: Sequence[float], num_bins: int) -> Iterator[str]:
    """Label edges, or the middle of a bin where each is one whole number."""
    width = _ROOM_X / num_bins
    is_single = edges[1] - edges[0] == 1.0
    has_rest = num_bins == len(edges)
    every = -(-len(edges) // 7)
    y = _TOP + _ROOM_Y + 15
    for place in range(0, len(edges) - is_single, every):
        x = _LEFT + (place + 0.5 * is_single) * width
        if has_rest and x > _WIDTH - _RIGHT - _WORD_WIDTH:
            break
        yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{short(edges[place])}</text>'
    if has_rest:
        x = _WIDTH - _RIGHT
        yield f'<text x="{x}" y="{y}" text-anchor="end">more</text>'


def _y(share: float, top: float) -> float:
    return round(_TOP + _ROOM_Y * (1.0 - share / top), 1)
