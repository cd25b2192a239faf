"""From a rendered micro-batch to what the model reads: images encoded, fused, laid out.

One way for training, scoring and answering, so that all of them see the same.

Letters: P patches; D bytes of a patch; I images.
"""

from peft import PeftModel
from transformers.utils import ModelOutput

from orchestrator.models.family import ModelInfo
from orchestrator.models.features import FeatureCache
from orchestrator.models.forward import encode_images
from orchestrator.models.fusing import fuse_images
from orchestrator.models.layout import Ints, Layout, Words, lay_out
from orchestrator.models.qwen import Pixels


def make_row(
    model: PeftModel,
    info: ModelInfo,
    words: Words,
    patches_PD: Pixels,
    grids_I3: Ints,
    cache: FeatureCache | None = None,
) -> tuple[Layout, ModelOutput | None]:
    """Make the row of a micro-batch.

    Args:
        model: The adapted model, with a fusion or without.
        info: How its images are cut, and where they stand.
        words: The micro-batch's text, and where its images stand.
        patches_PD: Patches of all images, one after another, as bytes.
        grids_I3: Patches of each image in time, down and across.
        cache: Where the frozen tower's output is kept for another time.

    Returns:
        The row, on the model's device, and what stands in it for its images: None without any.

    Raises:
        PlanError: The token budget has no room for so many images.
    """
    encoded = encode_images(model, patches_PD, grids_I3, info.images, cache=cache)
    grids_I2 = grids_I3[:, 1:] // info.images.merge
    images, grids_I2 = fuse_images(model, words, encoded, grids_I2)
    return lay_out(words, grids_I2, info).to(model.device), images
