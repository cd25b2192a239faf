"""Rows whose turns or columns are not what they should be."""

import json

from tests.nasty.asking import PLAIN, asks, says, talk, turns
from tests.nasty.drawing import QUARTERS
from tests.nasty.outcomes import Quarantined, Trained

_HUMAN, _GPT = talk()
TURNS = (
    says(
        "a row without turns is named with what it has",
        {"images": ["GOOD"], "text": "a"},
        Quarantined(
            "neither 'conversations' nor 'messages', but ['id', 'images', 'text']",
            "Write the turns as a list",
        ),
    ),
    says("an empty row is named", {}, Quarantined("neither 'conversations' nor 'messages'")),
    says(
        "turns without a single one are named",
        asks("GOOD") | {"conversations": []},
        Quarantined("'conversations' is []", "Write a list of turns"),
    ),
    says(
        "turns that are a text are named",
        asks("GOOD") | {"conversations": "Which?"},
        Quarantined("'conversations' is 'Which?'", "Write a list of turns"),
    ),
    says(
        "turns under both names are a guess that nobody makes",
        asks("GOOD", messages=talk()),
        Quarantined("both 'conversations' and 'messages' are given", "Keep one of them"),
    ),
    says(
        "a turn that is a text is named",
        turns("Which?", _GPT),
        Quarantined("turn 1 is 'Which?'", "Write it as an object"),
    ),
    says(
        "a turn that nobody speaks is named",
        turns(_HUMAN, {"value": "a"}),
        Quarantined(
            "turn 2 has neither 'from' nor 'role', but ['value']", "Write turn 2's 'role'"
        ),
    ),
    says(
        "a speaker that nobody knows is named with those that are known",
        turns(_HUMAN, {"from": "robot", "value": "a"}),
        Quarantined("turn 2 is spoken by 'robot'", "Use one of assistant"),
    ),
    says(
        "a speaker that is a list is named",
        turns({"from": ["human"], "value": "a"}, _GPT),
        Quarantined("turn 1 is spoken by ['human']"),
    ),
    says(
        "an empty answer is named",
        asks("GOOD", answer=""),
        Quarantined("turn 2: 'value' is blank", "Write something there"),
    ),
    says(
        "an answer of spaces is named",
        asks("GOOD", answer=" \n "),
        Quarantined("turn 2: 'value' is blank"),
    ),
    says(
        "an answer that is nothing is named",
        asks("GOOD", answer=None),
        Quarantined("turn 2: 'value' is blank"),
    ),
    says(
        "an answer that is a number is named",
        asks("GOOD", answer=4),
        Quarantined("turn 2 says 4", "Write text"),
    ),
    says(
        "a question alone teaches nothing",
        turns(_HUMAN),
        Quarantined("no label: no assistant turn with text", "Add the answer"),
    ),
    says(
        "a system's turn alone teaches nothing",
        turns({"from": "system", "value": "Be brief."}),
        Quarantined("1 image listed, but no user turn", "Add a user turn"),
    ),
    says(
        "a system's turn alone, without an image, teaches nothing",
        {"conversations": [{"from": "system", "value": "Be brief."}]},
        Quarantined("no label: no assistant turn with text"),
    ),
    says(
        "a mark in an answer is named",
        asks("GOOD", answer="<image> is it"),
        Quarantined("an assistant turn holds an image", "Move it, or its <image>"),
    ),
    says(
        "a mark in an answer without an image is named",
        asks("GOOD", ask="<image>Which?", answer="the <image>"),
        Quarantined("2 image marks, 1 image listed"),
    ),
    says(
        "both spellings of a speaker are a guess that nobody makes",
        turns({"from": "human", "role": "user", "value": "a"}, _GPT),
        Quarantined("both 'from' and 'role' are given", "Keep one of them"),
    ),
    says(
        "a part of a kind that nobody knows is named",
        asks(ask=[{"type": "hologram", "hologram": "a"}]),
        Quarantined("turn 1 holds {'type': 'hologram'", "Use parts of type text, image, video"),
    ),
    says(
        "a part that is nothing is named",
        asks(ask=[None]),
        Quarantined("turn 1 holds None", "Use parts of type"),
    ),
    says(
        "a text part without text is named",
        asks(ask=[{"type": "text"}]),
        Quarantined("turn 1: a text part is {'type': 'text'}", "Write its 'text'"),
    ),
    says(
        "an image part that names nothing and has nothing left is named",
        asks(ask=[{"type": "image"}, {"type": "text", "text": "Which?"}]),
        Quarantined("1 image mark, 0 images listed"),
    ),
    says(
        "an image part whose address has no address is named",
        asks(ask=[{"type": "image_url", "image_url": {"detail": "high"}}]),
        Quarantined("turn 1 is {'detail': 'high'}", "Write its path"),
    ),
    says(
        "calls of tools are named",
        turns(_HUMAN, {"role": "assistant", "content": "a", "tool_calls": [{"id": 1}]}),
        Quarantined("turn 2: 'tool_calls' are not supported", "Write the call as text"),
    ),
    says(
        "a system that is a list is named",
        asks("GOOD", system=["Be brief."]),
        Quarantined("'system' is ['Be brief.']", "Write it as text"),
    ),
    says(
        "a list of 500 lists is named and ends no block",
        asks() | {"conversations": json.loads("[" * 500 + "]" * 500)},
        Quarantined("turn 1 is ", "Write it as an object"),
    ),
)

