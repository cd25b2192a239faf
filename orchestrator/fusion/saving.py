"""A fusion as a file: parameters as safetensors, with the shape that they have as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from orchestrator.config.fusion import FusionConfig
from orchestrator.errors import ModelError
from orchestrator.fusion.module import Fusion
from orchestrator.fusion.shape import FusionShape

FILE = "fusion.safetensors"
_KEY = "shape"
_FIX = "Point to the folder that a training with a fusion section wrote, or train again"


def save_fusion(fusion: Fusion, folder: Path) -> None:
    """Write ``fusion.safetensors`` into a folder that is there."""
    tensors = {
        name: tensor.detach().contiguous().cpu() for name, tensor in fusion.state_dict().items()
    }
    save_file(tensors, folder / FILE, metadata={_KEY: json.dumps(asdict(fusion.shape))})


def load_fusion(folder: Path) -> Fusion:
    """Read what ``save_fusion`` wrote; on the CPU.

    Raises:
        ModelError: There is no such file, or it holds no fusion, or not all of it.
    """
    path = folder / FILE
    text, tensors = _read(path)
    shape = _shape(text, path)
    if shape.latents and shape.layers > len(tensors):
        raise ModelError(f"{shape.layers} layers and {len(tensors)} tensors", str(path), _FIX)
    fusion = _outline(shape, path)
    _compare(fusion.state_dict(), tensors, path)
    fusion.load_state_dict(tensors, assign=True)
    return fusion


def _outline(shape: FusionShape, path: Path) -> Fusion:
    """A fusion without memory: a file that lies about its shape costs nothing."""
    try:
        return Fusion(shape, seed=None)
    except RuntimeError as error:
        raise ModelError(
            f"its shape is beyond any memory ({shape})", str(path), _FIX
        ) from error


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The shape, as written, and the tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY, "")
            # Copied to where torch would put them: from other places in memory, products come
            # out with other last bits on some processors.
            names = file.keys()
            return text, {name: file.get_tensor(name).clone() for name in names}
    except FileNotFoundError as error:
        raise ModelError("no such file", str(path), _FIX) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot be read ({error})", str(path), _FIX) from error


def _shape(text: str, path: Path) -> FusionShape:
    try:
        values = json.loads(text)
        width = values.pop("width")
        shape = FusionShape.from_config(FusionConfig.model_validate(values), width)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"{part}: " for part in first["loc"])
        raise ModelError(f"its shape: {field}{first['msg']}", str(path), _FIX) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError("does not say the shape of a fusion", str(path), _FIX) from error
    if type(width) is not int or width < 1:
        raise ModelError(f"its shape: width {width!r}", str(path), _FIX)
    return shape


def _compare(wanted: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found or name not in wanted:
            problem = "is missing" if name in wanted else "is no part of its shape"
            raise ModelError(f"tensor {name} {problem}", str(path), _FIX)
        if _kind(found[name]) != _kind(wanted[name]):
            raise ModelError(
                f"tensor {name} is {_kind(found[name])}, not {_kind(wanted[name])}",
                str(path),
                _FIX,
            )


def _kind(tensor: Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return f"{name} {tuple(tensor.shape)}"
