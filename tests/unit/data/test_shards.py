"""Pictures at the job's size: written once, found by everybody, and never half there."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.index import Index
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.media.medium import ImageSize, Medium, Probed, Targets
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.rows import RenderMedium
from orchestrator.data.shard_keys import Sought, index_keys, picture_keys, unwritten
from orchestrator.data.shard_writer import (
    Catalogue,
    encode,
    read_catalogues,
    runs,
    write_shards,
)
from orchestrator.data.shards import ShardMap, write_map
from orchestrator.errors import StorageError
from orchestrator.storage import Store
from tests.made_index import make_index

WriteImage = Callable[..., str]
TARGET = (32, 48)
FRAMES = ((16, 24), (16, 24), (16, 24))


@dataclass(frozen=True, slots=True)
class Stripes:
    """A "video" whose frames are of one colour each: a file of one byte a frame."""

    brightness: int = 0

    def probe(self, content: Content, /) -> Probed:
        return Probed((ImageSize(24, 16),) * len(content.read()))

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        return tuple(coder.target_size(size.height, size.width) for size in probed.pictures)

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        colours = content.read()
        if len(colours) < len(targets):
            raise BadSampleError("video ends early", "Write it again")
        return [
            np.full((h, w, 3), colour + self.brightness, dtype=np.uint8)
            for colour, (h, w) in zip(colours, targets, strict=True)
        ]


KINDS: dict[str, Medium] = {"image": ImageMedium(10**8, "#ffffff"), "video": Stripes()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def image(tmp_path: Path, write_image: WriteImage) -> Callable[[str], RenderMedium]:
    def make(name: str) -> RenderMedium:
        if not (tmp_path / name).exists():
            write_image(name, 300, 200)
        return RenderMedium("image", Location(str(tmp_path / name)), (TARGET,))

    return make


@pytest.fixture
def video(tmp_path: Path) -> RenderMedium:
    (tmp_path / "v.bin").write_bytes(bytes([10, 90, 200]))
    return RenderMedium("video", Location(str(tmp_path / "v.bin")), FRAMES)


def resize(index: Index, store: Store, kinds: dict[str, Medium] = KINDS) -> ShardMap:
    """What the cluster does, in this process."""
    pictures, catalogues = index_keys(index, kinds), read_catalogues(store)
    catalogues += write_shards(lacking(index, store, kinds), kinds, store)
    return write_map(index, kinds, store, pictures, catalogues)


def lacking(index: Index, store: Store, kinds: dict[str, Medium] = KINDS) -> list[Sought]:
    known = [key for each in read_catalogues(store) for key in each.entries_E["key"]]
    keys_I = index_keys(index, kinds).keys_I
    return list(unwritten(index, keys_I, np.array(known, dtype="S16")))


def pictures_of(media: Iterable[RenderMedium]) -> list[Pixels]:
    return [
        pixels
        for medium in media
        for pixels in KINDS[medium.kind].load(Content("x", medium.location), medium.targets)
    ]


def test_every_sample_gets_the_same_pictures_from_shards_at_its_own_size(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium], video: RenderMedium
) -> None:
    samples = [[image("a.png"), image("b.png")], [], [video, image("c.png")]]
    index = make_index(tmp_path / "index", samples)
    rows = resize(index, store).apply(index.rows([2, 0, 1]))
    assert [row.sample for row in rows] == [2, 0, 1]
    assert [len(row.media) for row in rows] == [4, 2, 0]
    for row, media in zip(rows, ([video, image("c.png")], samples[0], []), strict=True):
        assert {medium.kind for medium in row.media} <= {"image"}
        targets = [target for medium in media for target in medium.targets]
        assert [medium.targets for medium in row.media] == [(target,) for target in targets]
        for ours, original in zip(pictures_of(row.media), pictures_of(media), strict=True):
            assert ours.shape == original.shape
            assert np.abs(ours.astype(int) - original).mean() < 2.0


def test_a_shard_is_a_tar_of_members_named_by_their_content(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium]
) -> None:
    index = make_index(tmp_path / "index", [[image("a.png"), image("b.png")]])
    shards = resize(index, store)
    (name,) = shards.shard_names()
    with tarfile.open(fileobj=io.BytesIO(store.read(name))) as tar:
        members = tar.getmembers()
        for member, medium in zip(members, shards.apply(index.rows([0]))[0].media, strict=True):
            held = tar.extractfile(member)
            assert held is not None
            content = held.read()
            assert member.name == f"{hashlib.sha256(content).hexdigest()}.jpg"
            assert Content("x", medium.location).read() == content
    names = b"".join(bytes.fromhex(member.name.removesuffix(".jpg")) for member in members)
    assert name == f"{hashlib.sha256(names).hexdigest()}.tar"


def test_a_picture_of_many_samples_is_written_once(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium]
) -> None:
    index = make_index(tmp_path / "index", [[image("a.png"), image("a.png")]] * 3)
    assert len(lacking(index, store)) == 1
    shards = resize(index, store)
    places = {
        medium.location for row in shards.apply(index.rows([0, 1, 2])) for medium in row.media
    }
    assert len(places) == 1


def test_equal_files_share_their_bytes_in_a_shard(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium]
) -> None:
    first = image("a.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    index = make_index(tmp_path / "index", [[first], [image("copy.png")]])
    one, other = resize(index, store).apply(index.rows([0, 1]))
    assert one.media == other.media


def test_what_is_written_is_not_written_again_and_serves_other_indexes(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium]
) -> None:
    first = make_index(tmp_path / "one", [[image("a.png"), image("b.png")]])
    shards = resize(first, store)
    before = store.list()
    assert lacking(first, store) == []
    other = make_index(tmp_path / "other", [[image("b.png")], [image("c.png")]])
    assert [each.medium for each in lacking(other, store)] == [image("c.png")]
    found = resize(other, store)
    assert set(before) < set(store.list())
    assert found.apply(other.rows([0]))[0].media == shards.apply(first.rows([0]))[0].media[1:]


@pytest.mark.parametrize(
    "change",
    [
        lambda medium: replace(medium, targets=((64, 96),)),
        lambda medium: replace(medium, location=replace(medium.location, offset=1)),
        lambda medium: replace(medium, location=replace(medium.location, length=9)),
        lambda medium: replace(medium, kind="other"),
    ],
    ids=["size", "offset", "length", "kind"],
)
def test_whatever_changes_a_picture_changes_its_key(
    change: Callable[[RenderMedium], RenderMedium],
) -> None:
    medium = RenderMedium("image", Location("/a.png"), (TARGET,))
    keys = picture_keys(medium, "state", "settings")
    assert picture_keys(change(medium), "state", "settings") != keys
    assert picture_keys(medium, "changed", "settings") != keys
    assert picture_keys(medium, "state", "changed") != keys
    assert len(set(picture_keys(replace(medium, targets=FRAMES), "s", "s"))) == len(FRAMES)


def test_a_writer_killed_before_the_catalogue_leaves_nothing_that_counts(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium]
) -> None:
    names = [f"{number}.png" for number in range(4)]
    index = make_index(tmp_path / "index", [[image(name)] for name in names])
    wanted = lacking(index, store)
    # One shard a picture: two are whole, and of the third the catalogue is missing.
    written = list(write_shards(wanted[:3], KINDS, store, shard_bytes=1))
    assert len(written) == 3
    store.delete(written[2].name)
    assert [each.medium for each in lacking(index, store)] == [image(n) for n in names[2:]]
    shards = resize(index, store)
    assert shards.summary.num_left == 0
    assert shards.shard_names() <= set(store.list())


def test_a_picture_that_cannot_be_decoded_stays_where_it_is_to_be_named_later(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium], video: RenderMedium
) -> None:
    broken = image("broken.jpg")
    path = tmp_path / "broken.jpg"
    path.write_bytes(path.read_bytes()[:900])
    (tmp_path / "v.bin").write_bytes(bytes([10]))
    index = make_index(tmp_path / "index", [[image("a.png"), broken], [video], [broken]])
    shards = resize(index, store)
    first, second, third = shards.apply(index.rows([0, 1, 2]))
    assert first.media[0] != image("a.png")
    assert first.media[1] == broken
    assert second.media == (video,)
    assert third.media == (broken,)
    assert shards.summary.num_left == 5


def test_nothing_at_all_to_write_is_fine(tmp_path: Path, store: Store) -> None:
    index = make_index(tmp_path / "index", [[], []])
    shards = resize(index, store)
    assert shards.apply(index.rows([1]))[0].media == ()
    assert store.list() == []
    assert ShardMap.find(index, KINDS, store) is not None


def test_a_file_gone_since_it_was_indexed_is_an_error_and_not_a_gap(
    tmp_path: Path, store: Store, video: RenderMedium
) -> None:
    index = make_index(tmp_path / "index", [[video]])
    (tmp_path / "v.bin").unlink()
    with pytest.raises(StorageError, match=r"v\.bin.*not found since it was indexed"):
        resize(index, store)


def test_a_map_is_found_again_unless_a_shard_or_the_settings_are_not_the_same(
    tmp_path: Path, store: Store, image: Callable[[str], RenderMedium]
) -> None:
    index = make_index(tmp_path / "index", [[image("a.png")]])
    assert ShardMap.find(index, KINDS, store) is None
    made = resize(index, store)
    found = ShardMap.find(index, KINDS, store)
    assert found is not None
    assert found.summary == made.summary
    assert ShardMap.find(index, {**KINDS, "video": Stripes(3)}, store) is None
    store.delete(*made.shard_names())
    assert ShardMap.find(index, KINDS, store) is None


def test_the_pixels_identity_is_that_of_the_copies_whatever_shards_hold_them(
    tmp_path: Path, image: Callable[[str], RenderMedium]
) -> None:
    names = [f"{number}.png" for number in range(3)]
    index = make_index(tmp_path / "index", [[image(name)] for name in names])
    together, apart = (Store.open(str(tmp_path / name)) for name in ("together", "apart"))
    one = resize(index, together)
    list(write_shards(lacking(index, apart), KINDS, apart, shard_bytes=1))
    other = resize(index, apart)
    assert len(other.shard_names()) == 3 > len(one.shard_names())
    assert one.summary.pixels == other.summary.pixels
    less = make_index(tmp_path / "less", [[image(name)] for name in names[:2]])
    assert resize(less, together).summary.pixels != one.summary.pixels


def test_a_copy_keeps_its_colours_and_differs_by_little() -> None:
    ramp_HW = np.add.outer(np.arange(200), np.arange(300)) / 2
    noise_HWC = np.random.default_rng(0).normal(0, 3, (200, 300, 3))
    pixels_HWC = np.clip(ramp_HW[..., None] + noise_HWC, 0, 255).astype(np.uint8)
    with Image.open(io.BytesIO(encode(pixels_HWC))) as image:
        assert get_sampling(image) == 0
        error_HWC = np.asarray(image).astype(float) - pixels_HWC
    assert 10 * np.log10(255**2 / np.mean(error_HWC**2)) > 38


@given(counts=st.lists(st.integers(0, 300), max_size=40), side=st.integers(16, 4096))
def test_tasks_take_everything_in_order_and_none_takes_too_much(
    counts: list[int], side: int
) -> None:
    wanted = [
        Sought(RenderMedium("video", Location("/v"), ((side, side),) * count), (b"k",) * count)
        for count in counts
    ]
    cut = list(runs(wanted))
    assert [each for run in cut for each in run] == wanted
    for run in cut:
        assert run
        # Whatever came before the last one was not enough.
        before = sum(len(each.keys) for each in run[:-1])
        assert before < 256
        assert before * side * side < 128 << 20


def test_catalogues_of_equal_shards_with_other_keys_stand_side_by_side(
    store: Store, image: Callable[[str], RenderMedium]
) -> None:
    medium = image("a.png")
    written: list[Catalogue] = []
    for key in (b"1" * 16, b"2" * 16):
        written += write_shards([Sought(medium, (key,))], KINDS, store)
    assert written[0].shard == written[1].shard
    assert len([name for name in store.list() if name.endswith(".tar")]) == 1
    assert len(read_catalogues(store)) == 2


def test_remote_media_are_read_side_by_side_and_written_in_order(store: Store) -> None:
    together = threading.Barrier(3, timeout=5)

    class Meeting(Stripes):
        def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
            together.wait()
            return [np.full((*targets[0], 3), int(content.name), dtype=np.uint8)]

    wanted = [
        Sought(RenderMedium("video", Location(f"s3://b/{n}"), (TARGET,)), (b"%16d" % n,))
        for n in (30, 20, 10)
    ]
    (catalogue,) = write_shards(wanted, {"video": Meeting()}, store)
    assert catalogue.entries_E["key"].tolist() == [each.keys[0] for each in wanted]
    assert np.all(np.diff(catalogue.entries_E["offset"]) > 0)
