"""Content that came inside rows, kept in files of its own so that renderers can read it."""

import hashlib
from collections.abc import Sequence

from orchestrator.data.places.location import Location
from orchestrator.storage import Store


def write_blob(store: Store, contents: Sequence[bytes]) -> list[Location]:
    """Keep contents in one object; equal ones once.

    The object's name is the hash of what is in it: the same contents make the same object, and
    one that is there already is not written again.

    Args:
        store: Where to.
        contents: One or more, held in memory at once.

    Returns:
        Of each content, in order, its range in the object.

    Raises:
        StorageError: The store did not take it.
    """
    different = list(dict.fromkeys(contents))
    joined = b"".join(different)
    name = f"{hashlib.sha256(joined).hexdigest()}.blob"
    if not store.exists(name):
        store.write(name, joined)
    url = f"{store.url}/{name}"
    offsets: dict[bytes, int] = {}
    offset = 0
    for content in different:
        offsets[content] = offset
        offset += len(content)
    return [Location(url, offsets[content], len(content)) for content in contents]
