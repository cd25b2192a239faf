"""Where rows may lead, and where not."""

import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import MediaRef
from orchestrator.data.places.location import Location
from orchestrator.data.places.places import Places
from orchestrator.data.places.status import status


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder of one picture, with links of every kind, and a secret beside it."""
    media = tmp_path / "media"
    (media / "deep").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    (tmp_path / "media2").mkdir()
    for name in ("media/a.jpg", "media/deep/b.jpg", "secret.jpg", "beside/c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "media2/d.jpg").write_bytes(b"x")
    (media / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (media / "fine.jpg").symlink_to("deep/b.jpg")
    (media / "out").symlink_to(tmp_path)
    (media / "loop").symlink_to(media / "loop")
    (media / "empty.jpg").touch()
    return media


def found(places: Places, uri: str) -> str:
    return places.locate(MediaRef(uri)).url


def test_a_path_starts_at_media_dir(media: Path) -> None:
    places = Places(str(media))
    assert found(places, "a.jpg") == str(media / "a.jpg")
    assert found(places, str(media / "a.jpg")) == str(media / "a.jpg")
    assert found(places, "./deep/../deep//b.jpg") == str(media / "deep/b.jpg")
    assert found(places, "fine.jpg") == str(media / "deep/b.jpg")
    assert found(places, "out/media/a.jpg") == str(media / "a.jpg")


def test_a_media_dir_behind_a_link_or_a_file_url_is_itself(media: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(media)
    for start in (f"{tmp_path}/linked", f"file://{tmp_path}/linked", f"{media}/"):
        assert found(Places(start), "a.jpg") == str(media / "a.jpg")
        assert found(Places(start), f"{tmp_path}/linked/a.jpg") == str(media / "a.jpg")


def test_a_file_url_is_a_path(media: Path) -> None:
    places = Places(str(media))
    (media / "a b.jpg").write_bytes(b"x")
    (media / "100%20.jpg").write_bytes(b"x")
    for uri in (f"file://{media}/a b.jpg", f"FILE://localhost{media}/a%20b.jpg"):
        assert found(places, uri) == str(media / "a b.jpg")
    assert found(places, f"file://{media}/100%20.jpg") == str(media / "100%20.jpg")


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.jpg",
        "deep/../../secret.jpg",
        "../nowhere/secret.jpg",
        "../media2/d.jpg",
        "..",
        "/etc/passwd",
        "//etc/passwd",
        "link.jpg",
        "out/secret.jpg",
        "out/beside/../secret.jpg",
        "none/../out/secret.jpg",
        "file:///etc/passwd",
        "file:///%65tc/passwd",
        "file://server/share/a.jpg",
        "file://",
        "local:///etc/passwd",
        "s3://bucket/a.jpg",
        "ftp://example.com/a.jpg",
        "data:image/png;base64,AAAA",
        "zip://a.jpg::file:///etc/a.zip",
    ],
)
def test_what_leads_out_of_media_dir_is_refused_by_name(media: Path, uri: str) -> None:
    with pytest.raises(BadSampleError, match="leads out of media_dir") as caught:
        found(Places(str(media)), uri)
    assert repr(uri)[1:-1] in caught.value.reason
    assert "data.roots" in caught.value.remedy


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("none.jpg", "not found"),
        ("none/a.jpg", "not found"),
        ("loop/../link.jpg", "not found"),
        ("simplecache::file:///etc/passwd", "not found"),
        ("loop/../out/secret.jpg", "not found"),
        ("empty.jpg", "is empty"),
        ("deep", "is no file"),
        ("", "is no file"),
        ("a.jpg/b.jpg", "not found"),
        ("a" * 5000, "not found"),
        ("a" * 5000 + "/b.jpg", "not found"),
        ("nul\0.jpg", "is no path"),
        ("nul\0/a.jpg", "is no path"),
        ("half\ud800.jpg", "is no path"),
        ("loop", "not found"),
        ("loop/a.jpg", "not found"),
    ],
)
def test_a_path_that_cannot_be_used_says_why(media: Path, uri: str, reason: str) -> None:
    with pytest.raises(BadSampleError, match=f"video .*{reason}") as caught:
        status(Places(str(media)).locate(MediaRef(uri, "video")), uri, "video")
    assert len(caught.value.reason) < 400


def test_a_root_that_the_job_names_may_be_led_into(media: Path, tmp_path: Path) -> None:
    places = Places(str(media), roots=(f"{tmp_path}/beside", f"file://{tmp_path}/media2"))
    assert found(places, "../beside/c.jpg") == f"{tmp_path}/beside/c.jpg"
    assert found(places, "out/beside/c.jpg") == f"{tmp_path}/beside/c.jpg"
    assert found(places, f"file://{tmp_path}/media2/d.jpg") == f"{tmp_path}/media2/d.jpg"
    for uri in ("../secret.jpg", "link.jpg"):
        with pytest.raises(BadSampleError, match="leads out"):
            found(places, uri)


def test_the_root_of_all_folders_is_a_root(media: Path) -> None:
    places = Places("/", roots=("/",))
    assert found(places, f"{media}/link.jpg".lstrip("/")) == str(media.parent / "secret.jpg")
    assert found(places, "/x.jpg") == "/x.jpg"


def test_a_link_put_at_a_name_after_its_folder_was_seen_is_noticed(media: Path) -> None:
    places = Places(str(media))
    assert found(places, "deep/b.jpg")
    (media / "deep/b.jpg").unlink()
    (media / "deep/b.jpg").symlink_to(media.parent / "secret.jpg")
    with pytest.raises(BadSampleError, match="leads out"):
        found(places, "deep/b.jpg")


def test_a_range_is_kept_and_what_a_reader_wrote_is_trusted(media: Path) -> None:
    places = Places(str(media))
    ref = MediaRef("/data/shard.tar", offset=512, length=7, is_own=True)
    assert places.locate(ref) == Location("/data/shard.tar", 512, 7)
    with pytest.raises(BadSampleError):
        places.locate(MediaRef("/data/shard.tar", offset=512, length=7))
    assert places.locate(MediaRef("a.jpg", offset=3)) == Location(str(media / "a.jpg"), 3)


def test_places_are_values_that_travel() -> None:
    places = Places("s3://bucket/media", ("/a",), ("example.com",))
    assert pickle.loads(pickle.dumps(places)) == places
    assert len({places, Places("s3://bucket/media", ("/a",), ("example.com",))}) == 1


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("a.jpg", "s3://bucket/media/a.jpg"),
        ("deep/a b#1?.jpg", "s3://bucket/media/deep/a b#1?.jpg"),
        ("s3://bucket/media/a.jpg", "s3://bucket/media/a.jpg"),
        ("S3A://bucket/media/a.jpg", "s3://bucket/media/a.jpg"),
        ("s3://bucket/media//a::b.jpg", "s3://bucket/media//a::b.jpg"),
        ("gcs://other/a.jpg", "gs://other/a.jpg"),
        ("s3://bucket/media2/a.jpg", None),
        ("s3://Bucket/media/a.jpg", None),
        ("s3://bucket/media", None),
        ("s3://bucket/media/", None),
        ("s3://bucket/media/../a.jpg", None),
        ("s3://bucket/media/./a.jpg", None),
        ("s3://bucket/media/%2E%2e/a.jpg", None),
        ("s3://user@bucket/media/a.jpg", None),
        ("gs://bucket/media/a.jpg", None),
        ("../a.jpg", None),
        ("..", None),
        ("/etc/passwd", None),
        ("file:///etc/passwd", None),
        ("simplecache::s3://bucket/media/a.jpg", "s3://bucket/media/simplecache::s3://"),
        ("a\nb.jpg", None),
        ("half\ud800.jpg", None),
        ("a" * 3000, None),
    ],
)
def test_a_url_has_to_lie_inside_a_bucket_that_the_job_names(
    uri: str, wanted: str | None
) -> None:
    places = Places("s3://bucket/media/", roots=("gs://other",))
    if wanted is None:
        with pytest.raises(BadSampleError, match=r"leads out of media_dir|is no path"):
            found(places, uri)
    else:
        assert found(places, uri).startswith(wanted)


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://example.com/a.jpg", "https://example.com/a.jpg"),
        ("HTTPS://EXAMPLE.com:443/a b.jpg?x=1#top", "https://example.com/a b.jpg?x=1"),
        ("http://example.com", "http://example.com"),
        ("http://one.org:8080/a", "http://one.org:8080/a"),
        ("http://[::1]:80/a", "http://[::1]/a"),
        ("https://example.com:8443/a.jpg", None),
        ("http://example.com:443/a.jpg", None),
        ("https://one.org/a", None),
        ("https://example.com.evil.org/a.jpg", None),
        ("https://evil.org/example.com/a.jpg", None),
        ("https://example.com@evil.org/a.jpg", None),
        ("https://user:word@example.com/a.jpg", None),
        ("https://evil.org\\@example.com/a.jpg", None),
        ("https://example.com\\.evil.org/a.jpg", None),
        ("https://evil.org#@example.com/", None),
        ("https://evil.org?@example.com/", None),
        ("https://example.com./a.jpg", None),
        ("https://ex\u0430mple.com/a.jpg", None),
        ("https://example.com:99999/a.jpg", None),
        ("https://exam\tple.com/a.jpg", None),
        ("https://example.com /a.jpg", None),
        ("https:///a.jpg", None),
        ("https://", None),
        ("http://127.0.0.1/a", None),
        ("http://2130706433/a", None),
    ],
)
def test_the_web_is_open_at_listed_hosts_alone(
    media: Path, uri: str, wanted: str | None
) -> None:
    places = Places(str(media), hosts=("example.com", "one.org:8080", "[::1]"))
    with pytest.raises(BadSampleError, match=r"not listed|is no path"):
        found(Places(str(media)), uri)
    if wanted is None:
        with pytest.raises(BadSampleError, match=r"not listed|is no path"):
            found(places, uri)
    else:
        assert found(places, uri) == wanted


def test_a_media_dir_on_the_web_is_of_a_listed_host_and_not_left() -> None:
    places = Places("https://example.com/media", hosts=("example.com",))
    assert found(places, "deep/a#1.jpg") == "https://example.com/media/deep/a%231.jpg"
    for uri in ("../a.jpg", "%2e%2e/a.jpg"):
        with pytest.raises(BadSampleError, match="leads out of media_dir"):
            found(places, uri)
    with pytest.raises(BadSampleError, match="not listed"):
        found(Places("https://example.com/media"), "a.jpg")


@pytest.fixture(scope="module")
def maze() -> Iterator[Path]:
    """Folders and links that lead in, out, round and to nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        (top / "media/in/in").mkdir(parents=True)
        (top / "root/in").mkdir(parents=True)
        (top / "out/in").mkdir(parents=True)
        for place in (top, *(path for path in top.rglob("*") if path.is_dir())):
            (place / "file").write_bytes(b"x")
        links = {"up": "..", "out": str(top / "out"), "root": str(top / "root"), "loop": "loop"}
        for place in (top / "media", top / "media/in", top / "root", top / "out"):
            for name, target in links.items():
                if not (place / name).exists():
                    (place / name).symlink_to(target)
            (place / "filelink").symlink_to(top / "out/file")
            (place / "back").symlink_to(top / "media/in")
            (place / "round").symlink_to("up/media/round2")
            (place / "round2").symlink_to("round")
        yield top


