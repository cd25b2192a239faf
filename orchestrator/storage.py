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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, TypeVar

from orchestrator.errors import StorageError

T = TypeVar("T")

_TEMPORARY = ".tmp-"
_CHECK = "Check that it exists and may be used from this machine"


class Place(Protocol):
    """What a store is made of. Names are checked; errors are the back end's own.

    ``write`` and ``create`` must not let a reader see half an object.
    """

    def read(self, name: str, /) -> bytes: ...
    def write(self, name: str, data: bytes, /) -> None: ...
    def create(self, name: str, data: bytes, /) -> bool: ...
    def append(self, name: str, data: bytes, /) -> None: ...
    def read_log(self, name: str, /) -> bytes: ...
    def exists(self, name: str, /) -> bool: ...
    def names(self, folder: str, /) -> list[str]: ...
    def delete(self, name: str, /) -> None: ...


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
            return cls(url.rstrip("/"), _asked(url, lambda: _remote(url.rstrip("/"))))
        root = Path(url.removeprefix("file://")).expanduser().absolute()
        return cls(str(root), LocalPlace(root))

    def child(self, name: str) -> "Store":
        """The store at a folder inside this one."""
        return Store.open(f"{self.url}/{_checked(name, self.url)}")

    def read(self, name: str) -> bytes:
        """A whole object."""
        return self._ask(self.place.read, name)

    def write(self, name: str, data: bytes) -> None:
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
        one object, so gather lines before.
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

    def delete(self, prefix: str) -> None:
        """Remove an object, a log, or a folder with all in it; fine if there is none."""
        self._ask(self.place.delete, prefix)

    def _ask(self, action: Callable[[str], T], name: str) -> T:
        safe = _checked(name, self.url)
        return _asked(f"{self.url}/{safe}", lambda: action(safe))


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder on a disk or a shared file system."""

    root: Path

    def read(self, name: str, /) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes, /) -> None:
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
        with path.open("a+b") as log:
            # Whoever holds the lock knows that an unfinished line has no living writer.
            fcntl.flock(log, fcntl.LOCK_EX)
            _drop_unfinished_line(log)
            log.write(data)
            log.flush()
            os.fsync(log.fileno())
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


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """An object store through fsspec. A log is numbered objects in ``name.parts/``."""

    filesystem: Any
    root: str
    next_part: dict[str, int] = field(default_factory=dict)

    def read(self, name: str, /) -> bytes:
        return bytes(self.filesystem.cat_file(self._path(name)))

    def write(self, name: str, data: bytes, /) -> None:
        self.filesystem.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes, /) -> bool:
        # A conditional put on S3 (If-None-Match) and GCS (generation 0): s3fs and gcsfs 2026.
        try:
            self.filesystem.pipe_file(self._path(name), data, mode="create")
        except FileExistsError:
            return False
        except OSError:
            # Other S3 stores, and S3 where two puts meet, refuse with an error of their own.
            # A put of ours whose answer was lost counts as another's: never two winners.
            if self.exists(name):
                return False
            raise
        return True

    def append(self, name: str, data: bytes, /) -> None:
        number = self.next_part.get(name, 0) or self._num_parts(name)
        while not self.create(f"{name}.parts/{number:08d}", data):
            number = max(number + 1, self._num_parts(name))
        self.next_part[name] = number + 1

    def read_log(self, name: str, /) -> bytes:
        paths = [self._path(part) for part in sorted(self._parts(name))]
        if not paths:
            return b""
        # All at once: a long run has thousands of parts, each a round trip.
        content = self.filesystem.cat(paths)
        return b"".join(content[path] for path in paths)

    def exists(self, name: str, /) -> bool:
        return bool(self.filesystem.isfile(self._path(name)) or self._parts(name))

    def names(self, folder: str, /) -> list[str]:
        top = f"{self.root}/{folder}".rstrip("/") + "/"
        found = self.filesystem.find(top)
        return [path.removeprefix(f"{self.root}/") for path in found if path.startswith(top)]

    def delete(self, name: str, /) -> None:
        gone = self.names(name) + self._parts(name)
        if self.filesystem.isfile(self._path(name)):
            gone.append(name)
        if gone:
            self.filesystem.rm([self._path(each) for each in gone])
        self.next_part.pop(name, None)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _parts(self, name: str) -> list[str]:
        return self.names(f"{name}.parts")

    def _num_parts(self, name: str) -> int:
        return max((int(part.rpartition("/")[2]) + 1 for part in self._parts(name)), default=0)


def _remote(url: str) -> RemotePlace:
    # Here, so that a run on disks starts without it.
    import fsspec  # noqa: PLC0415

    # A cached listing would hide what another machine wrote.
    filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return RemotePlace(filesystem, root.rstrip("/"))


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
def _written_aside(path: Path, data: bytes) -> Iterator[Path]:
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


def _drop_unfinished_line(log: IO[bytes], block: int = 65_536) -> None:
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
