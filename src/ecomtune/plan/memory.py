"""Estimated peak memory, in bytes, of stages that load a model: host and GPU together, as stages log their own.

A stage needs what its process takes before it loads a model, and the weights twice (once in the memory-mapped file, once in
fp32 for computing). Training also keeps activations for each token of a batch until the backward pass. Training all weights
adds a gradient and AdamW's two moments for each. What is small next to these is left out: an adapter's own weights, and the
keys and values cached while answering. The estimates are within a factor of two of the peaks measured on the demo
(tests/plan/test_plan.py).
"""

from __future__ import annotations

from math import sqrt

#: What Python, torch and transformers take by themselves; 422 to 448 MiB were measured.
PROCESS_BYTES = 440 * 2**20
#: Bytes per weight in fp32, and in 4-bit NormalFloat with its constants (arXiv 2305.14314).
WEIGHT_BYTES, QUANTIZED_BYTES = 4, 0.52
#: Copies of the weights in memory: the file and the fp32 weights; if all are trained, also gradients and two moments.
LOADED, TRAINED = 2, 5
#: Bytes of fp32 activations per token, divided by the square root of the number of weights, since depth times width grows
#: roughly like that root: 2.1 to 2.9 MB were measured with SmolLM2-135M, 0.2 MB with MiniLM, half of which is embeddings.
CAUSAL_ACTIVATION_BYTES, ENCODER_ACTIVATION_BYTES = 215, 45


def loading(weights: float) -> float:
    """Peak memory for loading a model that then answers or is saved."""
    return PROCESS_BYTES + LOADED * WEIGHT_BYTES * weights


def adapter_training(weights: float, tokens: float, quantized: bool) -> float:
    """Peak memory for training an adapter in batches of ``tokens``; quantized weights are held once, activations in bf16."""
    per_weight = QUANTIZED_BYTES if quantized else LOADED * WEIGHT_BYTES
    activations = CAUSAL_ACTIVATION_BYTES / (2 if quantized else 1)
    return PROCESS_BYTES + per_weight * weights + activations * sqrt(weights) * tokens


def full_training(weights: float, tokens: float, causal: bool) -> float:
    """Peak memory for training all weights of a model in batches of ``tokens``."""
    activations = CAUSAL_ACTIVATION_BYTES if causal else ENCODER_ACTIVATION_BYTES
    return PROCESS_BYTES + TRAINED * WEIGHT_BYTES * weights + activations * sqrt(weights) * tokens
