"""Peak memory of stages that load a model, estimated in bytes: the host's and a GPU's together, as stages note their own.

A stage holds what its process takes before it has a model, its weights twice (as they lie in their file, which is mapped, and
as they compute, in fp32), and where it trains, what it keeps of each token of a batch until the backward pass. Where all of the
weights are trained, each has a gradient and AdamW's two moments too. Left out is what is small beside these: an adapter's own
weights, and the keys and values of answers. Measured peaks of the demo (tests/test_plan.py) lie within a factor of two.
"""

from __future__ import annotations

from math import sqrt

#: What Python, torch and transformers take by themselves: 422 to 448 MiB were measured.
PROCESS_BYTES = 440 * 2**20
#: Bytes of a weight in fp32 and in 4-bit NormalFloat with its constants (arXiv 2305.14314).
WEIGHT_BYTES, QUANTIZED_BYTES = 4, 0.52
#: How often weights are held: as in their file and as they compute; where all are trained, with gradient and two moments.
LOADED, TRAINED = 2, 5
#: Bytes that training keeps of each token of a batch, in fp32, over the root of the number of weights, since depth times width
#: grows about as that root: 2.1 to 2.9 MB were measured with SmolLM2-135M, 0.2 MB with MiniLM, half of which is embeddings.
CAUSAL_KEPT_BYTES, ENCODER_KEPT_BYTES = 215, 45


def loaded(weights: float) -> float:
    """Of a model that is read, and answers or is written elsewhere."""
    return PROCESS_BYTES + LOADED * WEIGHT_BYTES * weights


def with_adapter(weights: float, tokens: float, quantized: bool) -> float:
    """Of a model whose adapter is trained in batches of ``tokens``; quantized weights lie in memory once, and keep half."""
    held, kept = (QUANTIZED_BYTES, CAUSAL_KEPT_BYTES / 2) if quantized else (LOADED * WEIGHT_BYTES, CAUSAL_KEPT_BYTES)
    return PROCESS_BYTES + held * weights + kept * sqrt(weights) * tokens


def fully_trained(weights: float, tokens: float, causal: bool) -> float:
    """Of a model all of whose weights are trained in batches of ``tokens``."""
    kept = CAUSAL_KEPT_BYTES if causal else ENCODER_KEPT_BYTES
    return PROCESS_BYTES + TRAINED * WEIGHT_BYTES * weights + kept * sqrt(weights) * tokens
