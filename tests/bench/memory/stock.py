"""The stock recipe: what ``Trainer`` does with LoRA and checkpointing, at its defaults.

Written out from transformers 5.23 (``Trainer.__init__`` and ``training_step``), so that it runs
on the very micro-batches that ours does: one sample a row, labels beside its tokens, the loss
that the model itself computes.
"""

from typing import Any

import numpy as np
import torch
from peft import LoraConfig as StockLora
from peft import get_peft_model

from orchestrator.models.family import find_family
from orchestrator.models.forward import normalise
from orchestrator.models.layout import lay_out
from orchestrator.models.lora import quiet_peft
from tests.bench.memory.measuring import Pass
from tests.bench.memory.models import (
    Group,
    Way,
    grids_of,
    info_of,
    pixels_of,
    random_base,
    words_of,
)


class Stock:
    """A frozen model with LoRA, every block of both towers checkpointed."""

    def __init__(self, config: Any, way: Way, device: torch.device) -> None:
        # As it comes: nobody asks for the same bits here.
        torch.use_deterministic_algorithms(mode=False)
        base = random_base(config, device, way.dtype)
        self.info = info_of(config)
        self.device = device
        adapter = StockLora(
            r=way.lora.rank,
            lora_alpha=way.lora.alpha,
            lora_dropout=way.lora.dropout,
            target_modules=find_family(config.model_type, where="stock").adapted,
            task_type="CAUSAL_LM",
        )
        with quiet_peft():
            self.model = get_peft_model(base, adapter)
        self.model.activation_checkpointing_enable()
        self.model.train()

    def step(self, group: Group) -> Pass:
        words, grids_I3 = words_of([group]), grids_of([group])
        row = lay_out(words, grids_I3[:, 1:] // self.info.images.merge, self.info)
        ids = row.input_ids.to(self.device)
        labels = torch.full_like(ids, -100)
        labels[0, row.predicting_T.to(self.device) + 1] = row.targets_T.to(self.device)
        patches = torch.from_numpy(pixels_of([group], self.info)).to(self.device)
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == self.info.image_token_id).int(),
            "pixel_values": normalise(patches, self.info.images),
            "image_grid_thw": torch.from_numpy(grids_I3.astype(np.int64)).to(self.device),
            "labels": labels,
        }
        del patches

        def forward() -> torch.Tensor:
            loss: torch.Tensor = self.model(**inputs).loss
            return loss

        def forget() -> None:
            for parameter in self.model.parameters():
                parameter.grad = None

        return Pass(forward, forget, self.device)
