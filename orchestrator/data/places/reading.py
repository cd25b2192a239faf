"""Several media at once: stores across a network answer many as fast as one."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.places.content import Content

AT_ONCE = 16


def read_all(contents: Sequence[Content], limit: int = AT_ONCE) -> list[bytes | BadSampleError]:
    """Read media, remote ones side by side and local ones in turn.

    Args:
        contents: Held in memory together.
        limit: Remote ones that are read at once.

    Returns:
        Of each, in order, its bytes, or why there are none.

    Raises:
        StorageError: A store did not answer.
    """
    remote = [content for content in contents if content.location.is_remote]
    if not remote:
        return [_read(content) for content in contents]
    with ThreadPoolExecutor(min(limit, len(remote))) as pool:
        waiting = [
            pool.submit(_read, content) if content.location.is_remote else None
            for content in contents
        ]
        try:
            return [
                _read(content) if future is None else future.result()
                for content, future in zip(contents, waiting, strict=True)
            ]
        except BaseException:
            # What has not begun would only find the same store silent.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _read(content: Content) -> bytes | BadSampleError:
    try:
        return content.read()
    except BadSampleError as error:
        return error
