"""The parts of the summary page, each as lines of HTML.

Letters: N samples.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from orchestrator.data.lint.charts import Chart, Values, figure
from orchestrator.data.lint.checks import EXAMPLE_COLUMNS, example_media
from orchestrator.data.lint.finding import Example, Finding
from orchestrator.data.lint.ledger import Ledger, ReasonKind
from orchestrator.data.lint.portrait import Portrait
from orchestrator.data.lint.tables import IndexTables
from orchestrator.data.lint.thumbnails import Thumbnails
from orchestrator.data.lint.words import escaped, of, percent, plural

_NUM_SAMPLES = 8
_NUM_REASONS = 20
_NUM_DATA_SETS = 50
_ROWS_A_REASON = 3
_IMAGES_A_SAMPLE = 7
_IMAGES_AN_EXAMPLE = 4


def findings_section(findings: Sequence[Finding], thumbnails: Thumbnails) -> Iterator[str]:
    """What lint found, each with its share, its examples and what to do."""
    yield "<section><h2>Findings</h2>"
    if not findings:
        yield '<p class="quiet">Nothing that would be worth a word.</p>'
    for finding in findings:
        yield _finding(finding, thumbnails)
    yield "</section>"


def _finding(finding: Finding, thumbnails: Thumbnails) -> str:
    badge = "Warning" if finding.severity == "warning" else "Note"
    examples = "".join(_example(example, thumbnails) for example in finding.examples)
    shown = (
        f"<details><summary>{of(len(finding.examples), 'example')}</summary>"
        f'<ul class="examples">{examples}</ul></details>'
        if examples
        else ""
    )
    return (
        f'<article class="finding {finding.severity}"><div class="top"><h3>'
        f'<span class="badge">{badge}</span><span class="data">{escaped(finding.name)}</span>'
        f'</h3><span class="figure"><b>{finding.count:,}</b> '
        f"{escaped(plural(finding.count, finding.counted))}, "
        f'{percent(finding.share)}</span></div><div class="bar">'
        f'<i style="width:{100 * min(1.0, finding.share):.1f}%"></i></div>'
        f'<p class="data">{escaped(finding.detail, 600)}</p>'
        f'<p class="remedy"><b>What to do:</b> {escaped(finding.remedy, 400)}.</p>'
        f"{shown}</article>"
    )


def _example(example: Example, thumbnails: Thumbnails) -> str:
    place = f"{example.file}, row {example.row}" if example.row else example.file
    name = f" · {escaped(example.id, 80)}" if example.id else ""
    return (
        f'<li><div class="data">{escaped(example.what, 300)}</div>'
        f'<div class="data quiet">{escaped(place)}{name}</div>'
        f"{thumbnails.strip(example.media, _IMAGES_AN_EXAMPLE)}</li>"
    )


def charts_section(ours: Portrait, theirs: Portrait | None) -> Iterator[str]:
    """Histograms, the held-out data as a line over the bars."""
    yield "<section><h2>In figures</h2>"
    if theirs is not None:
        yield (
            '<p class="quiet"><i class="key"></i>to learn from'
            '<i class="key line"></i>held out</p>'
        )
    yield '<div class="charts">'
    for title, axis, noun, name in _CHARTS:
        held_out: Values | None = None if theirs is None else getattr(theirs, name)
        yield figure(Chart(title, axis, noun, getattr(ours, name), held_out))
    yield "</div></section>"


_CHARTS = (
    ("Images in a group", "images and videos in a sample", "sample", "num_media_N"),
    ("Size of images", "megapixels, as stored", "image", "megapixels_P"),
    ("Length of samples", "tokens of text and images", "sample", "tokens_N"),
    ("Length of answers", "label tokens in a sample", "sample", "label_tokens_N"),
    ("Cost of samples", "cost of a sample, in tokens' worth", "sample", "cost_N"),
)
"""Title, axis, what is counted, and the figures of the portrait."""


def data_sets_section(ours: Portrait, datasets: tuple[str, ...]) -> Iterator[str]:
    """How many samples each data set gives, where there are several."""
    if len(datasets) < 2:
        return
    counts = np.bincount(ours.source_N, minlength=len(datasets))
    yield "<section><h2>Data sets</h2><table><thead><tr><th>Data set</th>"
    yield '<th class="number">Samples</th><th class="number">Share</th></tr></thead><tbody>'
    for name, count in list(zip(datasets, counts, strict=False))[:_NUM_DATA_SETS]:
        share = percent(count / max(1, ours.num_samples))
        yield (
            f'<tr><td class="data">{escaped(name)}</td>'
            f'<td class="number" data-of=" samples">{count:,}</td>'
            f'<td class="number">{share}</td></tr>'
        )
    yield "</tbody></table></section>"


def samples_section(tables: IndexTables, thumbnails: Thumbnails) -> Iterator[str]:
    """A few samples that lie evenly in the index."""
    few = min(_NUM_SAMPLES, tables.num_samples)
    numbers = [place * tables.num_samples // few for place in range(few)]
    columns = (*EXAMPLE_COLUMNS, "question", "tokens", "label_tokens")
    yield '<section><h2>A few samples</h2><div class="samples">'
    for row in tables.rows(numbers, columns).values():
        media = example_media(row)
        name = f"{escaped(row['file'])}, row {row['row']} · {escaped(row['id'], 80)}"
        figures = (
            f"{of(len(media), 'image')}, {of(row['tokens'], 'token')}, "
            f"{row['label_tokens']:,} of them learned"
        )
        yield (
            f'<article><div class="data">{escaped(row["question"], 200)}</div>'
            f"{thumbnails.strip(media, _IMAGES_A_SAMPLE)}"
            f'<div class="quiet">{figures}</div><div class="data quiet">{name}</div></article>'
        )
    yield "</div></section>"


def set_aside_section(title: str, ledger: Ledger, part: Portrait) -> Iterator[str]:
    """The quarantine by kind of reason; nothing where it is empty."""
    if not ledger.num_rows:
        return
    total = ledger.num_rows + part.num_samples
    yield (
        f'<section><h2>{title}</h2><p class="quiet">{of(ledger.num_rows, "row")} of '
        f"{total:,} ({percent(ledger.num_rows / total)}) cannot be used. All of them are in "
        "<code>quarantine.jsonl</code>.</p><table><thead><tr><th>Reason</th>"
        '<th class="number">Rows</th><th>For example</th><th>What to do</th></tr></thead>'
        "<tbody>"
    )
    kinds = ledger.most_common()
    for name, kind in kinds[:_NUM_REASONS]:
        yield _reason(name, kind)
    yield "</tbody></table>"
    if len(kinds) > _NUM_REASONS:
        left = sum(kind.count for _, kind in kinds[_NUM_REASONS:])
        yield f'<p class="quiet">And {of(left, "row")} for rarer reasons.</p>'
    yield "</section>"


def _reason(name: str, kind: ReasonKind) -> str:
    examples = "".join(
        f'<div class="data">{escaped(row.reason, 240)}</div>'
        f'<div class="data quiet">{escaped(row.source)}, row {row.row} · '
        f"{escaped(row.id, 80)}</div>"
        for row in kind.examples[:_ROWS_A_REASON]
    )
    return (
        f'<tr><td class="data reason">{escaped(name)}</td>'
        f'<td class="number" data-of=" rows">{kind.count:,}</td><td>{examples}</td>'
        f'<td class="data fix">{escaped(kind.examples[0].remedy, 240)}</td></tr>'
    )
