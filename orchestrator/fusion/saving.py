"""A fusion as a file: parameters as safetensors, with the shape that they have as JSON."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

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
    if shape.layers > max(len(tensors), 1):
        raise ModelError(f"{shape.layers} layers and {len(tensors)} tensors", str(path), _FIX)
    # Without memory: a file that lies about its shape costs nothing.
    fusion = Fusion(shape, seed=None)
    _compare(fusion.state_dict(), tensors, path)
    fusion.load_state_dict(tensors, assign=True)
    return fusion


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The shape, as written, and the tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY, "")
            return text, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelError("no such file", str(path), _FIX) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot be read ({error})", str(path), _FIX) from error


def _shape(text: str, path: Path) -> FusionShape:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ModelError("does not say the shape of a fusion", str(path), _FIX) from error
    types = {field.name: field.type for field in fields(FusionShape)}
    if not isinstance(values, dict) or values.keys() != types.keys():
        raise ModelError(f"says {text[:200]!r} where a fusion's shape is", str(path), _FIX)
    for name, value in values.items():
        _check(name, value, types[name], path)
    return FusionShape(**values)


def _check(name: str, value: object, kind: object, path: Path) -> None:
    is_kind = type(value) in (get_args(kind) or (kind,))
    if not is_kind or (type(value) is int and value < 1):
        raise ModelError(f"a fusion with {name} {value!r}", str(path), _FIX)


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
