"""Seeds from what they are for."""

from orchestrator.plan.seeds import hash_to_seed


def test_a_seed_is_the_same_everywhere_and_fits_a_signed_word() -> None:
    assert hash_to_seed(b"0/name") == hash_to_seed(b"0/name") != hash_to_seed(b"1/name")
    seeds = [hash_to_seed(str(number).encode()) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
