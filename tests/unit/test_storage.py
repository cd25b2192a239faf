"""One behaviour, on a disk and behind a URL."""

import pickle
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from orchestrator.errors import StorageError
from orchestrator.object_store import RemotePlace
from orchestrator.storage import Store


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "local":
        yield Store.open(str(tmp_path / "store"))
        return
    remote = Store.open(f"memory://{uuid.uuid4().hex}/runs/")
    yield remote
    for name in remote.list():
        remote.delete(name)


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def test_what_is_written_is_read(store: Store) -> None:
    store.write("a/b.bin", b"\0\xff")
    store.write("a/b.bin", b"second")
    assert store.read("a/b.bin") == b"second"
    assert store.exists("a/b.bin")
    assert not store.exists("a")
    assert not store.exists("a/c.bin")


def test_only_the_first_creates(store: Store) -> None:
    assert store.create("lease/1.json", b"mine")
    assert not store.create("lease/1.json", b"yours")
    assert store.read("lease/1.json") == b"mine"


def test_of_many_that_create_at_once_one_succeeds_and_its_bytes_are_kept(local: Store) -> None:
    num_writers = 8
    barrier = Barrier(num_writers)

    def create(writer: int) -> bool:
        barrier.wait()
        return local.create("lease", f"writer {writer}".encode() * 1000)

    with ThreadPoolExecutor(num_writers) as pool:
        won = list(pool.map(create, range(num_writers)))
    assert won.count(True) == 1
    assert local.read("lease") == f"writer {won.index(True)}".encode() * 1000
    assert local.list() == ["lease"]


def test_a_log_keeps_lines_in_order_also_through_another_store(store: Store) -> None:
    assert store.read_lines("events.jsonl") == []
    store.append("events.jsonl", "one")
    store.append("events.jsonl", "two\nthree\n")
    other = pickle.loads(pickle.dumps(store))
    other.append("events.jsonl", '{"描述": "a\u2028b"}\n')
    store.append("events.jsonl", "five\n")
    assert store.read_lines("events.jsonl") == [
        "one",
        "two",
        "three",
        '{"描述": "a\u2028b"}',
        "five",
    ]
    assert store.exists("events.jsonl")
    store.delete("events.jsonl")
    assert not store.exists("events.jsonl")
    store.append("events.jsonl", "again\n")
    assert store.read_lines("events.jsonl") == ["again"]


def test_an_empty_line_is_a_line(store: Store) -> None:
    store.append("log", "a\n\nb\n")
    assert store.read_lines("log") == ["a", "", "b"]


@pytest.mark.parametrize("torn", ['{"kind": "st', "描".encode()[:2], b"x" * 200_000])
def test_a_torn_last_line_is_ignored_and_the_next_append_replaces_it(
    local: Store, torn: str | bytes
) -> None:
    local.append("log", "whole\n")
    with Path(local.url, "log").open("ab") as log:
        log.write(torn.encode() if isinstance(torn, str) else torn)
    assert local.read_lines("log") == ["whole"]
    local.append("log", "next\n")
    assert local.read_lines("log") == ["whole", "next"]


def test_a_log_that_is_only_a_torn_line_has_no_lines(local: Store) -> None:
    Path(local.url, "log").write_bytes(b"half")
    assert local.read_lines("log") == []
    local.append("log", "first\n")
    assert local.read_lines("log") == ["first"]


def test_appends_from_many_threads_are_all_kept(local: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: local.append("log", f"line {n}\n"), range(40)))
    assert sorted(local.read_lines("log")) == sorted(f"line {n}" for n in range(40))


def test_logs_behind_a_url_are_numbered_objects_and_pass_each_other_by() -> None:
    one = Store.open(f"memory://{uuid.uuid4().hex}")
    two = Store.open(one.url)
    for n in range(3):
        one.append("log", f"one {n}")
        two.append("log", f"two {n}")
    assert one.read_lines("log") == ["one 0", "two 0", "one 1", "two 1", "one 2", "two 2"]
    assert one.list()[0] == "log.parts/00000000"


def test_list_names_all_in_a_folder_and_not_its_neighbours(store: Store) -> None:
    assert store.list() == []
    for name in ["b", "a/2", "a/1", "a/deep/3", "ab/4"]:
        store.write(name, b"")
    assert store.list() == ["a/1", "a/2", "a/deep/3", "ab/4", "b"]
    assert store.list("a") == ["a/1", "a/2", "a/deep/3"]
    assert store.list("none") == []


def test_delete_takes_a_folder_or_one_object_and_forgives_none(store: Store) -> None:
    for name in ["a/1", "a/deep/2", "ab"]:
        store.write(name, b"")
    store.delete("a")
    store.delete("none")
    assert store.list() == ["ab"]
    store.delete("ab")
    assert store.list() == []


def test_a_child_is_a_store_of_its_own(store: Store) -> None:
    child = store.child("runs/one")
    child.write("x", b"1")
    assert store.read("runs/one/x") == b"1"
    assert child.list() == ["x"]


@pytest.mark.parametrize(
    "name", ["", "/", "/etc/passwd", "..", "a/../../b", "a\\b", "a\0", ".", "a*"]
)
def test_a_name_that_leads_out_is_refused(store: Store, name: str) -> None:
    with pytest.raises(StorageError, match="no name inside the store"):
        store.write(name, b"")
    with pytest.raises(StorageError, match="no name inside the store"):
        store.child(name)


def test_what_is_missing_is_named_with_its_place(store: Store) -> None:
    with pytest.raises(StorageError) as caught:
        store.read("a/none")
    assert caught.value.where == f"{store.url}/a/none"


def test_a_write_that_fails_leaves_the_old_object_and_no_rest(local: Store) -> None:
    local.write("a/b", b"old")
    Path(local.url, "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file/x"):
        local.write("file/x", b"a folder cannot be made here")
    with pytest.raises(StorageError):
        local.write("a", b"a folder has this name")
    assert local.read("a/b") == b"old"
    assert local.list() == ["a/b", "file"]


def test_a_file_url_is_a_local_store(tmp_path: Path) -> None:
    Store.open(f"file://{tmp_path}").write("x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


def test_a_url_that_no_library_answers_for_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="nosuch"):
        Store.open("nosuch://bucket/folder")


class RefusingFilesystem:
    """A store that refuses a second put with an error of its own, as some S3 copies do."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.answers = True

    def pipe_file(self, path: str, data: bytes, mode: str) -> None:
        if not self.answers:
            raise RuntimeError("endpoint not reached")
        if mode == "create" and path in self.objects:
            raise OSError(22, "At least one of the pre-conditions did not hold")
        self.objects[path] = data

    def info(self, path: str) -> dict[str, str]:
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "type": "file"}


def test_a_refusal_in_other_words_is_still_a_refusal_and_silence_is_an_error() -> None:
    filesystem = RefusingFilesystem()
    store = Store("s3://bucket", RemotePlace(filesystem, "bucket"))
    assert store.create("lease", b"1")
    assert not store.create("lease", b"2")
    filesystem.answers = False
    with pytest.raises(StorageError, match="endpoint not reached"):
        store.create("lease", b"3")
