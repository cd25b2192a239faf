"""The ``train`` section: what is learned, and in which portions."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from orchestrator.config.section import Section

Gate = Literal["none", "projector", "tower"]


class TrainConfig(Section):
    """The recipe. Nothing in it depends on how many machines there are."""

    epochs: PositiveInt = 1
    """How often every sample is used."""

    global_batch: PositiveInt = 16
    """Samples in one optimizer step, over all workers. It changes what is learned."""

    micro_tokens: PositiveInt | Literal["auto"] = 4096
    """Language-model tokens computed at once. It changes memory and speed; a longer sample is
    quarantined. auto takes as many as the smallest device has memory for, decides when a run
    begins, and stays with it."""

    learning_rate: Annotated[PositiveFloat, Field(le=1.0)] = 1e-4
    """The highest rate, reached after the warm-up."""

    warmup_fraction: float = Field(default=0.03, ge=0.0, le=1.0)
    """Share of all steps in which the rate climbs from zero."""

    schedule: Literal["cosine", "constant"] = "cosine"
    """What the rate does after the warm-up: fall along a cosine, or stay."""

    weight_decay: NonNegativeFloat = 0.0
    """AdamW's pull of the trained weights towards zero."""

    max_grad_norm: PositiveFloat | None = 1.0
    """A longer gradient is scaled down to this length; null leaves it alone."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Everything random follows from it: order, adapter, dropout."""

    checkpoint_every_steps: PositiveInt = 50
    """Steps between checkpoints: what is lost at most if every worker goes at once."""

    keep_checkpoints: PositiveInt = 2
    """How many of the newest checkpoints are kept."""

    eval_every_steps: PositiveInt | None = None
    """Steps between measurements on the held-out data; null measures at the end only."""

    unfreeze: Gate = "none"
    """What trains beside the adapter: nothing, the projector that turns patches into tokens, or
    the vision tower with its projector. Not where workers share a base."""

    cache_features_gib: NonNegativeFloat = 0.0
    """Host memory of each worker, in GiB, for what the frozen vision tower made of images, kept
    for later epochs. It pays where fusion leaves few tokens of an image. 0 keeps nothing."""

    recompute: bool = True
    """Compute the language model's activations twice instead of keeping them: less memory."""

    offload: bool = False
    """Keep what ``recompute`` leaves of a GPU's activations in host memory: for long samples,
    at the cost of copies. The weights stay the same."""

    @model_validator(mode="after")
    def _only_what_is_kept_is_offloaded(self) -> Self:
        if self.offload and not self.recompute:
            raise ValueError(
                "offload: moves what recompute leaves: set recompute to true, or this to false"
            )
        return self

    @model_validator(mode="after")
    def _only_what_is_frozen_is_cached(self) -> Self:
        if self.cache_features_gib and self.unfreeze != "none":
            raise ValueError(
                f"cache_features_gib: with unfreeze: {self.unfreeze}, features change at every "
                "step: set it to 0"
            )
        return self
