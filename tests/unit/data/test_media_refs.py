"""Every way in which a cell stands for an image."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import MediaRef
from orchestrator.data.media_refs import ref_of, refs_of

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(40))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
WEBP = b"RIFF\0\0\0\0WEBPVP8 " + bytes(20)
BARE = "folder/without/any/extension/at/all/00001"
BASE64_LIKE = "/9j/looks/like/the/beginning/of/a/jpeg/a.jpg"
FILM = b"\0\0\0\x18ftypisom" + bytes(20)


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("entry", "uri", "content"),
    [
        ("a.jpg", "a.jpg", None),
        ("file:///a.jpg", "file:///a.jpg", None),
        ("https://a/b?c=d", "https://a/b?c=d", None),
        (BARE, BARE, None),
        (BASE64_LIKE, BASE64_LIKE, None),
        (JPEG, "inline image 2", JPEG),
        ({"bytes": JPEG, "path": None}, "inline image 2", JPEG),
        ({"bytes": JPEG, "path": "a.jpg"}, "a.jpg", JPEG),
        ({"bytes": JPEG}, "inline image 2", JPEG),
        ({"bytes": packed(JPEG)}, "inline image 2", JPEG),
        ({"bytes": None, "path": "a.jpg"}, "a.jpg", None),
        ({"path": "a.jpg"}, "a.jpg", None),
        (packed(JPEG), "inline image 2", JPEG),
        (packed(PNG), "inline image 2", PNG),
        (packed(WEBP), "inline image 2", WEBP),
        (packed(FILM), "inline image 2", FILM),
        ("data:image/jpeg;base64," + packed(JPEG), "inline image 2", JPEG),
        ("DATA:;BASE64," + packed(b"x.y"), "inline image 2", b"x.y"),
        ("data:;base64," + packed(PNG)[:40] + "\n" + packed(PNG)[40:], "inline image 2", PNG),
        ("data:image/gif,GIF8%39", "inline image 2", b"GIF89"),
    ],
)  # fmt: skip
def test_an_entry_names_a_place_or_is_the_content(
    entry: Any, uri: str, content: bytes | None
) -> None:
    assert refs_of(["first.jpg", entry], "image", "images")[1] == MediaRef(uri, content=content)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "image 2 is None"),
        ("", "image 2 is ''"),
        (" ", "image 2 is ' '"),
        (3, "image 2 is 3"),
        (["a"], "image 2 is ['a']"),
        ({}, "image 2 is {}"),
        ({"bytes": None, "path": None}, "image 2 is {'bytes': None"),
        ({"bytes": [255, 216]}, "image 2 is {'bytes': [255"),
        (b"", "image 2 is empty"),
        ({"bytes": b""}, "image 2 is empty"),
        ("data:image/jpeg;base64", "image 2 is a data URI without data"),
        ("data:image/jpeg;base64,%%%", "image 2 is broken base64"),
        ("data:image/jpeg;base64," + packed(JPEG)[:-1], "image 2 is broken base64"),
        ({"bytes": "no-base64!"}, "image 2 is broken base64"),
        (packed(JPEG)[:-1], "image 2 is broken base64"),
    ],
)
def test_what_stands_for_nothing_is_refused_by_its_number(entry: Any, reason: str) -> None:
    with pytest.raises(BadSampleError) as caught:
        refs_of(["first.jpg", entry], "image", "images")
    assert reason in caught.value.reason
    assert caught.value.remedy


def test_one_entry_needs_no_list() -> None:
    own = MediaRef("a.tar", "video", 512, 10, is_own=True)
    for entry in ("a.mp4", b"x", {"path": "a.mp4"}, own):
        assert refs_of(entry, "video", "videos") == [ref_of(entry, "video", "video 1")]
    assert refs_of(None, "video", "videos") == []
    assert refs_of(own, "video", "videos") == [own]


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_any_text_is_a_place_or_content_or_refused(text: str) -> None:
    try:
        ref = ref_of(text, "image", "image 1")
    except BadSampleError as error:
        assert "image 1" in error.reason  # noqa: PT017 - either is right
        return
    assert (ref.uri == text) == (ref.content is None)


@given(st.binary(min_size=1), st.sampled_from([JPEG, PNG, WEBP, FILM]))
def test_content_comes_through_base64_unchanged(tail: bytes, head: bytes) -> None:
    for text in (packed(head + tail), "data:;base64," + packed(head + tail)):
        assert ref_of(text, "image", "image 1").content == head + tail
