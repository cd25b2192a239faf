"""A replica's state, and its travels."""

import pytest
import torch
from torch.nn import Parameter

from orchestrator.errors import StorageError
from orchestrator.train.exact import Grid
from orchestrator.train.state import EvalSums, Progress, Replica, read_state


def make_replica(seed: int = 0) -> Replica:
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: Parameter(torch.randn(4, 3, generator=generator)) for name in ("b", "a")}
    return Replica(tensors, weight_decay=0.1)


def trained(steps: int, replica: Replica | None = None) -> Replica:
    replica = replica or make_replica()
    for _ in range(steps):
        step = replica.progress.step
        gradients = [torch.full((4, 3), 0.1 * (step + 1), dtype=torch.float64)] * 2
        replica.apply(gradients, learning_rate=0.01, grid=Grid((step, step)))
    return replica


def test_a_replica_that_travelled_goes_on_to_the_same_bits() -> None:
    newcomer = make_replica(seed=9)
    newcomer.load_bytes(trained(3).to_bytes())
    assert trained(2, newcomer).to_bytes() == trained(5).to_bytes()


def test_the_same_state_is_the_same_bytes() -> None:
    assert trained(3).to_bytes() == trained(3).to_bytes()


def test_progress_survives_the_trip() -> None:
    progress = Progress(3, 7, Grid((1, -2)), 2, EvalSums(1, 2, 3, 4), 3)
    replica = make_replica()
    replica.progress = progress
    assert read_state(replica.to_bytes())[0] == progress


def test_the_hash_is_of_the_weights_in_name_order() -> None:
    replica = make_replica()
    swapped = Replica(dict(reversed(replica.tensors.items())), weight_decay=0.1)
    assert replica.weights_sha256() == swapped.weights_sha256()
    assert replica.weights_sha256() != trained(1).weights_sha256()


def test_one_flipped_bit_anywhere_moves_the_fingerprint() -> None:
    replica = trained(2)
    before = replica.fingerprint()
    for _, tensor in list(replica._named()):
        bits = tensor.view(torch.int32)
        bits[1, 2] ^= 1
        assert replica.fingerprint() != before
        bits[1, 2] ^= 1
    assert replica.fingerprint() == before


def test_progress_is_part_of_the_fingerprint() -> None:
    replica = make_replica()
    before = replica.fingerprint()
    replica.progress = Progress(0, 1, replica.progress.grid)
    assert replica.fingerprint() != before


def test_the_state_of_another_adapter_is_refused() -> None:
    other = Replica({"a": Parameter(torch.zeros(2, 2))}, weight_decay=0.0)
    with pytest.raises(StorageError, match="other tensors"):
        make_replica().load_bytes(other.to_bytes())
