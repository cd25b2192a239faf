"""The base model is trained in place, from a seed, without the demo's question."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.demo import base, groups
from orchestrator.demo.pictures import KINDS
from orchestrator.demo.tiny_model import write_tiny_model


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_a_base_trains_in_place(tmp_path: Path, family: str) -> None:
    write_tiny_model(tmp_path, family=family, size="test")
    weights = tmp_path / "model.safetensors"
    before = weights.read_bytes()
    calls: list[tuple[int, int]] = []
    report = base.train_base(
        tmp_path, steps=2, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 2), (2, 2)]
    assert report.steps == 2
    assert np.isfinite(report.loss)
    assert weights.read_bytes() != before


def test_the_learning_rate_warms_up_and_falls_but_never_to_nothing() -> None:
    rates = [base._learning_rate(step, 100) for step in range(100)]
    assert np.argmax(rates) == 19
    assert 0 < rates[-1] < 0.1 * max(rates)


@pytest.mark.parametrize("seed", range(3))
def test_lessons_begin_with_a_few_small_pictures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    early = [base._lesson(0.0, rng) for _ in range(50)]
    late = [base._lesson(0.9, rng) for _ in range(200)]
    assert {number for _, number in early} == {2}
    assert {number for _, number in late} == set(range(1, 7))
    assert {side for side, _ in late} == {*base._SMALL_SIDES, *base._LARGE_SIDES}


@pytest.mark.parametrize("kinds", [[0], [1, 1], [0, 0, 2, 0, 0, 0]])
def test_lessons_are_true_and_never_ask_the_demos_question(kinds: list[int]) -> None:
    rng = np.random.default_rng(0)
    shown = {KINDS[kind] for kind in kinds}
    for _ in range(20):
        (any_question, any_answer), (match_question, match_answer) = base._turns(kinds, rng)
        asked = any_question.rstrip("?").split()[-1]
        assert groups.QUESTION not in {any_question, match_question}
        assert any_answer == ("yes" if asked in shown else "no")
        assert match_answer == ("true" if len(shown) == 1 else "false")
