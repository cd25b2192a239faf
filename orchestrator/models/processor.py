"""Read how a model cuts pictures from its own processor, and hold our arithmetic against it.

What reads a model is imported where one is read: it takes seconds, and not all that is imported
beside it looks at a model.
"""

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.config.images import ImageBudget
from orchestrator.errors import ModelError
from orchestrator.models.family import ModelInfo, find_family
from orchestrator.models.qwen import QwenImages

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

_BICUBIC = 3
_TRIED_SIZES = ((37, 91), (240, 333), (300, 25))


def read_model_info(path: str, budget: ImageBudget, revision: str | None = None) -> ModelInfo:
    """What a sequence for this model is laid out by.

    Args:
        path: A folder or a hub id.
        budget: The job's pixel limits, which replace the processor's own.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: The folder cannot be read, or is of no family we know.
    """
    from transformers import AutoConfig  # noqa: PLC0415 - as said above

    find_family(read_model_type(path, revision), where=path)
    config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    return ModelInfo(
        model_type=config.model_type,
        image_token_id=config.image_token_id,
        images=image_coder(path, budget, revision),
    )


def read_model_type(path: str, revision: str | None = None) -> str:
    """``model_type`` of a model's ``config.json``.

    Raises:
        ModelError: There is no such file, or it names none.
    """
    from transformers import PreTrainedConfig  # noqa: PLC0415 - as said above

    try:
        fields, _ = PreTrainedConfig.get_config_dict(path, revision=revision)
        model_type: str = fields["model_type"]
    except (OSError, KeyError) as error:
        raise unreadable("config.json", path, error) from error
    return model_type


def image_coder(path: str, budget: ImageBudget, revision: str | None = None) -> QwenImages:
    """The picture arithmetic of a model, checked once against its own processor.

    Raises:
        ModelError: The processor cannot be read, or does something that we do not.
    """
    processor = _load_processor(path, budget, revision)
    _refuse_unknown_steps(processor, path)
    coder = QwenImages(
        patch=processor.patch_size,
        merge=processor.merge_size,
        temporal=processor.temporal_patch_size,
        min_pixels=budget.min_pixels,
        max_pixels=budget.max_pixels,
        rescale=processor.rescale_factor,
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
    )
    for height, width in _TRIED_SIZES:
        _compare(processor, coder, height, width, path)
    return coder


def _load_processor(
    path: str, budget: ImageBudget, revision: str | None
) -> "BaseImageProcessor":
    from transformers import AutoImageProcessor  # noqa: PLC0415 - as said above

    # PIL everywhere: where torchvision is installed the default would give other pixels. The
    # limits go to the constructor, as a call's own ``size`` is not honoured throughout.
    try:
        return AutoImageProcessor.from_pretrained(
            path,
            revision=revision,
            backend="pil",
            trust_remote_code=False,
            min_pixels=budget.min_pixels,
            max_pixels=budget.max_pixels,
        )
    except (OSError, ValueError) as error:
        raise unreadable("image processor", path, error) from error


def _refuse_unknown_steps(processor: "BaseImageProcessor", path: str) -> None:
    steps = ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb")
    unlike = [step for step in steps if not getattr(processor, step)]
    unlike += ["resample"] if int(processor.resample) != _BICUBIC else []
    if unlike:
        raise ModelError(
            f"the image processor sets {', '.join(unlike)} unlike every Qwen model",
            f"{path}/preprocessor_config.json",
            "Restore the published preprocessor_config.json",
        )


def _compare(
    processor: "BaseImageProcessor",
    coder: QwenImages,
    height: int,
    width: int,
    path: str,
) -> None:
    stock = processor(np.zeros((height, width, 3), np.uint8), input_data_format="channels_last")
    stock_grid = tuple(np.asarray(stock["image_grid_thw"])[0].tolist())
    grid = coder.grid(*coder.target_size(height, width))
    if grid != stock_grid:
        raise ModelError(
            f"a picture of {width} x {height} has the grid {grid} here, {stock_grid} there",
            f"{path}/preprocessor_config.json",
            "Install the transformers version that this release names",
        )


def unreadable(what: str, path: str, error: Exception) -> ModelError:
    """The error for a part of a model that is not there, or not as it should be."""
    return ModelError(
        f"the {what} cannot be read ({str(error).splitlines()[0]})",
        path,
        "Set model.path to a folder with the model's files, or to a hub id that you can reach",
    )
