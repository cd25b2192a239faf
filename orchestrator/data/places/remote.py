"""Media behind URLs, asked for until there is an answer."""

from orchestrator.data.places.answers import Patience, RemoteStore, patiently
from orchestrator.data.places.buckets import Buckets
from orchestrator.data.places.urls import WEB


def remote_state(url: str, what: str, patience: Patience) -> tuple[int, str]:
    """Bytes of an object, and a key that changes with it.

    Raises:
        BadSampleError: It is not there.
        StorageError: There was no answer, however often it was asked for.
    """
    store = _store(url, patience)
    return patiently(lambda: store.look(url), url, what, patience)


def fetch_range(url: str, span: tuple[int, int | None], what: str, patience: Patience) -> bytes:
    """Bytes of an object: from, and up to; fewer where it is shorter.

    Raises:
        BadSampleError: It is not there.
        StorageError: There was no answer, however often it was asked for.
    """
    store = _store(url, patience)
    return patiently(lambda: store.fetch(url, *span), url, what, patience)


def _store(url: str, patience: Patience) -> RemoteStore:
    if not WEB.match(url):
        return Buckets(patience.timeout_s)
    # Here, so that a run on disks starts without it.
    from orchestrator.data.places.web import Web  # noqa: PLC0415

    return Web(patience.timeout_s)
