"""A trial's name follows from what it sets, and is safe anywhere."""

import re

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.naming import short_names, told, trial_name

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
FIELDS = st.sampled_from(["images.max_pixels", "videos.max_pixels", "lora.rank", "fusion"])
VALUES = st.dictionaries(FIELDS, ANYTHING, min_size=1)
SEARCHES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)


@given(SEARCHES, VALUES)
def test_a_name_is_one_that_a_job_may_have(search: str, values: dict[str, object]) -> None:
    name = trial_name(search, values)  # type: ignore[arg-type]  # any JSON
    assert SAFE.fullmatch(name)
    assert len(name) <= 100


@given(VALUES, VALUES)
def test_equal_values_have_one_name_in_any_order_and_others_another(
    one: dict[str, object], other: dict[str, object]
) -> None:
    names = [trial_name("s", values) for values in (one, other)]  # type: ignore[arg-type]
    assert trial_name("s", dict(reversed(one.items()))) == names[0] or len(one) > 1  # type: ignore[arg-type]
    digests = [name[-8:] for name in names]
    same = repr(sorted(one.items())) == repr(sorted(other.items()))
    assert (digests[0] == digests[1]) >= same
    if str(one) != str(other) and one != other:
        assert names[0] != names[1]


def test_a_name_says_what_it_is() -> None:
    values = {"images.max_images": 4, "train.learning_rate": 1e-4}
    name = trial_name("demo", values)
    assert re.fullmatch(r"demo-max_images4-learning_rate0\.0001-[0-9a-f]{8}", name)
    assert told(values) == "max_images 4, learning_rate 0.0001"


def test_fields_of_one_name_are_told_apart() -> None:
    fields = ["images.max_pixels", "videos.max_pixels", "lora.rank"]
    assert list(short_names(fields).values()) == [
        "images.max_pixels",
        "videos.max_pixels",
        "rank",
    ]
