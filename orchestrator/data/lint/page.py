"""The summary page beside an index: one file that needs nothing else, for any browser.

Whatever comes from the data is escaped, and the page forbids itself scripts and requests.
"""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.data.lint.finding import Finding
from orchestrator.data.lint.ledger import Ledger, read_ledger
from orchestrator.data.lint.look import opening
from orchestrator.data.lint.portrait import Portrait, portrait
from orchestrator.data.lint.sections import (
    charts_section,
    data_sets_section,
    findings_section,
    samples_section,
    set_aside_section,
)
from orchestrator.data.lint.tables import IndexTables
from orchestrator.data.lint.thumbnails import Thumbnail, Thumbnails
from orchestrator.data.lint.words import percent, short

PAGE = "summary.html"


def write_page(
    folder: Path,
    train: IndexTables,
    held_out: IndexTables | None,
    findings: Sequence[Finding],
    thumbnail: Thumbnail,
) -> Path:
    """Write ``summary.html``: findings, histograms, a few samples, what was set aside.

    Args:
        folder: Where to; what is there by that name is replaced.
        train: What is learned from.
        held_out: What is measured on, if anything.
        findings: Of ``lint``.
        thumbnail: Makes the small pictures. They take at most 2 MB of the page.

    Returns:
        The page.
    """
    thumbnails = Thumbnails(thumbnail)
    ours = portrait(train)
    theirs = None if held_out is None else portrait(held_out)
    ledger = read_ledger(train)
    held_ledger = None if held_out is None else read_ledger(held_out)
    parts = [
        _head(ours, theirs, ledger),
        "<main>",
        *findings_section(findings, thumbnails),
        *charts_section(ours, theirs),
        *data_sets_section(ours, train.datasets),
        *samples_section(train, thumbnails),
        *set_aside_section("Rows set aside", ledger, ours),
    ]
    if held_ledger is not None and theirs is not None:
        parts += set_aside_section("Held-out rows set aside", held_ledger, theirs)
    parts += ["</main>", _FOOT]
    path = folder / PAGE
    written = path.with_suffix(".new")
    written.write_text("\n".join(parts), encoding="utf-8")
    return written.replace(path)


_FOOT = (
    "<footer>Made by <code>orchestrator index</code>. The page holds all it shows; it loads "
    "nothing.</footer></body></html>"
)


def _head(ours: Portrait, theirs: Portrait | None, ledger: Ledger) -> str:
    rows = ours.num_samples + ledger.num_rows
    tiles = [
        (f"{ours.num_samples:,}", "samples to learn from"),
        (f"{int(ours.num_media_N.sum()):,}", "images and videos in them"),
        (short(ours.tokens_N.sum()), f"tokens, {percent(ours.image_share)} of them of images"),
        (f"{ledger.num_rows:,}", f"rows set aside ({percent(ledger.num_rows / max(1, rows))})"),
    ]
    if theirs is not None:
        tiles.append((f"{theirs.num_samples:,}", "samples held out"))
    return opening("Data summary", "What is in the data", tiles)
