"""One folder of named bytes, on a disk or behind a URL such as ``s3://bucket/runs``.

What a run needs of storage is little: whole objects that appear at once or not at all, one
that only the first of several writers creates, and logs that grow by lines. Folders and object
stores each have a way to all three.
"""

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from orchestrator.errors import StorageError
from orchestrator.object_store import Stamp, open_remote

T = TypeVar("T")

_TEMPORARY = ".tmp-"
_CHECK = "Check that it exists and may be used from this machine"


class Place(Protocol):
    """What a store is made of. Names are checked; errors are the back end's own.

    ``write`` and ``create`` must not let a reader see half an object.
    """

    def read(self, name: str, /) -> bytes: ...
    def write(self, name: str, data: bytes | bytearray, /) -> None: ...
    def create(self, name: str, data: bytes, /) -> bool: ...
    def append(self, name: str, data: bytes, /) -> None: ...
    def read_log(self, name: str, /) -> bytes: ...
    def exists(self, name: str, /) -> bool: ...
    def names(self, folder: str, /) -> list[str]: ...
    def stamps(self, folder: str, /) -> dict[str, Stamp]: ...
    def delete(self, name: str, /) -> None: ...
    def sweep(self, folder: str, before_s: float, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of named bytes. Cheap to make, and travels between processes.

    Names are relative, with ``/`` between their parts, and cannot lead out of the folder.
    Every method raises StorageError where storage does not do what it was asked.
    """

    url: str
    place: Place

    @classmethod
    def open(cls, url: str) -> "Store":
        """The store at a local path or a URL. Nothing is made before the first write."""
        if "://" in url and not url.startswith("file://"):
            return cls(url.rstrip("/"), _asked(url, lambda: open_remote(url.rstrip("/"))))
        root = Path(url.removeprefix("file://")).expanduser().absolute()
        return cls(str(root), LocalPlace(root))

    def child(self, name: str) -> "Store":
        """The store at a folder inside this one."""
        return Store.open(f"{self.url}/{_checked(name, self.url)}")

    def read(self, name: str) -> bytes:
        """A whole object."""
        return self._ask(self.place.read, name)

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Make or replace an object. Readers see the old one or the new one, whole."""
        self._ask(lambda safe: self.place.write(safe, data), name)

    def create(self, name: str, data: bytes) -> bool:
        """Make an object that must not exist yet.

        Returns:
            True for one caller at most, however many try at once; False if it exists.
        """
        return self._ask(lambda safe: self.place.create(safe, data), name)

    def append(self, name: str, text: str) -> None:
        """Add whole lines to a log; on return they are durable.

        A line that an earlier writer left unfinished is dropped. Behind a URL each call makes
        one object, so gather lines before. After an error none of the lines is there, or all
        are and the same call again through this store adds nothing.
        """
        lines = text if text.endswith("\n") else text + "\n"
        self._ask(lambda safe: self.place.append(safe, lines.encode()), name)

    def read_lines(self, name: str) -> list[str]:
        """The lines of a log, without one that is not finished. No log has no lines."""
        # Bytes first: a torn line can end inside a character.
        whole, _, _ = self._ask(self.place.read_log, name).rpartition(b"\n")
        return whole.decode().split("\n") if whole else []

    def exists(self, name: str) -> bool:
        """Whether there is such an object or log. A folder is neither."""
        return self._ask(self.place.exists, name)

    def list(self, prefix: str = "") -> list[str]:
        """Names of all objects in a folder and the folders in it, sorted; "" is the store."""
        if not prefix:
            return _asked(self.url, lambda: sorted(self.place.names("")))
        return sorted(self._ask(self.place.names, prefix))

    def stamps(self, prefix: str = "") -> dict[str, Stamp]:
        """What ``list`` names, each with its size and a word that changes when its bytes do.

        Asks for a listing, and for no content.
        """
        if not prefix:
            return _asked(self.url, lambda: self.place.stamps(""))
        return self._ask(self.place.stamps, prefix)

    def delete(self, prefix: str) -> None:
        """Remove an object, a log, or a folder with all in it; fine if there is none."""
        self._ask(self.place.delete, prefix)

    def sweep(self, prefix: str, *, before_s: float) -> None:
        """Remove what writers that were killed left in a folder, halfway through an object.

        Args:
            prefix: The folder.
            before_s: Leave what was touched after this, in seconds since 1970: its writer may
                be alive.
        """
        self._ask(lambda safe: self.place.sweep(safe, before_s), prefix)

    def _ask(self, action: Callable[[str], T], name: str) -> T:
        safe = _checked(name, self.url)
        return _asked(f"{self.url}/{safe}", lambda: action(safe))


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder on a disk or a shared file system."""

    root: Path

    def read(self, name: str, /) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes | bytearray, /) -> None:
        path = self._with_folder(name)
        with _written_aside(path, data) as temporary:
            temporary.replace(path)
            _sync_folder(path.parent)

    def create(self, name: str, data: bytes, /) -> bool:
        path = self._with_folder(name)
        with _written_aside(path, data) as temporary:
            try:
                # A link, not an exclusive open: a name appears with its content or not at all.
                path.hardlink_to(temporary)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
        return True

    def append(self, name: str, data: bytes, /) -> None:
        path = self._with_folder(name)
        is_new = not path.exists()
        # Unbuffered: what a full disk refused would be tried again as the file is closed.
        with path.open("a+b", buffering=0) as log:
            # Whoever holds the lock knows that an unfinished line has no living writer.
            fcntl.flock(log, fcntl.LOCK_EX)
            _drop_unfinished_line(log)
            _add_all_or_nothing(log, data)
        if is_new:
            _sync_folder(path.parent)

    def read_log(self, name: str, /) -> bytes:
        path = self.root / name
        return path.read_bytes() if path.exists() else b""

    def exists(self, name: str, /) -> bool:
        return (self.root / name).is_file()

    def names(self, folder: str, /) -> list[str]:
        top = self.root / folder
        return [
            path.relative_to(self.root).as_posix()
            for path in top.rglob("*")
            if path.is_file() and not path.name.startswith(_TEMPORARY)
        ]

    def stamps(self, folder: str, /) -> dict[str, Stamp]:
        found = {}
        for name in self.names(folder):
            # Another may be deleting as this one lists.
            with suppress(FileNotFoundError):
                status = (self.root / name).stat()
                version = f"{status.st_mtime_ns} {status.st_ino}"
                found[name] = Stamp(status.st_size, version)
        return found

    def sweep(self, folder: str, before_s: float, /) -> None:
        for path in (self.root / folder).rglob(f"{_TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before_s:
                    path.unlink()

    def delete(self, name: str, /) -> None:
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _with_folder(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _asked(where: str, action: Callable[[], T]) -> T:
    try:
        return action()
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise StorageError("nothing of this name", where, _CHECK) from error
    except ImportError as error:
        fix = "Install the extra for this store: s3 or gs"
        raise StorageError(str(error).strip(" ."), where, fix) from error
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise StorageError(f"{error.strerror or error} ({code})", where, _CHECK) from error
    except Exception as error:
        # Every store's client has a family of errors of its own.
        raise StorageError(f"{type(error).__name__}: {error}", where, _CHECK) from error


def _checked(name: str, url: str) -> str:
    """The name in plain form, if it stays inside the store."""
    path = PurePosixPath(name)
    parts = path.parts
    leads_out = not parts or path.is_absolute() or ".." in parts
    # fsspec takes the last three for patterns, and would remove more than was named.
    has_odd_letter = any(letter in name for letter in "\\\0*?[")
    if leads_out or has_odd_letter or parts[-1].startswith(_TEMPORARY):
        fix = "Use a relative name without '..' and without any of \\ * ? ["
        raise StorageError(f"{name!r} is no name inside the store", url, fix)
    return str(path)


@contextmanager
def _written_aside(path: Path, data: bytes | bytearray) -> Iterator[Path]:
    """A temporary file beside ``path`` that holds ``data`` durably, gone afterwards."""
    temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # A name is durable only when its folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _add_all_or_nothing(log: FileIO, data: bytes) -> None:
    end = log.seek(0, os.SEEK_END)
    try:
        rest = memoryview(data)
        while rest:
            # A disk that is nearly full takes less than it was given, without an error.
            rest = rest[log.write(rest) :]
        os.fsync(log.fileno())
    except OSError:
        # Whole lines among what was taken would be doubled by whoever tries again.
        log.truncate(end)
        raise


def _drop_unfinished_line(log: FileIO, block: int = 65_536) -> None:
    """Cut the log after its last line end."""
    end = log.seek(0, os.SEEK_END)
    start = end
    while start > 0:
        start = max(0, start - block)
        log.seek(start)
        found = log.read(block).rfind(b"\n")
        if found >= 0:
            start += found + 1
            break
    if start < end:
        log.truncate(start)
