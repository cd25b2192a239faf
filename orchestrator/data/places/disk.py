"""Files on this machine's disks: what may be reached, in what state it is, its bytes."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.places.wording import missing, no_path
from orchestrator.errors import StorageError

_MOST_FOLDERS = 65_536

# A person can mend these; the rest (timeouts, I/O errors) is the store's.
_MISSING = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
}


def real_path(path: str, roots: tuple[str, ...]) -> tuple[str, bool]:
    """Follow all links, and say whether the end is inside one of ``roots``.

    A folder is looked at once a process; after that, a path takes one ``lstat``.

    Args:
        path: Absolute; need not exist.
        roots: Absolute folders.

    Returns:
        The path without any link, ``.`` or ``..``, and whether it may be used.

    Raises:
        OSError: Its folder is not there, or cannot be looked at.
        ValueError: It is no path at all.
    """
    folder, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        return _judged(path, roots)
    real_folder, is_inside = _judged_folder(folder or "/", roots)
    real = f"{real_folder.rstrip('/')}/{name}"
    # The name itself can be a link, in a folder that is none.
    return _judged(real, roots) if _is_link(real) else (real, is_inside)


def _judged(path: str, roots: tuple[str, ...]) -> tuple[str, bool]:
    try:
        # Strictly: of a loop, os.path.realpath would give a path with links still in it.
        real = os.path.realpath(path, strict=True)
    except OSError:
        real = os.path.realpath(path)
        if _is_inside(real, roots):
            raise
    return real, _is_inside(real, roots)


_judged_folder = lru_cache(_MOST_FOLDERS)(_judged)


def _is_inside(real: str, roots: tuple[str, ...]) -> bool:
    return f"{real}/".startswith(_prefixes(roots))


@lru_cache
def _prefixes(roots: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(os.path.realpath(root).rstrip("/") + "/" for root in roots)


def _is_link(path: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        # Nothing there that could lead anywhere; whoever reads it will say so.
        return False


def file_state(path: str, what: str) -> tuple[int, str]:
    """Bytes of a file that can be read, and a key that changes with it.

    Raises:
        BadSampleError: There is no such file, or it is none, or may not be read.
        StorageError: The disk did not answer.
    """
    with disk_faults(path, what):
        found = os.stat(path)  # noqa: PTH116 - a Path would take as long again, 400,000 times
    if not stat.S_ISREG(found.st_mode):
        raise BadSampleError(f"{what} is no file", "Give the path of a file")
    if not os.access(path, os.R_OK):
        raise BadSampleError(f"{what} may not be read", "Give this user permission to read it")
    return found.st_size, f"{found.st_size}:{found.st_mtime_ns}"


def read_range(path: str, start: int, stop: int | None, what: str) -> bytes:
    """Bytes from ``start`` up to ``stop`` or the end; fewer where the file is shorter."""
    with disk_faults(path, what), Path(path).open("rb", buffering=0) as file:
        file.seek(start)
        return file.read() if stop is None else file.read(stop - start)


@contextmanager
def disk_faults(path: str, what: str) -> Iterator[None]:
    """Tell what is wrong with a sample from what is wrong with a disk.

    Raises:
        BadSampleError: What was asked for is not there.
        StorageError: The disk did not answer.
    """
    try:
        yield
    except ValueError as error:
        raise no_path(what) from error
    except OSError as error:
        if error.errno in _MISSING:
            raise missing(what) from error
        problem = f"does not answer ({error.strerror or error})"
        raise StorageError(problem, path, "Check the store and run again") from error
