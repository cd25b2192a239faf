"""Where tests of tensors run: on the CPU, and on a GPU where there is one."""

import pytest
import torch

NEEDS_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
on_every_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]
)
