import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from orchestrator.fusion.module import Sample
from tests.bench.fusion.encoder import Encoder
from tests.bench.fusion.fusing import BUDGET, Fusing, fusion_shape
from tests.bench.fusion.layers import WIDTH, num_parameters
from tests.bench.fusion.methods import METHODS, See
from tests.bench.fusion.model import Answerer, Tokens
from tests.bench.fusion.train import PARAMETERS, Student, training_batch
from tests.bench.fusion.words import ASKING
from tests.bench.fusion.world import CELLS, GRID


@pytest.fixture(autouse=True)
def _one_seed() -> Iterator[None]:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        yield


def awake(images: int) -> tuple[Fusing, Tensor, Tensor, Tensor]:
    """A fusion that is no longer the identity, and three samples for it."""
    fusing = Fusing(fusion_shape(), 0)
    across = fusing.fusion.across
    assert across is not None
    assert across.weighing is not None
    across.gate_D.fill_(0.5)
    across.weighing.token.weight.normal_(0, 3)
    features_SNnD = torch.randn(3, images, CELLS, WIDTH)
    marks_SN = torch.arange(images).expand(3, -1)
    return fusing, features_SNnD, torch.randn(3, ASKING, WIDTH), marks_SN


@pytest.mark.parametrize("images", [1, 2, 3, 8, 32])
def test_a_batch_is_fused_as_the_module_fuses_its_samples(images: int) -> None:
    fusing, features_SNnD, words_STD, marks_SN = awake(images)
    tokens, weights_SN = fusing.fuse(features_SNnD, words_STD, marks_SN)
    own_N2, block_N = np.full((images, 2), GRID), np.zeros(images, np.int64)
    for row, features_NnD in enumerate(features_SNnD):
        sample = Sample(
            tuple(features_NnD), own_N2, block_N, words_STD[row], np.zeros(ASKING, np.int64)
        )
        alone = fusing.fusion(sample)
        length = sum(map(len, alone.features))
        torch.testing.assert_close(tokens.features_SLD[row, :length], torch.cat(alone.features))
        torch.testing.assert_close(weights_SN[row], alone.weights_N)
        kept = torch.from_numpy(alone.grids_N2.prod(1))
        assert tokens.marks_SL[row, :length].equal(marks_SN[row].repeat_interleave(kept))
        assert tokens.is_there_SL is None or tokens.is_there_SL[row].sum() == length


@pytest.mark.parametrize("method", METHODS)
def test_methods_keep_to_the_budget_and_have_equal_parameters(method: str) -> None:
    batch = training_batch("odd", 0, 1)
    images = batch.marks_SN.shape[1]
    student = Student(METHODS[method](0), Answerer())
    student.model.widen(PARAMETERS - num_parameters(student))
    assert abs(num_parameters(student) - PARAMETERS) < WIDTH * 3
    tokens = student.look(Encoder(), batch)
    wanted = {"full": images * CELLS, "first": CELLS, "text": 0}.get(method)
    assert images > 2
    if wanted is None:
        assert 0.7 * BUDGET < tokens.per_sample() <= BUDGET
    else:
        assert tokens.per_sample() == wanted
    assert student.model(tokens, batch.questions_ST).isfinite().all()


def test_padding_changes_no_answer() -> None:
    model = Answerer()
    tokens = Tokens(torch.randn(2, 5, WIDTH), torch.rand(2, 5, 2), torch.ones(2, 5, dtype=int))
    questions_ST = torch.zeros(2, ASKING, dtype=torch.int64)
    padded = Tokens(
        torch.cat([tokens.features_SLD, torch.randn(2, 3, WIDTH)], 1),
        torch.cat([tokens.places_SL2, torch.rand(2, 3, 2)], 1),
        torch.cat([tokens.marks_SL, torch.zeros(2, 3, dtype=torch.int64)], 1),
        (torch.arange(8) < 5).expand(2, -1),
    )
    plain, other = model(tokens, questions_ST), model(padded, questions_ST)
    torch.testing.assert_close(plain, other, rtol=1e-4, atol=1e-5)


def test_a_wider_model_says_the_same_until_it_is_trained() -> None:
    model = Answerer()
    wider = copy.deepcopy(model)
    wider.widen(10_000)
    assert abs(num_parameters(wider) - num_parameters(model) - 10_000) < 200
    batch = training_batch("needle", 0, 0)
    see = See(Encoder(), batch.pictures, batch.marks_SN)
    tokens = METHODS["mean"](0)(see, model.word(batch.questions_ST))
    torch.testing.assert_close(
        model(tokens, batch.questions_ST), wider(tokens, batch.questions_ST)
    )
