"""Objects behind a URL, through fsspec, with a bound on every wait.

Left to themselves, s3fs and botocore try 25 times between them, and wait without end for a
server that takes a connection and then stands still: a put asks for leave to send its body
("100-continue"), and that answer has no time limit. Nor is ``isfile`` asked here: it takes a
server that does not answer for an object that does not exist. ``Bounds`` says how long a
caller waits.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

ONE_PUT_BYTES: Final = 5 << 30
"""S3's limit for an object sent in one request. What is sent so is there whole or not at all,
and leaves no parts behind when it is interrupted."""
_S3: Final = ("s3", "s3a")
_PATIENT_S: Final = 3600.0  # the bound of a put is one on the whole of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How long a caller waits where the other side has gone or stands still."""

    connect_s: float = 5.0
    silence_s: float = 10.0
    """Without a byte of an answer to a read or a listing, for each try."""
    tries: int = 3
    """Of what may be tried again unseen; all else is tried once."""
    put_s: float = 20.0
    """For a small object to be sent and answered for, all tries together."""
    slowest_bytes: int = 1 << 20
    """Bytes a second that a large one may take longer for."""

    @property
    def reading_s(self) -> float:
        """For a read or a listing, with the pauses between tries."""
        return (self.silence_s + 1) * self.tries

    def putting_s(self, num_bytes: int) -> float:
        """For a put of so many bytes."""
        return self.put_s + num_bytes / self.slowest_bytes


