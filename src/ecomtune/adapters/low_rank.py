"""The SVD of ΔW and its best approximation of a lower rank, computed from its factors or from the dense matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ecomtune.adapters.factors import Factors, Matrix

Dense = NDArray[np.float64]


def compress(factors: Factors, rank: int) -> Factors:
    """The best approximation of ``b @ a`` of rank ``rank`` at most, padded with zeros where the factors have a lower one."""
    return _split(*decompose(factors), rank)


def compress_dense(delta: Dense, rank: int) -> Factors:
    """The best approximation of rank ``rank`` at most of any ΔW [out, in], padded with zeros where ΔW has a lower one.

    Its singular vectors on the shorter side are the eigenvectors of ΔW ΔWᵀ, of which only the first ``rank`` are computed.
    Unlike a randomized SVD, that is exact for any spectrum and needs no seed; singular values below 1e-8 of the largest are
    lost in rounding, as they are in the factors' fp32.
    """
    out, inner = delta.shape
    if out > inner:
        flipped = compress_dense(delta.T, rank)
        return Factors(flipped.b.T, flipped.a.T)
    _, vectors = eigh(delta @ delta.T, subset_by_index=(max(0, out - rank), out - 1))
    left = vectors[:, ::-1]
    right = left.T @ delta
    singular = np.linalg.norm(right, axis=1)
    return _split(left, singular, right / np.where(singular > 0, singular, 1)[:, None], rank)


def decompose(factors: Factors) -> tuple[Dense, Dense, Dense]:
    """The thin SVD of ``b @ a``: U [out, R], singular values [R] (descending), Vᵀ [R, in]; R is the smallest of the
    factors' rank and the sides of ``b @ a``.

    Computed in float64, since in fp32 the core's small singular values would be lost in the rounding of the large ones.
    """
    q_left, r_left = np.linalg.qr(factors.b.astype(np.float64))
    q_right, r_right = np.linalg.qr(factors.a.T.astype(np.float64))
    u, singular, vt = np.linalg.svd(r_left @ r_right.T, full_matrices=False)
    return q_left @ u, singular, vt @ q_right.T


def padded(factors: Factors, rank: int) -> Factors:
    """The same ΔW with factors of ``rank``, at least their own, padded with zeros."""
    missing = rank - factors.rank
    return Factors(np.pad(factors.a, ((0, missing), (0, 0))), np.pad(factors.b, ((0, 0), (0, missing))))


def _split(left: Dense, singular: Dense, right: Dense, rank: int) -> Factors:
    """Factors in fp32 of the first ``rank`` singular values, each multiplied by their roots."""
    root = np.sqrt(singular[:rank])
    a: Matrix = (root[:, None] * right[:rank]).astype(np.float32)
    b: Matrix = (left[:, :rank] * root).astype(np.float32)
    return padded(Factors(a, b), rank)
