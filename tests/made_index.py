"""An index made by hand: media at their places, and nothing of a model or of conversations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.data.index import Index, write_index
from orchestrator.data.rows import RenderMedium, SampleRow, rows_to_table

PIXELS_A_TOKEN = 784
"""28 x 28."""


def make_index(folder: Path, samples: Sequence[Sequence[RenderMedium]]) -> Index:
    """An index of samples with these media, in the state that their files are in."""
    rows = [sample_row(number, media) for number, media in enumerate(samples)]
    return write_index(folder, [rows_to_table(rows)], source="made", fingerprint="made")


def sample_row(number: int, media: Sequence[RenderMedium]) -> SampleRow:
    """A sample of some media and two words, the second an answer."""
    targets = [target for medium in media for target in medium.targets]
    image_tokens = sum(h * w for h, w in targets) // PIXELS_A_TOKEN
    urls = tuple(medium.location.url for medium in media)
    return SampleRow(
        id=f"id {number}",
        source=0,
        file="made",
        row=number + 1,
        ids_L=np.array([*[-1] * len(targets), 5, number], dtype=np.int32),
        labels_L=np.array([*[False] * len(targets), False, True]),
        kinds=tuple(medium.kind for medium in media),
        uris=urls,
        urls=urls,
        offsets=(0,) * len(urls),
        lengths=(-1,) * len(urls),
        media_keys=tuple(state_of(Path(url)) for url in urls),
        pictures=tuple(len(medium.targets) for medium in media),
        widths=tuple(w for _, w in targets),
        heights=tuple(h for h, _ in targets),
        target_heights=tuple(h for h, _ in targets),
        target_widths=tuple(w for _, w in targets),
        image_tokens=image_tokens,
        text_tokens=2,
        label_tokens=1,
        patches=4 * image_tokens,
        tokens=image_tokens + 2,
        cost=float(image_tokens + 2),
        text_hash="",
        says_count=False,
        question="Which?",
        notes=(),
    )


def state_of(path: Path) -> str:
    """Its bytes and time of change; blank for what is not there."""
    if not path.exists():
        return ""
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"