COLUMNS = (
    says(
        "images that are nothing are none",
        asks() | {"images": None},
        Trained(pictures=0, reads="Which?"),
    ),
    says("images that are an empty list are none", asks(), Trained(pictures=0, reads="Which?")),
    says(
        "images that are an empty text are named",
        asks() | {"images": ""},
        Quarantined("image 1 is ''", "Write its path"),
    ),
    says(
        "images that are an object are named",
        asks() | {"images": {}},
        Quarantined("'images' is {}", "Write a list of paths"),
    ),
    says(
        "images that are a number are named",
        asks() | {"images": 3},
        Quarantined("'images' is 3", "Write a list of paths"),
    ),
    says(
        "an image that is nothing is named",
        asks(None),
        Quarantined("image 1 is None", "Write its path"),
    ),
    says(
        "an image that is a number is named",
        asks("GOOD", 7),
        Quarantined("image 2 is 7", "Write its path"),
    ),
    says(
        "a list of images within the list is named",
        asks(["GOOD"]),
        Quarantined("image 1 is [", "Write its path"),
    ),
    says(
        "images 500 lists deep are named and end no block",
        asks() | {"images": json.loads("[" * 500 + "]" * 500)},
        Quarantined("image 1 is [[", "Write its path"),
    ),
    says("one image needs no list", asks() | {"images": "GOOD"}, PLAIN),
    says("one image may be called image", {"image": "GOOD", "conversations": talk()}, PLAIN),
    says(
        "images and image at once are a guess that nobody makes",
        asks("GOOD", image="GOOD"),
        Quarantined("both 'images' and 'image' are given", "Keep one of them"),
    ),
    says(
        "nine images where eight are allowed are refused with three ways out",
        asks(*["GOOD"] * 9),
        Quarantined(
            "9 images, at most 8 allowed", "Raise images.max_images, set images.select"
        ),
    ),
    says(
        "an image that is there twice counts twice",
        asks("GOOD", "GOOD"),
        Trained(quarters=QUARTERS, pictures=2, reads="▣▣Which?"),
    ),
    says(
        "tools are named",
        asks("GOOD", tools='[{"name": "a"}]'),
        Quarantined("'tools' is not supported", "Remove 'tools'"),
    ),
    says(
        "sounds are named",
        asks("GOOD", audios=["a.wav"]),
        Quarantined("'audios' is not supported", "Remove 'audios'"),
    ),
    says(
        "empty columns of tools and sounds are none",
        asks("GOOD", tools="", audios=[], videos=None),
        PLAIN,
    ),
    says(
        "pictures without an image column are placed by nobody",
        {"picture": "GOOD", "conversations": talk("<image>Which?")},
        Quarantined("1 image mark, 0 images listed"),
    ),
)
