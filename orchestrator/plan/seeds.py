"""Seeds from what they are for, so that nothing random has a past."""

import hashlib


def hash_to_seed(content: bytes) -> int:
    """A seed of 63 bits, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") >> 1