class Stamp(NamedTuple):
    """What a listing says of an object, and what changes when its bytes do."""

    size: int
    version: str
    """In the store's own words: hold it only against an earlier one of the same store."""


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """An object store. A log is numbered objects in ``name.parts/``.

    Attributes:
        filesystem: For all that may be tried again unseen.
        root: Bucket and folder.
        puts: The same store for puts: how long those may take depends on their size.
        once: The same store for puts that only the first may do: tried once, for a put whose
            answer was lost would be refused at the second try as if another had been first.
    """

    filesystem: Any
    root: str
    once: Any = None
    puts: Any = None
    bounds: Bounds = Bounds()
    next_part: dict[str, int] = field(default_factory=dict)
    in_doubt: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Logs whose last append failed without a word: its number, and the hash of its lines."""

    def read(self, name: str, /) -> bytes:
        return bytes(self.filesystem.cat_file(self._path(name)))

    def write(self, name: str, data: bytes | bytearray, /) -> None:
        self._put(self.puts or self.filesystem, self._path(name), data)

    def create(self, name: str, data: bytes, /) -> bool:
        # A conditional put on S3 (If-None-Match) and GCS (generation 0): s3fs and gcsfs 2026.
        try:
            self._put(self.once or self.filesystem, self._path(name), data, mode="create")
        except FileExistsError:
            return False
        except OSError:
            # Other S3 stores, and S3 where two puts meet, refuse with an error of their own.
            # A put of ours whose answer was lost counts as another's: never two winners.
            if self._is_object(name):
                return False
            raise
        return True

    def append(self, name: str, data: bytes, /) -> None:
        """Add a part. After an error, the same lines again are written once and not twice."""
        doubted, digest = self.in_doubt.get(name, (-1, ""))
        if digest == _digest(data):
            # The same number, however late the first put may still arrive: it or this one.
            number = doubted
        else:
            number, doubted = self.next_part.get(name, 0) or self._num_parts(name), -1
        while not self._append_at(name, number, data):
            if number == doubted and self._holds(name, number, data):
                break
            number = max(number + 1, self._num_parts(name))
        self.in_doubt.pop(name, None)
        self.next_part[name] = number + 1

    def read_log(self, name: str, /) -> bytes:
        paths = [self._path(part) for part in sorted(self._parts(name))]
        if not paths:
            return b""
        # All at once: a long run has thousands of parts, each a round trip.
        content = self.filesystem.cat(paths)
        return b"".join(content[path] for path in paths)

    def exists(self, name: str, /) -> bool:
        return self._is_object(name) or bool(self._parts(name))

    def names(self, folder: str, /) -> list[str]:
        return list(self.stamps(folder))

    def stamps(self, folder: str, /) -> dict[str, Stamp]:
        top = f"{self.root}/{folder}".rstrip("/") + "/"
        found = self.filesystem.find(top, detail=True)
        return {
            path.removeprefix(f"{self.root}/"): _stamp(info)
            for path, info in found.items()
            if path.startswith(top)
        }

    def delete(self, name: str, /) -> None:
        gone = self.names(name) + self._parts(name)
        if self._is_object(name):
            gone.append(name)
        if gone:
            self.filesystem.rm([self._path(each) for each in gone])
        self.next_part.pop(name, None)
        self.in_doubt.pop(name, None)

    def sweep(self, folder: str, before_s: float, /) -> None:
        """Nothing to do: an object is there whole or not at all."""

    def _put(self, filesystem: Any, path: str, data: bytes | bytearray, **options: Any) -> None:  # noqa: ANN401
        if getattr(filesystem, "async_impl", False):
            options["timeout"] = self.bounds.putting_s(len(data))
            if "s3" in filesystem.protocol and len(data) < ONE_PUT_BYTES:
                options["chunksize"] = ONE_PUT_BYTES
        filesystem.pipe_file(path, data, **options)

    def _append_at(self, name: str, number: int, data: bytes) -> bool:
        part = self._part(name, number)
        try:
            self._put(self.once or self.filesystem, self._path(part), data, mode="create")
        except FileExistsError:
            return False
        except Exception:
            # Clients have errors of their own, and few say whether the put went through.
            self.in_doubt[name] = (number, _digest(data))
            if not self._is_object(part):
                raise
            return self._holds(name, number, data)
        return True

    def _holds(self, name: str, number: int, data: bytes) -> bool:
        part = self._part(name, number)
        return self._is_object(part) and self.read(part) == data

    def _is_object(self, name: str) -> bool:
        try:
            return bool(self.filesystem.info(self._path(name))["type"] == "file")
        except FileNotFoundError:
            return False

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _part(self, name: str, number: int) -> str:
        return f"{name}.parts/{number:08d}"

    def _parts(self, name: str) -> list[str]:
        return self.names(f"{name}.parts")

    def _num_parts(self, name: str) -> int:
        return max((int(part.rpartition("/")[2]) + 1 for part in self._parts(name)), default=0)


def open_remote(url: str, bounds: Bounds = Bounds()) -> RemotePlace:
    """The place behind a URL. Nothing is asked of it yet."""
    # Here, so that a run on disks starts without it.
    import fsspec  # noqa: PLC0415

    protocol = url.partition("://")[0]
    # A cached listing would hide what another machine wrote.
    kinds = ((bounds.silence_s, bounds.tries), (_PATIENT_S, bounds.tries), (_PATIENT_S, 1))
    root, clients = "", []
    for silence_s, tries in kinds:
        options = _options(protocol, bounds.connect_s, silence_s, tries)
        client, root = fsspec.core.url_to_fs(url, **options)
        if protocol in _S3:
            # Botocore's tries are counted above; s3fs would multiply them by five.
            client.retries = 1
        clients.append(client)
    reads, puts, once = clients
    return RemotePlace(reads, root.rstrip("/"), once, puts, bounds)


def _options(protocol: str, connect_s: float, silence_s: float, tries: int) -> dict[str, Any]:
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in _S3:
        options["config_kwargs"] = {
            "connect_timeout": connect_s,
            "read_timeout": silence_s,
            "retries": {"total_max_attempts": tries, "mode": "standard"},
        }
    return options


def _stamp(info: dict[str, Any]) -> Stamp:
    versions = (info[key] for key in ("ETag", "etag", "md5Hash", "created") if key in info)
    return Stamp(int(info.get("size") or 0), str(next(versions, "")))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
