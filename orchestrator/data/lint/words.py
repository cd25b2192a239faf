"""Numbers and texts as people read them."""

import html
from typing import SupportsFloat, SupportsInt

_LONGEST = 160


def of(count: SupportsInt, noun: str) -> str:
    """A count with its noun: "1 image", "1,200 images"."""
    return f"{int(count):,} {plural(count, noun)}"


def plural(count: SupportsInt, noun: str) -> str:
    """The noun that goes with a count."""
    if int(count) == 1:
        return noun
    return noun + ("es" if noun.endswith(("ch", "sh", "s", "x")) else "s")


def percent(share: SupportsFloat) -> str:
    """A share of 0 to 1: "34%", "0.6%", "under 0.1%"."""
    value = 100.0 * float(share)
    if 0.0 < value < 0.1:
        return "under 0.1%"
    return f"{value:.1f}%" if 0.0 < value < 9.95 else f"{value:.0f}%"


def short(number: SupportsFloat) -> str:
    """A number in little room: "0.25", "12", "3.4k", "120M"."""
    value = float(number)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{_three_digits(value / limit)}{unit}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def escaped(text: object, longest: int = _LONGEST) -> str:
    """A text from outside, cut in its middle if long, for any place in an HTML page."""
    whole = str(text)
    if len(whole) > longest:
        half = longest // 2
        whole = f"{whole[:half]} … {whole[-half:]}"
    # Half a character cannot be written, and control characters are no HTML.
    shown = whole.encode("utf-8", "replace").decode()
    printable = "".join(
        sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in shown
    )
    return html.escape(printable, quote=True)
