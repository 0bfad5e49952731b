"""Matrix products of a training step by the library that is fastest at them.

On a CPU torch computes fp32 products with MKL; oneDNN, which torch includes too, is faster at the shapes of a training step.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")  # private, so another build or release may lack it


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, in] times the transpose of weight [out, in], without autograd."""
    if _ONEDNN and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        return found
    return x @ weight.T
