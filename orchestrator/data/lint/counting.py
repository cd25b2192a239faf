"""Whether an instruction says how many images there are.

Words for the number are looked for first, and patterns tried at those places only: nearly every
text has none, and is done with in a microsecond or two.
"""

import re
from collections.abc import Iterator
from functools import cache

from orchestrator.data.lint.numerals import english, han, ordinals

_NOUN = (
    r"(?:image|picture|photo(?:graph)?|pic|view|frame|figure|screenshot|snapshot|shot|slide|scan"
    r"|panel|drawing|painting|illustration|diagram|chart|crop|render|thumbnail|viewpoint)"
)
# "three cats in the images" counts no images; "three rather different product photos" does.
_NO_ADJECTIVE = (
    r"(?:of|in|on|at|from|to|for|and|or|with|between|across|among|than|the|this|that|these"
    r"|those|each|every|per|is|are|was|were|do|does|did|has|have|show|shows|appear|appears)"
)
_ADJECTIVES = rf"(?:(?!{_NO_ADJECTIVE}\b)[^\W\d_][\w'\u2019]*,?[\s\-]+){{0,3}}"
_HAN_NOUN = "(?:图|圖|照|相片|画面|畫面|影像|画|畫|视图|視圖|截|视角|視角|帧|幀)"
_HAN_GAP = r"[^\W\d_a-z在和与與里中]{0,5}?"

# Each is tried where a number ends: behind it, what it counts.
_COUNTS = re.compile(
    rf"[\s\-]*{_ADJECTIVES}{_NOUN}"
    # "三张桌子" are three tables; "三张里" and "三张。" are three of what was spoken about.
    rf"|\s*[张張幅副帧幀](?:{_HAN_GAP}{_HAN_NOUN}|(?=$|[^\w]|里|中|都|之间|分别|各|的|有|是|内))"
    r"|\s*[个個种種](?:不同的?)?(?:画面|畫面|视角|視角|角度|视图|視圖|镜头|鏡頭|图|圖)"
)
# And each of these where it begins: before it.
_PART_OF_A_NUMBER = re.compile(r"(?:[^\W\u4e00-\u9fff]|\d[.,]|ty[\s\-])$")
_GOES_ON = re.compile(r"(?<=ty)[\s\-]+(?:one|two|three|four|five|six|seven|eight|nine)\b")
_PART_OF_A_HAN_NUMBER = re.compile(r"[\d第十零一二三四五六七八九]\s*$")
_IS_THE_NUMBER_OF = re.compile(rf"{_NOUN}s?\s*(?:\(|[:=]|is|are)\s*$")
_OUT_OF = re.compile(rf"{_NOUN}\s*\#?\d+\s*(?:of|/)\s*$")
_LABELS = re.compile(
    rf"(?:\b{_NOUN}s?|\bimg|\bfig\.|[图圖][片像]?|第)[\s\-_]*[#no.]*\s*"
    r"(?:\d{1,3}\s*(?:(?:,|\uff0c|、|and|和|与|&|to|至|到|through|-|\u2013|~|vs\.?)\s*)+[#图圖]?)*$"
)
_ENDS = re.compile(r"\s*(?:[.?!)\]\n]|$)")
_NUMBERS_AN_IMAGE = re.compile(rf"(?=[\s\-]+(?:{_NOUN}|one\b|and\b|to\b)|,)")
_LETTER_ENDS = re.compile(r"(?![\w'\u2019])")

_TWO = re.compile(
    rf"\bboth\b(?:\s+(?:of|the|these|those))*\s+{_ADJECTIVES}{_NOUN}"
    # "both the cat and the dog" is not about images.
    r"|\bboth\b(?!\s+(?:\S+\s+){1,4}and\b)"
    rf"|\bpair\s+of\s+{_ADJECTIVES}{_NOUN}|{_NOUN}\s+pair\b|[两兩二]者"
)
_HINTS_OF_TWO = ("both", "pair", "者")
_WINDOW = 48
"""Characters before a number that are looked at."""
_LISTED = 8
"""And for each number that may be listed before it."""


