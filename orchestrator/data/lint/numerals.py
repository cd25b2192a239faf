"""Numbers as people write them, in English and in Chinese, in lower case."""

from functools import cache

_ONES = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = (
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_HAN = "零一二三四五六七八九"


@cache
def english(number: int) -> tuple[str, ...]:
    """English words for a number below 100; none from there on."""
    if number < 20:
        return (_ONES[number],)
    if number < 100:
        tens, ones = _TENS[number // 10], number % 10
        return (f"{tens}-{_ONES[ones]}", f"{tens} {_ONES[ones]}") if ones else (tens,)
    return ()


@cache
def han(number: int) -> tuple[str, ...]:
    """Chinese characters for a number below 100, the plain numeral first."""
    if number >= 100:
        return ()
    tens, ones = divmod(number, 10)
    spelled = _HAN[ones] if ones or not tens else ""
    if tens:
        spelled = (_HAN[tens] if tens > 1 else "") + "十" + spelled
    return (spelled, "两", "兩") if number == 2 else (spelled,)


@cache
def ordinals(number: int) -> tuple[str, ...]:
    """English ordinals, as a word and as a number."""
    teen = number // 10 % 10 == 1
    ending = "th" if teen else _ENDINGS.get(number % 10, "th")
    words = (_ORDINALS[number],) if number < len(_ORDINALS) else ()
    return (*words, f"{number}{ending}")
