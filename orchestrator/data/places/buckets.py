"""Media in object stores, through fsspec."""

import errno
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from orchestrator.data.places.answers import GoneError, NoAnswerError
from orchestrator.data.places.urls import authority
from orchestrator.errors import StorageError

_CONNECTIONS = 32
_EXTRAS = {"s3": "s3", "gs": "gs"}

_PAST_THE_END = {"InvalidRange", "416"}
# Asked for its state only, S3 gives no reason; asked for a byte, it does.
_UNEXPLAINED = {"400", "403"}
# S3 refuses whom it does not know in the words for what somebody may not see.
_STRANGER = {
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}


@dataclass(frozen=True, slots=True)
class Buckets:
    """Stores that fsspec knows."""

    timeout_s: float

    def look(self, url: str, /) -> tuple[int, str]:
        filesystem = _filesystem(authority(url), self.timeout_s)
        try:
            found = filesystem.info(url)
        except Exception as error:
            if _code(error) in _UNEXPLAINED:
                self.fetch(url, 0, 1)
            raise _verdict(error) from error
        if found["type"] != "file":
            raise GoneError("is no file")
        marks = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")
        state = next((found[mark] for mark in marks if found.get(mark)), "")
        return int(found["size"]), f"{found['size']}:{state}"

    def fetch(self, url: str, start: int, stop: int | None, /) -> bytes:
        filesystem = _filesystem(authority(url), self.timeout_s)
        try:
            # A range also for the whole: s3fs would ask for the size first.
            return bytes(filesystem.cat_file(url, start=start, end=stop))
        except Exception as error:
            if _code(error) in _PAST_THE_END:
                return b""
            raise _verdict(error) from error


@lru_cache
def _filesystem(bucket: str, timeout_s: float) -> Any:  # noqa: ANN401 - fsspec has no types
    # Here, so that a run on disks starts without it.
    import fsspec  # noqa: PLC0415

    try:
        filesystem, _ = fsspec.core.url_to_fs(bucket, **_options(bucket, timeout_s))
    except (ImportError, ValueError) as error:
        scheme = bucket.partition("://")[0]
        extra = _EXTRAS.get(scheme)
        fix = f"Install the extra {extra!r}" if extra else "Use s3://, gs:// or a folder"
        raise StorageError(str(error).strip(" ."), bucket, fix) from error
    if bucket.startswith("s3://"):
        # Its own tries would multiply with ours.
        filesystem.retries = 1
    return filesystem


def _options(bucket: str, timeout_s: float) -> dict[str, object]:
    if not bucket.startswith("s3://"):
        return {}
    client = {
        "connect_timeout": timeout_s,
        "read_timeout": timeout_s,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": _CONNECTIONS,
    }
    return {"config_kwargs": client, "use_listings_cache": False}


def _verdict(error: Exception) -> GoneError | NoAnswerError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return GoneError("not found")
    if getattr(error, "errno", None) == errno.ENAMETOOLONG:
        return GoneError("has too long a name")
    if isinstance(error, IsADirectoryError):
        return GoneError("is no file")
    if isinstance(error, PermissionError) and _code(error) not in _STRANGER:
        return GoneError("may not be read")
    return NoAnswerError(f"{type(error).__name__}: {error}")


def _code(error: Exception) -> str:
    """The store's own word for an error, where its client passes it on."""
    for each in (error, error.__cause__):
        answer = getattr(each, "response", None)
        if isinstance(answer, dict):
            return str(answer.get("Error", {}).get("Code", ""))
    return str(getattr(error, "code", ""))
