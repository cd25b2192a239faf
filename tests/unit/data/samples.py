"""Rows of an index, made up."""

import numpy as np

from orchestrator.data.rows import IMAGE_SLOT, SampleRow


def sample_row(
    row: int, num_images: int, source: int = 0, file: str = "data.jsonl"
) -> SampleRow:
    """A sample of some pictures, its figures all different."""
    ids = [row, *[IMAGE_SLOT] * num_images, 7]
    return SampleRow(
        id=f"样本{row}",
        source=source,
        file=file,
        row=row,
        ids_L=np.array(ids, dtype=np.int32),
        labels_L=np.array([False] * (len(ids) - 1) + [True]),
        kinds=("image",) * num_images,
        uris=tuple(f"{row}/{image}.jpg" for image in range(num_images)),
        urls=tuple(f"/media/{row}/{image}.jpg" for image in range(num_images)),
        offsets=tuple(range(num_images)),
        lengths=(-1,) * num_images,
        media_keys=("key",) * num_images,
        pictures=(1,) * num_images,
        widths=(40,) * num_images,
        heights=(30,) * num_images,
        target_heights=(16,) * num_images,
        target_widths=(32,) * num_images,
        image_tokens=2 * num_images,
        text_tokens=2,
        label_tokens=1,
        patches=8 * num_images,
        tokens=2 + 2 * num_images,
        cost=row / 2,
        text_hash="hash",
        says_count=False,
        question="Which?",
        notes=(),
    )
