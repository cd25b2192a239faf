"""How much each token of an image counts, and each image."""

import torch

from orchestrator.fusion.weighing import MOST, Weighing, weigh
from tests.unit.fusion.conftest import SHAPE


def test_scores_stay_within_their_bounds() -> None:
    weighing = Weighing(SHAPE)
    score_n = weighing(1e4 * torch.randn(24, 16), torch.randn(4, 16), (4, 6))
    assert score_n.abs().max() <= MOST


def test_an_image_weighs_what_its_tokens_count_on_average() -> None:
    large_n, small_n = torch.zeros(8), torch.tensor([3.0, 3.0]).log()
    torch.testing.assert_close(weigh([large_n, small_n]), torch.tensor([0.25, 0.75]))


def test_images_whose_tokens_count_alike_weigh_alike_to_the_bit() -> None:
    weights_N = weigh([torch.zeros(size) for size in (1, 7, 12, 1000, 4099)])
    assert len(set(weights_N.tolist())) == 1
