"""Whether an instruction says how many images there are."""

# ruff: noqa: RUF001 - Chinese has commas and question marks of its own

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.lint.counting import says_count
from orchestrator.data.lint.numerals import english, han, ordinals

STATED = [
    ("Here are 3 images.", 3),
    ("three photos of a dog", 3),
    ("These three rather different product photos", 3),
    ("THREE PICTURES", 3),
    ("A 3-view drawing", 3),
    ("twenty-three images", 23),
    ("Number of images: 5", 5),
    ("This is image 1/4", 4),
    ("12 frames from a video", 12),
    ("Given the two pictures, which is older?", 2),
    ("Do both show a cat?", 2),
    ("Are both images sharp and bright?", 2),
    ("Both of the photos are blurred.", 2),
    ("a pair of photos", 2),
    ("Look at this image pair.", 2),
    ("两张图片有什么区别", 2),
    ("2张图像", 2),
    ("兩張圖片", 2),
    ("两者有何不同", 2),
    ("以下三张图", 3),
    ("这三张照片中", 3),
    ("这三张里哪张最好", 3),
    ("三张不同的照片", 3),
    ("二十三张图", 23),
    ("十二帧画面", 12),
    ("4个视角", 4),
    ("三个不同的角度", 3),
]
NUMBERED = [
    ("Image 1: a. Image 2: b. Image 3: c.", 3),
    ("Image-1: x\nImage-2: y", 2),
    ("Compare images 1, 2 and 3", 3),
    ("Look at images 1-4.", 4),
    ("Figure 1 and figure 2", 2),
    ("Is it Image A or Image B?", 2),
    ("the first image and the second image", 2),
    ("the first and second images", 2),
    ("from the 1st picture to the 4th picture", 4),
    ("图1是猫，图2是狗，图3是鸟", 3),
    ("图1、2、3", 3),
    ("图一和图二", 2),
    ("照片一，照片二", 2),
    ("第一张图、第二张图和第三张图有何不同", 3),
    ("第1张…第5张", 5),
]
UNSAID = [
    ("Which?", 3),
    ("What is in the images?", 2),
    ("图中有什么？", 2),
    ("three cats in the images", 3),
    ("3 cats in the images", 3),
    ("In 2023 the images", 3),
    ("3.2 images", 2),
    ("two of the images", 2),
    ("the images are 2 metres wide", 2),
    ("both the cat and the dog are there", 2),
    ("Describe the second image", 2),
    ("Image 3 shows", 3),
    ("图里有三张桌子吗", 3),
    ("有三个人在图中", 3),
    ("三人的照片", 3),
    ("第三张图", 3),
]
OTHER_NUMBER = [
    ("13 images", 3),
    ("three images", 2),
    ("twenty-three images", 3),
    ("Image 1 and Image 2", 3),
    ("image 1 to image 4", 3),
    ("十三张图", 3),
    ("二十三张图", 3),
    ("两张图", 3),
    ("图1和图2", 3),
]


@pytest.mark.parametrize(("text", "number"), STATED + NUMBERED)
def test_a_text_that_states_or_numbers_its_images_says_their_count(
    text: str, number: int
) -> None:
    assert says_count(text, number)


@pytest.mark.parametrize(("text", "number"), UNSAID)
def test_a_number_of_something_else_says_nothing_of_images(text: str, number: int) -> None:
    assert not says_count(text, number)


@pytest.mark.parametrize(("text", "number"), OTHER_NUMBER)
def test_another_number_of_images_is_not_the_count(text: str, number: int) -> None:
    assert not says_count(text, number)


@pytest.mark.parametrize("number", [0, 1])
def test_of_one_image_there_is_nothing_to_say(number: int) -> None:
    assert says_count("What is this?", number)


FORMS = [
    lambda n: f"Here are {n} images.",
    lambda n: f"Compare these {english(n)[0]} different photos",
    lambda n: f"这{han(n)[-1]}张图片",
    lambda n: f"共{n}幅图像",
    lambda n: " ".join(f"Image {k}: <image>" for k in range(1, n + 1)),
    lambda n: "".join(f"图{k}，" for k in range(1, n + 1)),
    lambda n: "".join(f"第{han(k)[0]}张，" for k in range(1, n + 1)),
    lambda n: f"Look at images {', '.join(map(str, range(1, n)))} and {n}",
]


@given(
    form=st.sampled_from(FORMS),
    said=st.integers(2, 30),
    asked=st.integers(2, 30),
    before=st.sampled_from(["", "Look closely. ", "请仔细看。"]),
    after=st.sampled_from(["", " What differs?", "。有什么不同？"]),
)
def test_exactly_the_number_that_is_said_is_the_count(
    form: object, said: int, asked: int, before: str, after: str
) -> None:
    assert callable(form)
    assert says_count(f"{before}{form(said)}{after}", asked) == (said == asked)


@given(st.text(max_size=300), st.integers(0, 200))
def test_any_text_has_an_answer(text: str, number: int) -> None:
    assert says_count(text, number) in (True, False)


@pytest.mark.parametrize(
    ("number", "words", "characters", "places"),
    [
        (2, ("two",), ("二", "两", "兩"), ("second", "2nd")),
        (10, ("ten",), ("十",), ("tenth", "10th")),
        (13, ("thirteen",), ("十三",), ("13th",)),
        (20, ("twenty",), ("二十",), ("20th",)),
        (21, ("twenty-one", "twenty one"), ("二十一",), ("21st",)),
        (100, (), (), ("100th",)),
        (111, (), (), ("111th",)),
    ],
)
def test_numbers_are_spelled_as_people_spell_them(
    number: int, words: tuple[str, ...], characters: tuple[str, ...], places: tuple[str, ...]
) -> None:
    assert english(number) == words
    assert han(number) == characters
    assert ordinals(number) == places
