"""A replica's state in 48 bits, cheap enough for every round.

The state is read as one stream of words of at most 32 bits, cut into pieces. A piece's hash is
the sum of its words, each times its place's own odd number of 64 bits, modulo 2^64: one flipped
bit always moves it, any other difference but for a chance of at most 1 in 2^32. The pieces'
hashes are hashed together. Integers throughout, so it is the same on every device. It finds
accidents; it is no proof against malice.

Source: multilinear hashing in D. Lemire and O. Kaser, "Strongly universal string hashing is
fast", The Computer Journal 57 (2014).
"""

import hashlib
from array import array
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from orchestrator.train.pieces import PIECE, scratch
from orchestrator.train.pieces import pieces as walk

# Of splitmix64, as int64.
_STEP = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int32}
"""What entries of so many bytes are read as."""


Pieces = list[list[Tensor]]
"""Views of a state's words, as many to a piece as it holds."""


def cut(tensors: Iterable[Tensor]) -> Pieces:
    """Cut a state into pieces; of tensors that are changed in place, once is enough.

    Args:
        tensors: All of the state that is tensors, on one device; their order counts. Small ones
            are put together, large ones taken apart.
    """
    found: Pieces = []
    room = 0
    for words in (words for tensor in tensors for words in _words(tensor)):
        done, size = 0, words.numel()
        while done < size:
            if not room:
                found.append([])
                room = PIECE
            taken = min(room, size - done)
            found[-1].append(words[done : done + taken])
            done, room = done + taken, room - taken
    return found


def fingerprint(pieces: Pieces, rest: str) -> int:
    """Hash a state.

    Args:
        pieces: From ``cut``.
        rest: All of the state that is not tensors.
    """
    digest = hashlib.sha256(rest.encode())
    sums = [_hash_piece(parts) for parts in pieces]
    # All at once: on a GPU each number that is read waits for the device.
    numbers = torch.stack(sums).tolist() if sums else []
    digest.update(array("q", numbers).tobytes())
    return int.from_bytes(digest.digest()[:6])


def _words(tensor: Tensor) -> Iterable[Tensor]:
    return (part.view(_WORDS[part.element_size()]) for part in walk(tensor.detach()))


def _hash_piece(parts: list[Tensor]) -> Tensor:
    size, device = sum(part.numel() for part in parts), parts[0].device
    products = scratch("products", size, torch.int64, device)
    weights = _place_weights(device)[:size]
    if device.type == "cpu":
        # A product of two formats is made from a copy in the wider one. The heap may put a sum
        # where one was and grow for the next: by twice the state, piece by piece.
        torch.cat(parts, out=products)
        return products.mul_(weights).sum()
    words = parts[0]
    if len(parts) > 1:
        words = torch.cat(parts, out=scratch("words", size, torch.int32, device))
    return torch.mul(words, weights, out=products).sum()


@lru_cache(maxsize=4)
def _place_weights(device: torch.device) -> Tensor:
    """An odd number of 64 bits a place, by splitmix64's rule; products wrap."""
    mixed = torch.arange(1, PIECE + 1, dtype=torch.int64) * _STEP
    mixed = (mixed ^ (mixed >> 30 & (1 << 34) - 1)) * _MIX_1
    mixed = (mixed ^ (mixed >> 27 & (1 << 37) - 1)) * _MIX_2
    return (mixed ^ (mixed >> 31 & (1 << 33) - 1) | 1).to(device)
