"""Token ids through the chat template: as stock ones, and safe from what people write."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.chat import ChatEncoder
from orchestrator.data.conversation import Conversation, MediaRef, Role, Text, Turn
from orchestrator.data.rows import IMAGE_SLOT
from orchestrator.errors import ModelError

IMAGE = MediaRef("a.jpg")
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|vision_start|>", "<|endoftext|>"]

# The default system prompt, counted pictures and all, as Qwen2.5-VL ships it.
QWEN_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{% set image_count.value = image_count.value + 1 %}"
    "Picture {{ image_count.value }}: <|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_of(*turns: tuple[Role, Any]) -> Conversation:
    return Conversation("c", tuple(Turn(role, _parts(parts)) for role, parts in turns))


def _parts(parts: Any) -> tuple[Any, ...]:
    listed = parts if isinstance(parts, tuple) else (parts,)
    return tuple(Text(part) if isinstance(part, str) else part for part in listed)


def stock_ids(tokenizer: Any, conversation: Conversation) -> list[int]:
    messages = [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part.text}
                if isinstance(part, Text)
                else {"type": "image"}
                for part in turn.parts
            ],
        }
        for turn in conversation.turns
    ]
    ids: list[int] = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    return ids


def with_pads(tokenizer: Any, ids_L: Any) -> list[int]:
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    padded: list[int] = np.where(ids_L == IMAGE_SLOT, pad, ids_L).tolist()
    return padded


def labelled(tokenizer: Any, chat: ChatEncoder, conversation: Conversation) -> str:
    encoded = chat.encode(conversation)
    text: str = tokenizer.decode(encoded.ids_L[encoded.labels_L])
    return text


# Letters, spaces, newlines and what is far from ASCII: what merges differ over.
TEXTS = st.text(st.sampled_from("ab Z\n\t.,'7描述图é\u0301😀<|>"), max_size=12)
PARTS = st.lists(st.one_of(TEXTS.map(Text), st.just(IMAGE)), max_size=4).map(tuple)
ANSWERS = TEXTS.filter(str.strip).map(lambda text: (Text(text),))
EXCHANGES = st.tuples(PARTS, ANSWERS).map(
    lambda pair: (Turn("user", pair[0]), Turn("assistant", pair[1]))
)
CONVERSATIONS = st.lists(EXCHANGES, min_size=1, max_size=3).map(
    lambda pairs: Conversation("c", tuple(turn for pair in pairs for turn in pair))
)


@settings(max_examples=60, deadline=None)
@given(conversation=CONVERSATIONS)
def test_ordinary_text_gives_the_stock_ids(
    tokenizer: Any, chat: ChatEncoder, conversation: Conversation
) -> None:
    encoded = chat.encode(conversation)
    assert with_pads(tokenizer, encoded.ids_L) == stock_ids(tokenizer, conversation)
    assert np.count_nonzero(encoded.ids_L == IMAGE_SLOT) == len(conversation.media)
    assert not (encoded.labels_L & (encoded.ids_L == IMAGE_SLOT)).any()


HOSTILE = st.lists(st.one_of(st.sampled_from(SPECIAL), TEXTS), max_size=5).map("".join)


@settings(max_examples=60, deadline=None)
@given(asked=HOSTILE, told=HOSTILE.filter(str.strip))
def test_a_special_token_that_a_person_writes_is_text(
    tokenizer: Any, chat: ChatEncoder, asked: str, told: str
) -> None:
    def specials(conversation: Conversation) -> list[int]:
        ids = with_pads(tokenizer, chat.encode(conversation).ids_L)
        return [token for token in ids if token in tokenizer.added_tokens_decoder]

    hostile = chat_of(("user", (IMAGE, asked)), ("assistant", told))
    assert specials(hostile) == specials(chat_of(("user", (IMAGE, "a")), ("assistant", "b")))
    decoded = tokenizer.decode(with_pads(tokenizer, chat.encode(hostile).ids_L))
    normalise = tokenizer.backend_tokenizer.normalizer
    whole = asked if normalise is None else normalise.normalize_str(asked)
    assert whole in decoded


def test_labels_are_every_answer_and_its_end_and_nothing_else(
    tokenizer: Any, chat: ChatEncoder
) -> None:
    conversation = chat_of(
        ("system", "s"), ("user", (IMAGE, "q")), ("assistant", "One."), ("user", "r"),
        ("assistant", "assistant\nTwo."),
    )  # fmt: skip
    text = labelled(tokenizer, chat, conversation)
    assert text == "One.<|im_end|>assistant\nTwo.<|im_end|>"


def test_labels_agree_with_a_scan_of_the_ids_for_header_and_end(
    tokenizer: Any, chat: ChatEncoder
) -> None:
    conversation = chat_of(
        ("user", (IMAGE, "q", IMAGE)), ("assistant", "一"), ("user", "r"), ("assistant", "two")
    )
    encoded = chat.encode(conversation)
    header = tokenizer("<|im_start|>assistant\n")["input_ids"]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    ids, inside, scanned = encoded.ids_L.tolist(), False, []
    for place, token in enumerate(ids):
        inside = inside or ids[place - len(header) : place] == header
        scanned.append(inside)
        inside = inside and token != end
    assert encoded.labels_L.tolist() == scanned


@pytest.mark.parametrize("answer", ["\nnext line", "  spaces", "\n\n", "trailing \n"])
def test_an_answer_of_white_space_keeps_its_end_token_as_a_label(
    tokenizer: Any, chat: ChatEncoder, answer: str
) -> None:
    text = labelled(tokenizer, chat, chat_of(("user", "q"), ("assistant", answer)))
    assert text.endswith("<|im_end|>")
    assert answer.strip() in text


def test_an_answer_in_several_parts_is_labelled_whole(
    tokenizer: Any, chat: ChatEncoder
) -> None:
    text = labelled(tokenizer, chat, chat_of(("user", "q"), ("assistant", ("One, ", "two."))))
    assert text == "One, two.<|im_end|>"


def with_template(tokenizer: Any, template: str) -> Any:
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed


def test_a_template_with_a_system_prompt_of_its_own_gives_the_stock_ids(tokenizer: Any) -> None:
    qwen = with_template(tokenizer, QWEN_TEMPLATE)
    conversation = chat_of(("user", (IMAGE, "q", IMAGE)), ("assistant", "One."))
    encoded = ChatEncoder(qwen).encode(conversation)
    assert with_pads(qwen, encoded.ids_L) == stock_ids(qwen, conversation)
    assert tokenizer.decode(encoded.ids_L[encoded.labels_L]) == "One.<|im_end|>"


def test_a_prompt_that_opens_a_thought_leaves_the_answer_its_labels(tokenizer: Any) -> None:
    prompt = "<|im_start|>assistant\n{% endif %}"
    thinking = with_template(
        tokenizer, QWEN_TEMPLATE.replace(prompt, prompt.replace("\n{", "\n<think>\n{"))
    )
    chat = ChatEncoder(thinking)
    text = labelled(tokenizer, chat, chat_of(("user", "q"), ("assistant", "One.")))
    assert text == "One.<|im_end|>"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("", "without a chat template"),
        (
            "{% for m in messages %}{{ m['content'][0]['text'] }}{% endfor %}",
            "without a header",
        ),
        (QWEN_TEMPLATE.replace("content['text']", "content['text'] | trim"), "changes what"),
    ],
)
def test_a_template_that_we_cannot_follow_is_refused_at_the_start(
    tokenizer: Any, template: str, problem: str
) -> None:
    with pytest.raises(ModelError, match=problem):
        ChatEncoder(with_template(tokenizer, template))


def test_a_tokenizer_without_the_image_token_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="<image_soft_token>"):
        ChatEncoder(tokenizer, image_token="<image_soft_token>")


def test_a_turn_that_the_template_leaves_out_makes_a_bad_sample(tokenizer: Any) -> None:
    no_tools = "{% for message in messages if message['role'] != 'tool' %}"
    template = QWEN_TEMPLATE.replace("{% for message in messages %}", no_tools)
    chat = ChatEncoder(with_template(tokenizer, template))
    with pytest.raises(BadSampleError, match="leaves out"):
        chat.encode(chat_of(("user", "q"), ("tool", "t"), ("assistant", "a")))


def test_the_fingerprint_follows_the_template(tokenizer: Any, chat: ChatEncoder) -> None:
    assert chat.fingerprint() == ChatEncoder(tokenizer).fingerprint()
    assert (
        chat.fingerprint() != ChatEncoder(with_template(tokenizer, QWEN_TEMPLATE)).fingerprint()
    )
