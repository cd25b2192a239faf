"""Whether what became of a nasty input is what has to."""

from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.rows import IMAGE_SLOT, SampleRow
from tests.nasty.outcomes import ROW_NUMBER, Emptied, Outcome, Quarantined, Trained
from tests.nasty.running import first_picture

_TOLERANCE = 4
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


def judge(
    expected: Outcome, row: SampleRow | BadRow, batch: MicroBatch | None, tokenizer: Any
) -> None:
    """Compare; ``batch`` is the row rendered alone, None for a bad one.

    Raises:
        AssertionError: It is not what has to be.
    """
    match expected:
        case Quarantined(reason, remedy):
            assert isinstance(row, BadRow), "it would be trained on"
            assert reason in row.reason
            assert row.remedy
            assert row.remedy.startswith(remedy)
        case Emptied(reason):
            assert isinstance(row, SampleRow), row.reason
            assert batch is not None
            assert [reason in fault.reason for fault in batch.faults] == [True], batch.faults
        case Trained():
            assert isinstance(row, SampleRow), row.reason
            assert batch is not None
            assert not batch.faults
            _judge_trained(expected, row, tokenizer)
            _judge_pixels(expected, batch)
        case _:
            assert_never(expected)


def _judge_trained(expected: Trained, row: SampleRow, tokenizer: Any) -> None:
    pictures = np.count_nonzero(row.ids_L == IMAGE_SLOT)
    assert pictures == len(row.widths)
    if expected.pictures is not None:
        assert pictures == expected.pictures
    if expected.size is not None:
        assert (row.widths[0], row.heights[0]) == expected.size
    if expected.id is not None:
        assert row.id == (str(row.row) if expected.id == ROW_NUMBER else expected.id)
    assert any(expected.note in note for note in row.notes) or not expected.note
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    ids_L = np.where(row.ids_L == IMAGE_SLOT, pad, row.ids_L)
    assert expected.reads in tokenizer.decode(ids_L.tolist()).replace(_PICTURE, "▣")


def _judge_pixels(expected: Trained, batch: MicroBatch) -> None:
    if expected.quarters is None:
        return
    found = _quarters(first_picture(batch))
    difference = np.abs(found.astype(int) - np.array(expected.quarters))
    assert difference.max() <= _TOLERANCE, found.tolist()


def _quarters(pixels_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colours in the middle of each quarter."""
    height, width, _ = pixels_HWC.shape
    rows, columns = [height // 4, height * 3 // 4], [width // 4, width * 3 // 4]
    return pixels_HWC[np.ix_(rows, columns)].reshape(4, 3)
