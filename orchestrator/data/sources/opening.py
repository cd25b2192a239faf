"""Data files and folders, on a disk or behind a URL: the one place that opens them."""

import glob
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.places.status import status
from orchestrator.errors import DataError, StorageError

BLOCK_BYTES = 8 << 20

_GZIP = b"\x1f\x8b"
_WHAT = "data file"
_FILE = "file://"
# A person can mend these; other faults are the store's.
_MENDABLE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
_CLIENTS = {"aiohttp", "aiobotocore", "botocore", "fsspec", "gcsfs", "google", "s3fs"}


def is_remote(url: str) -> bool:
    """Whether this is behind a URL, and not a path."""
    return "://" in url


def absolute(path: str) -> str:
    """A path that means the same in every process; a URL as it is."""
    if path.startswith(_FILE):
        path = path.removeprefix(_FILE)
    return path if is_remote(path) else str(Path(path).expanduser().absolute())


def joined(folder: str, name: str) -> str:
    """What is called ``name``, seen from ``folder``."""
    if is_remote(name) or name.startswith("/"):
        return absolute(name)
    plain = name.removeprefix("./")
    return f"{folder.rstrip('/')}/{plain}" if is_remote(folder) else str(Path(folder) / plain)


def open_file(url: str) -> BinaryIO:
    """Open a file for reading; it can be sought in."""
    if not is_remote(url):
        return Path(url).open("rb")
    return Content(url, Location(url), _WHAT).open()


@contextmanager
def open_text(url: str) -> Iterator[BinaryIO]:
    """Open a file of text for reading, through gzip where it is packed."""
    with open_file(url) as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast("BinaryIO", unpacked)


def is_packed(file: BinaryIO) -> bool:
    """Whether finding a place in the file means unpacking all before it."""
    return isinstance(file, gzip.GzipFile)


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, some megabytes at a time."""
    while block := file.read(BLOCK_BYTES):
        yield block


def read_between(url: str, start: int, stop: int) -> bytes:
    """Some bytes of a file of text."""
    with open_text(url) as file:
        file.seek(start)
        return file.read(stop - start)


def exists(url: str) -> bool:
    """Whether there is a file or folder of exactly this name."""
    if not is_remote(url):
        return Path(url).exists()
    filesystem, path = _filesystem(url)
    return bool(filesystem.exists(path))


def is_folder(url: str) -> bool:
    """Whether this is a folder; object stores have those that hold something."""
    if not is_remote(url):
        return Path(url).is_dir()
    # To tell, the whole of a page would be searched for links, and a data file is large.
    if url.startswith(("https://", "http://")):
        return False
    filesystem, path = _filesystem(url)
    return bool(filesystem.isdir(path))


def names_in(folder: str) -> list[str]:
    """Names of what a folder holds, sorted."""
    if not is_remote(folder):
        return sorted(path.name for path in Path(folder).iterdir())
    filesystem, place = _filesystem(folder)
    found = (
        str(one).rstrip("/").rpartition("/")[2] for one in filesystem.ls(place, detail=False)
    )
    return sorted(name for name in found if name)


def matches(pattern: str) -> list[str]:
    """What a pattern stands for, sorted."""
    if not is_remote(pattern):
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - a whole path, absolute
    filesystem, path = _filesystem(pattern)
    return sorted(str(filesystem.unstrip_protocol(one)) for one in filesystem.glob(path))


def identity(url: str) -> str:
    """Another text whenever the file is another: its bytes, and etag or time of change."""
    if not is_remote(url):
        found = Path(url).stat()
        return f"{found.st_size}:{found.st_mtime_ns}"
    return status(Location(url), url, _WHAT).key


def _filesystem(url: str) -> tuple[Any, str]:
    """What answers for a URL, and what it calls the place."""
    try:
        # Nothing that was heard of a folder before.
        filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ValueError as error:
        raise DataError(str(error), url, "Give a path, or a URL that fsspec opens") from error
    return filesystem, str(path)


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Say in our words why a file cannot be read.

    Raises:
        DataError: It is not there, or not for us, or cannot be unpacked.
        StorageError: The store did not answer.
    """
    try:
        yield
    except (*_MENDABLE, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _unreadable(url, getattr(error, "strerror", None) or str(error)) from error
    except BadSampleError as error:
        raise _unreadable(url, error.reason) from error
    except ImportError as error:
        fix = "Install the extra for this store: s3 or gs"
        raise DataError(str(error).strip(" ."), url, fix) from error
    except OSError as error:
        raise _silent(url, error.strerror or str(error)) from error
    except Exception as error:
        # Every store's client has a family of errors of its own.
        if type(error).__module__.partition(".")[0] not in _CLIENTS:
            raise
        raise _silent(url, str(error)) from error


def _unreadable(url: str, reason: str) -> DataError:
    fix = "Give the path of a data file, a folder of them, or a pattern"
    return DataError(f"cannot be read ({reason.strip(' .')})", url, fix)


def _silent(url: str, reason: str) -> StorageError:
    problem = f"does not answer ({reason.strip(' .')})"
    return StorageError(problem, url, "Check the store and run again")


def head_of(url: str, num_bytes: int) -> bytes:
    """How a file begins, unpacked."""
    with open_text(url) as file:
        return file.read(num_bytes)


def bytes_of(file: BinaryIO) -> int:
    """How many bytes a file has; its place is kept."""
    place = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(place)
    return end
