"""How alike two pictures are, in a number small enough to compare thousands.

Letters: N pictures.
"""

from collections.abc import Sequence

import imagehash
import numpy as np

from orchestrator.data.places.content import Content
from orchestrator.data.small_picture import MAX_SOURCE_PIXELS, small_picture

_LONGEST = 64
"""More pixels than a hash looks at (9 x 8), and few enough for the fastest decoding."""


def perceptual_hash(content: Content, max_source_pixels: int = MAX_SOURCE_PIXELS) -> int:
    """Give the difference hash of a picture as shown: 64 bits, brighter to the right or not.

    Whole numbers all the way, so that every machine gets the same bits. Two shots of one scene
    differ in some 10 bits at most, two scenes in some 32. Pictures of one flat colour are all
    alike, whatever the colour.

    Raises:
        BadSampleError: It is no picture of a kind we read, too large, or broken.
        StorageError: The store did not answer.

    Source: Krawetz 2013, "Kind of like that"; ``imagehash.dhash``.
    """
    small = small_picture(content, _LONGEST, max_source_pixels)
    bits = imagehash.dhash(small).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def alike(hashes: Sequence[int], most_bits: int) -> list[list[int]]:
    """Put what looks alike together: whoever is near one of a group belongs to it.

    Args:
        hashes: A 64-bit number for each picture.
        most_bits: Two pictures are near that differ in no more bits than these.

    Returns:
        Groups of places in ``hashes``, ascending, groups by their first place.

    Source: single linkage.
    """
    hash_N = np.array(hashes, dtype=np.uint64)
    group_N = np.arange(len(hashes))
    for place in range(len(hashes)):
        earlier_N = np.bitwise_count(hash_N[:place] ^ hash_N[place]) <= most_bits
        # All groups that this picture touches become one, named for its first picture.
        touched = np.unique(group_N[:place][earlier_N])
        if touched.size:
            group_N[: place + 1][np.isin(group_N[: place + 1], [*touched, place])] = touched[0]
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(group_N.tolist()):
        groups.setdefault(group, []).append(place)
    return list(groups.values())
