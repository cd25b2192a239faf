"""Pictures of a search, drawn by hand as SVG: points and their front, intervals, rails."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.data.lint.words import escaped, of, short
from orchestrator.search.axes import Rail, Scale
from orchestrator.search.effects import Effect, Level

_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 12, 38
_ROOM_X, _ROOM_Y = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_RAILS_WIDTH, _RAILS_HEIGHT, _RAILS_TOP, _RAILS_BOTTOM, _RAILS_SIDE = 1040, 320, 34, 14, 64


@dataclass(frozen=True, slots=True)
class Dot:
    """A trial in a picture."""

    x: float
    y: float
    words: str
    kind: str
    """A class of the style sheet: done, early, or best."""
    on_front: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A trial across rails."""

    words: str
    kind: str


def scatter(title: str, axes: tuple[str, str], dots: Sequence[Dot]) -> str:
    """Trials by two figures; those that no other beats are joined by a line.

    Args:
        title: Of the picture.
        axes: What lies along, and what upwards.
        dots: In any order.
    """
    if not dots:
        return _figure(title, "nothing to show yet", "")
    across, up = Scale.over([dot.x for dot in dots]), Scale.over([dot.y for dot in dots])
    parts = [*_ticks_up(up), *_ticks_across(across), *_names(axes)]
    front = sorted((dot.x, dot.y) for dot in dots if dot.on_front)
    points = " ".join(f"{_x(across.share(x)):.1f},{_y(up.share(y)):.1f}" for x, y in front)
    parts.append(f'<polyline class="front" points="{points}"/>')
    # The best last, so that nothing covers it.
    for dot in sorted(dots, key=lambda each: each.kind == "best"):
        where = f'cx="{_x(across.share(dot.x)):.1f}" cy="{_y(up.share(dot.y)):.1f}"'
        size = 6 if dot.kind == "best" else 4.5
        parts.append(
            f'<circle class="{dot.kind}" {where} r="{size}">'
            f"<title>{escaped(dot.words)}</title></circle>"
        )
    count = sum(dot.on_front for dot in dots)
    return _figure(
        title, f"{of(count, 'trial')} that no other beats in both", _svg(title, parts)
    )


def intervals(effect: Effect, title: str, outcome: str) -> str:
    """What each level of a field comes to, with its interval."""
    levels = effect.levels
    ends = [end for level in levels for end in (level.low, level.high) if end is not None]
    up = Scale.over([*ends, *(level.mean for level in levels)])
    parts = [*_ticks_up(up), *_names((title, outcome))]
    width = _ROOM_X / len(levels)
    middles = [_LEFT + (place + 0.5) * width for place in range(len(levels))]
    path = " ".join(
        f"{x:.1f},{_y(up.share(level.mean)):.1f}"
        for x, level in zip(middles, levels, strict=True)
    )
    parts.append(f'<polyline class="front" points="{path}"/>')
    for x, level in zip(middles, levels, strict=True):
        parts += _level(x, level, up)
    sure = "95% intervals" if ends else "too few trials for an interval"
    words = f"{sure}, other fields held at their average"
    return _figure(f"Effect of {title}", words, _svg(f"Effect of {title}", parts))


def _level(x: float, level: Level, up: Scale) -> Iterator[str]:
    words = f"{level.label}: {level.mean:.4g}"
    if level.low is not None and level.high is not None:
        low, high = _y(up.share(level.low)), _y(up.share(level.high))
        ends = f'y1="{low:.1f}" y2="{high:.1f}"'
        yield f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" {ends}/>'
        for y in (low, high):
            yield (
                f'<line class="whisker" x1="{x - 5:.1f}" x2="{x + 5:.1f}" y1="{y:.1f}" '
                f'y2="{y:.1f}"/>'
            )
        words += f" ({level.low:.4g} to {level.high:.4g})"
    words += f", {of(level.trials, 'trial')}"
    yield (
        f'<circle class="done" cx="{x:.1f}" cy="{_y(up.share(level.mean)):.1f}" r="4.5">'
        f"<title>{escaped(words)}</title></circle>"
    )
    yield (
        f'<text x="{x:.1f}" y="{_TOP + _ROOM_Y + 15}" text-anchor="middle">'
        f"{escaped(level.label, 24)}</text>"
    )


