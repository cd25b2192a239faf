"""Images that are alike go through a part of a fusion together."""

import pytest
import torch
from torch import Tensor

from orchestrator.fusion.batches import in_batches
from orchestrator.fusion.pooling import GridSize
from orchestrator.fusion.shape import AT_ONCE

KEYS: list[tuple[GridSize, ...]] = [((2, 3),), ((1, 2),), ((2, 3),), ((2, 3),)]


def images(keys: list[tuple[GridSize, ...]]) -> list[Tensor]:
    return [torch.randn(down * across, 5) for ((down, across), *_) in keys]


def test_each_image_gets_its_own_result_in_its_place() -> None:
    features, amounts = images(KEYS), [torch.tensor(float(number)) for number in range(4)]
    made = in_batches(
        lambda batch, amount, grid: batch * amount[:, None, None] + grid[1],
        KEYS,
        features,
        amounts,
    )
    for number, ((_, across),) in enumerate(KEYS):
        assert torch.equal(made[number], features[number] * number + across)


def test_images_of_one_key_are_one_call() -> None:
    sizes = []

    def note(batch: Tensor, grid: GridSize) -> Tensor:
        sizes.append((len(batch), grid))
        return batch

    in_batches(note, KEYS, images(KEYS))
    assert sizes == [(3, (2, 3)), (1, (1, 2))]


@pytest.mark.parametrize(
    ("side", "expected"), [(16, [8, 1]), (32, [2] * 4 + [1]), (64, [1] * 9)]
)
def test_a_call_has_no_more_tokens_than_are_held_at_once_unless_one_image_has(
    side: int, expected: list[int]
) -> None:
    assert AT_ONCE == 2048
    keys: list[tuple[GridSize, ...]] = [((side, side),)] * 9
    sizes = []

    def note(batch: Tensor, _grid: GridSize) -> Tensor:
        sizes.append(len(batch))
        return batch

    in_batches(note, keys, [torch.empty(side * side, 1)] * 9)
    assert sizes == expected


def test_gradients_come_to_each_image() -> None:
    features = [each.requires_grad_() for each in images(KEYS)]
    made = in_batches(lambda batch, _grid: batch**2, KEYS, features)
    torch.stack([each.sum() for each in made]).sum().backward()
    for each in features:
        assert each.grad is not None
        torch.testing.assert_close(each.grad, 2 * each.detach())


def test_no_images_are_no_calls() -> None:
    assert in_batches(lambda *_: torch.empty(0), [], []) == []
