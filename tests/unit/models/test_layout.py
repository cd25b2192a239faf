"""The row that a micro-batch becomes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from orchestrator.models.layout import Words, count_label_tokens, lay_out


def test_positions_are_those_of_the_model_for_every_sample_alone(
    batch: Any, model_path: str
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(model_path)
    packed = batch.lay_out()
    starts = np.cumsum([0, *packed.lengths_S])
    for number in range(3):
        one = batch.sample(number)
        input_ids = one.lay_out().input_ids
        rope, _ = model.model.get_rope_index(
            input_ids,
            mm_token_type_ids=(input_ids == batch.info.image_token_id).int(),
            image_grid_thw=torch.from_numpy(one.grids_I3),
        )
        where = slice(starts[number], starts[number + 1])
        assert torch.equal(packed.position_ids[1:, :, where], rope)
        assert packed.position_ids[0, 0, where].tolist() == list(range(input_ids.shape[1]))
        assert torch.equal(packed.input_ids[:, where], input_ids)


def test_labels_are_counted_alike_from_arrays_and_row(batch: Any) -> None:
    layout = batch.lay_out()
    assert layout.label_tokens == count_label_tokens(batch.labels_L, batch.lengths_S) == 7
    assert layout.sample_T.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert layout.targets_T.tolist() == [13, 14, 17, 18, 21, 22, 24]
    following = layout.input_ids[0, layout.predicting_T + 1]
    assert torch.equal(following, layout.targets_T)


def test_nothing_predicts_the_first_token_of_a_sample(batch: Any) -> None:
    everything = np.asarray(batch.ids_L >= 0)
    words = replace(batch.words, labels_L=everything)
    layout = lay_out(words, batch.grids_I2, batch.info)
    firsts = np.cumsum(layout.lengths_S) - layout.lengths_S
    assert not set(layout.predicting_T.tolist()) & set((firsts - 1).tolist())
    assert layout.label_tokens == count_label_tokens(everything, batch.lengths_S)


def test_an_image_takes_as_many_places_as_it_has_tokens(batch: Any) -> None:
    layout = batch.lay_out()
    tokens = [batch.info.images.num_tokens(*picture.shape[:2]) for picture in batch.pictures]
    assert layout.lengths_S == (4, 4 + tokens[0], 6 + sum(tokens[1:]))
    assert int((layout.input_ids == batch.info.image_token_id).sum()) == sum(tokens)


def test_a_micro_batch_of_bad_samples_only_is_an_empty_row(batch: Any) -> None:
    none = np.zeros(0, np.int32)
    words = Words(ids_L=none, labels_L=none.astype(np.bool_), lengths_S=none, images_S=none)
    empty = lay_out(words, none.reshape(0, 2), batch.info)
    assert empty.input_ids.shape == (1, 0)
    assert (empty.label_tokens, empty.lengths_S) == (0, ())


def test_an_image_given_to_the_wrong_sample_is_noticed(batch: Any) -> None:
    swapped = batch.images_S[::-1].copy()
    with pytest.raises(AssertionError, match="slots"):
        lay_out(replace(batch.words, images_S=swapped), batch.grids_I2, batch.info)