def says_count(text: str, num_images: int) -> bool:
    """Tell whether a text states that there are ``num_images`` images.

    English and Chinese: as a number ("3 images", "three different photos", "三张图片"), as
    "both" or "a pair" where there are two, or by numbering them from the first to the last
    ("Image 1: ... Image 3:", "图1 ... 图3", "第一张 ... 第三张", "image A ... image C").

    Args:
        text: The instruction.
        num_images: How many there are. Below two there is nothing to say, and it counts as
            said.
    """
    if num_images < 2:
        return True
    lowered = text.lower()
    if not any(map(lowered.__contains__, _hints(num_images))):
        return False
    return (
        any(_counts(lowered, start, end) for start, end in _places(lowered, num_images))
        or any(_counts_in_han(lowered, *place) for place in _han_places(lowered, num_images))
        or (num_images == 2 and _says_two(lowered))
        or (
            _is_labelled(lowered, num_images)
            and _is_labelled(lowered, 1)
            and not _is_labelled(lowered, num_images + 1)
        )
    )


@cache
def _hints(number: int) -> tuple[str, ...]:
    """A text that holds none of these does not name the number."""
    labels = [label for label, _ in _labels(number) if label.isascii() or label[-1].isascii()]
    two = _HINTS_OF_TWO if number == 2 else ()
    return (str(number), *english(number), *han(number), *labels, *two)


def _counts(lowered: str, start: int, end: int) -> bool:
    is_part = _PART_OF_A_NUMBER.search(lowered, max(0, start - 3), start)
    if is_part or _GOES_ON.match(lowered, end):
        return False
    if _COUNTS.match(lowered, end):
        return True
    window = max(0, start - _WINDOW)
    if _OUT_OF.search(lowered, window, start):
        return True
    found = _IS_THE_NUMBER_OF.search(lowered, window, start)
    return bool(found and _ENDS.match(lowered, end))


def _counts_in_han(lowered: str, start: int, end: int) -> bool:
    is_part = _PART_OF_A_HAN_NUMBER.search(lowered, max(0, start - 2), start)
    return not is_part and bool(_COUNTS.match(lowered, end))


def _says_two(lowered: str) -> bool:
    return any(hint in lowered for hint in _HINTS_OF_TWO) and bool(_TWO.search(lowered))


def _is_labelled(lowered: str, number: int) -> bool:
    """Tell whether an image is called by this number: image 3, third picture, 图三, image C."""
    digits = str(number)
    window = _WINDOW + _LISTED * number
    for start, end in _occurrences(lowered, digits):
        if not lowered[end : end + 1].isdigit() and _LABELS.search(
            lowered, max(0, start - window), start
        ):
            return True
    for label, ending in _labels(number):
        for _, end in _occurrences(lowered, label):
            if ending.match(lowered, end):
                return True
    return False


@cache
def _labels(number: int) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Ways to call one image, and what has to follow each."""
    labels = [(word, _NUMBERS_AN_IMAGE) for word in ordinals(number)]
    not_longer = re.compile("(?![十零一二三四五六七八九])")
    for name in ("图", "圖", "图片", "照片"):
        labels += [(name + spelled, not_longer) for spelled in han(number)[:1]]
    labels += [
        (f"第{spelled}", re.compile("[张張幅副帧幀个個]")) for spelled in han(number)[:1]
    ]
    if number <= 26:
        letter = chr(96 + number)
        nouns = ("image", "picture", "photo", "figure", "view", "frame")
        labels += [(f"{noun} {letter}", _LETTER_ENDS) for noun in nouns]
        labels += [(f"图{letter}", _LETTER_ENDS), (f"图片{letter}", _LETTER_ENDS)]
    return tuple(labels)


def _places(lowered: str, number: int) -> Iterator[tuple[int, int]]:
    for written in (str(number), *english(number)):
        for start, end in _occurrences(lowered, written):
            if not lowered[end : end + 1].isalnum() or lowered[end : end + 1] > "z":
                yield start, end


def _han_places(lowered: str, number: int) -> Iterator[tuple[int, int]]:
    if lowered.isascii():
        return
    for written in han(number):
        yield from _occurrences(lowered, written)


def _occurrences(text: str, part: str) -> Iterator[tuple[int, int]]:
    start = text.find(part)
    while start >= 0:
        yield start, start + len(part)
        start = text.find(part, start + 1)