def rails(title: str, rails_given: Sequence[Rail], lines: Sequence[Line]) -> str:
    """Parallel coordinates: a trial is a line across all of its settings and outcomes."""
    room = _RAILS_WIDTH - 2 * _RAILS_SIDE
    gap = room / max(1, len(rails_given) - 1)
    xs = [_RAILS_SIDE + place * gap for place in range(len(rails_given))]
    parts: list[str] = []
    order = {"early": 0, "done": 1, "best": 2}
    for number, line in sorted(enumerate(lines), key=lambda each: order[each[1].kind]):
        points = [
            f"{x:.1f},{_rail_y(share):.1f}"
            for x, rail in zip(xs, rails_given, strict=True)
            if (share := rail.shares[number]) is not None
        ]
        parts.append(
            f'<polyline class="way {line.kind}" points="{" ".join(points)}">'
            f"<title>{escaped(line.words)}</title></polyline>"
        )
    for x, rail in zip(xs, rails_given, strict=True):
        parts += _rail(x, rail)
    label = escaped(title)
    return (
        f'<figure class="wide"><figcaption><b>{label}</b>each trial a line; the best is '
        "marked, those ended early are faint</figcaption>"
        f'<svg viewBox="0 0 {_RAILS_WIDTH} {_RAILS_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _rail(x: float, rail: Rail) -> Iterator[str]:
    top, bottom = _rail_y(1.0), _rail_y(0.0)
    yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
    title = escaped(rail.title, 30)
    yield f'<text class="name" x="{x:.1f}" y="16" text-anchor="middle">{title}</text>'
    for share, words in rail.marks:
        y = _rail_y(share)
        yield (
            f'<text class="mark" x="{x + 7:.1f}" y="{y + 4:.1f}">{escaped(words, 20)}</text>'
            f'<line class="axis" x1="{x - 3:.1f}" x2="{x + 3:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )


def _rail_y(share: float) -> float:
    return _RAILS_TOP + (_RAILS_HEIGHT - _RAILS_TOP - _RAILS_BOTTOM) * (1.0 - share)


def _figure(title: str, words: str, drawn: str) -> str:
    caption = f"<b>{escaped(title)}</b>{escaped(words)}"
    return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _ticks_up(scale: Scale) -> Iterator[str]:
    for tick in scale.ticks:
        y = _y(scale.share(tick))
        kind = "axis" if tick == scale.ticks[0] else "grid"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        words = _tick(tick, scale)
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'


def _ticks_across(scale: Scale) -> Iterator[str]:
    for tick in scale.ticks:
        x = _x(scale.share(tick))
        yield (
            f'<text x="{x:.1f}" y="{_TOP + _ROOM_Y + 15}" text-anchor="middle">'
            f"{_tick(tick, scale)}</text>"
        )


def _tick(value: float, scale: Scale) -> str:
    step = scale.ticks[1] - scale.ticks[0]
    if step >= 1000 or step < 1e-4:
        return short(0.0 if abs(value) < 1e-9 * step else value)
    # Enough digits to tell neighbours apart, a step of 2.5 included.
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += round(step * 10**digits, 6) != round(step * 10**digits)
    return f"{value + 0.0:,.{digits}f}"


def _names(axes: tuple[str, str]) -> Iterator[str]:
    along, upwards = axes
    yield (
        f'<text x="{_LEFT + _ROOM_X / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{escaped(along)}</text>"
    )
    yield (
        f'<text x="11" y="{_TOP + _ROOM_Y / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 11 {_TOP + _ROOM_Y / 2:.0f})">{escaped(upwards)}</text>'
    )


def _x(share: float) -> float:
    return round(_LEFT + _ROOM_X * share, 1)


def _y(share: float) -> float:
    return round(_TOP + _ROOM_Y * (1.0 - share), 1)
