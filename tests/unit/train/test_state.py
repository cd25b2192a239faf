"""A replica's state, and its travels."""

import pytest
import safetensors.torch
import torch
from torch.nn import Parameter

from orchestrator.errors import StorageError
from orchestrator.train.exact import Count, GradientSum, clip
from orchestrator.train.grid import Grid
from orchestrator.train.state import EvalSums, Progress, Replica, read_state
from tests.unit.train.devices import on_every_device
from tests.unit.train.plain import PlainReplica, clip_plainly, mean_of

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


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


KINDS = {
    "bfloat": ((3, 5), torch.bfloat16),
    "bias": ((), torch.float32),
    "double": ((4,), torch.float64),
    "empty": ((0, 2), torch.float32),
    "half": ((6,), torch.float16),
    "large": ((300, 1000), torch.float32),
    "one": ((1,), torch.float32),
}


def mixed_replica(device: str = "cpu") -> Replica:
    """One of every shape and format, one step into its training."""
    generator = torch.Generator().manual_seed(1)
    replica = Replica(
        {
            name: Parameter(torch.randn(shape, generator=generator).to(device, dtype))
            for name, (shape, dtype) in KINDS.items()
        },
        weight_decay=0.1,
    )
    gradients = [torch.full(shape, 0.3, dtype=torch.float64) for shape, _ in KINDS.values()]
    replica.apply(gradients, learning_rate=0.01, grid=Grid((1,) * len(KINDS)))
    return replica


@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_a_step_is_torchs_own_to_the_bit(max_norm: float | None) -> None:
    replica = Replica(mixed_replica().tensors, weight_decay=0.1)
    plain = PlainReplica(replica.tensors, weight_decay=0.1)
    generator = torch.Generator().manual_seed(2)
    for step in range(4):
        drawn = [
            torch.randn(t.shape, generator=generator).to(t.dtype) * 10.0**-step
            for t in replica.tensors.values()
        ]
        grid = Grid((30,) * len(KINDS))
        total = GradientSum(replica.tensors, grid, num_micros=1)
        assert total.take(drawn, loss=1.0, counts={Count.LABEL_TOKENS: 7})
        mean = total.reduced(total.payload(0)).per_token()
        expected = mean_of([drawn], grid, 7)
        assert clip(mean, max_norm) == clip_plainly(expected, max_norm)
        replica.apply(mean, learning_rate=0.01 / (step + 1), grid=grid)
        plain.apply(expected, learning_rate=0.01 / (step + 1))
        for name, parameter in replica.tensors.items():
            assert torch.equal(parameter, plain.tensors[name]), f"{name} after {step + 1} steps"


@on_every_device
def test_every_shape_and_format_travels_and_goes_on_to_the_same_bits(device: str) -> None:
    there, here = mixed_replica(device), mixed_replica(device)
    for parameter in here.tensors.values():
        parameter.data.zero_()
    here.load_bytes(there.to_bytes())
    assert here.to_bytes() == there.to_bytes()
    assert here.fingerprint() == there.fingerprint()
    assert here.weights_sha256() == there.weights_sha256()
    for replica in (there, here):
        gradients = [torch.full(shape, 0.1, dtype=torch.float64) for shape, _ in KINDS.values()]
        replica.apply(gradients, learning_rate=0.01, grid=Grid((1,) * len(KINDS)))
    assert here.to_bytes() == there.to_bytes()


def test_a_state_is_a_file_that_safetensors_reads() -> None:
    replica = mixed_replica()
    found = safetensors.torch.load(replica.to_bytes())
    for name, tensor in replica._named():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_what_travelled_shares_no_memory_with_what_came() -> None:
    replica, newcomer = mixed_replica(), mixed_replica()
    sent = replica.to_bytes()
    newcomer.load_bytes(sent)
    newcomer.apply(
        [torch.ones(shape, dtype=torch.float64) for shape, _ in KINDS.values()],
        learning_rate=0.1,
        grid=Grid((1,) * len(KINDS)),
    )
    assert replica.to_bytes() == sent


@on_every_device
def test_one_flipped_bit_of_any_tensor_moves_the_fingerprint(device: str) -> None:
    replica = mixed_replica(device)
    before = replica.fingerprint()
    for name, tensor in list(replica._named()):
        for place in {0, tensor.numel() // 2, tensor.numel() - 1} if tensor.numel() else ():
            words = tensor.reshape(-1).view(BITS[tensor.element_size()])
            for bit in (0, tensor.element_size() * 8 - 1):
                mask = torch.tensor(1, device=device) << bit
                words[place] ^= mask.to(words.dtype)
                assert replica.fingerprint() != before, f"bit {bit} of {name}[{place}]"
                words[place] ^= mask.to(words.dtype)
    assert replica.fingerprint() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_has_one_fingerprint_on_every_device() -> None:
    on_cpu = mixed_replica()
    on_gpu = mixed_replica("cuda")
    on_gpu.load_bytes(on_cpu.to_bytes())
    assert on_gpu.fingerprint() == on_cpu.fingerprint()


def test_memory_of_an_earlier_state_is_used_again() -> None:
    replica = trained(1)
    first = replica.to_buffer()
    assert replica.to_buffer(first) is first
    assert trained(3, replica).to_buffer(first) is first
    assert first == replica.to_bytes()


def test_memory_of_another_size_is_left_alone() -> None:
    other = bytearray(7)
    assert trained(1).to_buffer(other) == trained(1).to_bytes()
    assert other == bytes(7)
