"""Walking through tensors a piece at a time."""

import pytest
import torch

from orchestrator.train.pieces import pieces

NUMBERS = torch.arange(240)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3),
        torch.zeros(0, 4),
        torch.zeros(4, 0),
        torch.zeros(4, 0).t(),
        NUMBERS,
        NUMBERS[::3],
        NUMBERS.view(12, 20).t(),
        NUMBERS.view(2, 3, 40).permute(2, 0, 1),
        NUMBERS.view(4, 60)[:, 5:50],
        torch.tensor([[5]]).expand(30, 9),
        torch.tensor(5).expand(2, 1, 70),
    ],
    ids=lambda tensor: f"{tuple(tensor.shape)} by {tensor.stride()}",
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_are_the_entries_in_order_and_no_larger_than_asked(
    tensor: torch.Tensor, size: int
) -> None:
    found = list(pieces(tensor, size))
    assert all(piece.dim() == 1 and piece.is_contiguous() for piece in found)
    assert max((len(piece) for piece in found), default=0) <= size
    assert torch.equal(torch.cat(found), tensor.reshape(-1))


def test_pieces_of_a_contiguous_tensor_are_no_copies() -> None:
    assert [piece.data_ptr() for piece in pieces(NUMBERS, 100)] == [
        NUMBERS[start:].data_ptr() for start in (0, 100, 200)
    ]
