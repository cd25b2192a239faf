"""How all pictures look: quiet axes, and the colours of what is written."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#1f2933"
"""Of words and numbers."""
QUIET: Final = "#7b8794"
"""Of what is said beside."""
GRID: Final = "#e4e7eb"


def set_up(axes: "Axes") -> None:
    """A faint grid behind what is drawn, and no frame but a line below."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelcolor=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
