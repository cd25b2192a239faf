"""Which pictures look alike."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.grouping.similarity import alike, perceptual_hash
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location


def scene(seed: int) -> Image.Image:
    """Coarse random blobs: as different as photographs of different things."""
    rng = np.random.default_rng(seed)
    coarse_HWC = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse_HWC).resize((320, 240), Image.Resampling.BICUBIC)


def content(path: Path) -> Content:
    return Content(path.name, Location(str(path)))


def bits_apart(one: Path, other: Path) -> int:
    return (perceptual_hash(content(one)) ^ perceptual_hash(content(other))).bit_count()


def test_another_shot_of_a_scene_is_near_and_another_scene_is_not(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "one.png")
    brighter = ImageEnhance.Brightness(scene(1)).enhance(1.2)
    brighter.resize((900, 675)).save(tmp_path / "two.jpg", quality=50)
    scene(2).save(tmp_path / "other.png")
    assert bits_apart(tmp_path / "one.png", tmp_path / "two.jpg") <= 5
    assert bits_apart(tmp_path / "one.png", tmp_path / "other.png") >= 20


def test_a_picture_is_hashed_as_it_is_shown(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "up.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = scene(1).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.jpg", exif=exif)
    lying.save(tmp_path / "turned.jpg")
    assert bits_apart(tmp_path / "up.jpg", tmp_path / "lying.jpg") <= 2
    assert bits_apart(tmp_path / "up.jpg", tmp_path / "turned.jpg") >= 20


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 400), (300, 2)])
def test_every_mode_and_shape_has_a_hash(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    Image.new(mode, size).save(tmp_path / "a.png")
    assert perceptual_hash(content(tmp_path / "a.png")) == 0


def test_a_broken_picture_is_a_bad_sample(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    with pytest.raises(BadSampleError) as caught:
        perceptual_hash(content(tmp_path / "a.jpg"))
    assert "a.jpg" in caught.value.reason


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(0, 40))
def test_two_are_in_one_group_exactly_if_a_chain_of_near_ones_leads_there(
    hashes: list[int], most_bits: int
) -> None:
    # By hand: spread each picture's group to its neighbours until nothing changes.
    group = list(range(len(hashes)))
    for _ in hashes:
        for one, hash_of_one in enumerate(hashes):
            for other, hash_of_other in enumerate(hashes):
                if (hash_of_one ^ hash_of_other).bit_count() <= most_bits:
                    group[one] = min(group[one], group[other])
    expected = [
        [place for place, first in enumerate(group) if first == wanted]
        for wanted in sorted(set(group))
    ]
    assert alike(hashes, most_bits) == expected