STEPS = ["in", "up", "out", "root", "loop", "back", "round", "none", ".", "..", "", "file"]
ENDS = ["file", "filelink", "in", "none", "..", ".", ""]
STARTS = ["", "/", "{top}/media/", "{top}/out/", "file://{top}/root/", "file:///", "{top}/"]


@settings(max_examples=400)
@given(st.sampled_from(STARTS), st.lists(st.sampled_from(STEPS), max_size=6), st.data())
def test_no_path_whatever_its_parts_gives_a_location_outside(
    maze: Path, start: str, steps: list[str], data: st.DataObject
) -> None:
    places = Places(f"{maze}/media", roots=(f"{maze}/root",))
    uri = start.format(top=maze) + "/".join([*steps, data.draw(st.sampled_from(ENDS))])
    inside = (f"{maze}/media", f"{maze}/root")
    try:
        url = found(places, uri)
    except BadSampleError:
        _assert_is_not_readable_inside(uri, maze, inside)
        return
    real = os.path.realpath(url)
    assert real == url
    assert any(f"{real}/".startswith(f"{folder}/") for folder in inside)
    path = uri.removeprefix("file://")
    if Path(maze / "media", path).is_file():
        assert Path(url).samefile(maze / "media" / path)


def _assert_is_not_readable_inside(uri: str, maze: Path, inside: tuple[str, ...]) -> None:
    """Whatever is refused is truly out, or not there: the judge is not merely strict."""
    path = maze / "media" / uri.removeprefix("file://")
    if path.is_file():
        real = os.path.realpath(path)
        assert not any(f"{real}/".startswith(f"{folder}/") for folder in inside)
