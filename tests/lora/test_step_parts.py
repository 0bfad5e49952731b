"""The hand-written parts of a training step compute the same numbers and gradients as the plain computation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from ecomtune.lora.fused_norm import FusedRmsNorm, fuse_norms
from ecomtune.lora.head_loss import head_loss
from ecomtune.lora.matmul import product
from ecomtune.lora.two_part_attention import is_ordinary, rows_attention


def near(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).norm() <= 1e-5 * expected.norm())


@pytest.mark.parametrize(("rows", "inner", "outer"), [(1, 1, 1), (7, 5, 3), (599, 576, 8), (64, 300, 200)])
def test_a_product_is_the_plain_one_in_any_layout(rows: int, inner: int, outer: int) -> None:
    torch.manual_seed(1)
    x, weight = torch.randn(rows, inner), torch.randn(outer, inner)
    expected = (x.double() @ weight.double().T).float()
    for left in (x, x.T.contiguous().T, torch.randn(rows, inner + 3)[:, :inner].copy_(x)):
        for right in (weight, weight.T.contiguous().T):
            assert near(product(left, right), expected)
    one = torch.ones(1, 1).expand(outer, inner)  # like the gradient of a sum
    assert near(product(x, one), x @ one.T) and near(product(one, x), one @ x.T)


def test_a_product_of_another_type_is_left_to_torch() -> None:
    x, weight = torch.randn(4, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    assert torch.equal(product(x, weight), x @ weight.T)


@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 40.0])
@pytest.mark.parametrize("likely", [False, True])
def test_the_loss_of_a_frozen_head_is_the_exact_cross_entropy(scale: float, likely: bool) -> None:
    """Also of nearly certain targets, whose gradient is a small difference."""
    torch.manual_seed(1)
    head = nn.Linear(16, 5000, bias=False).requires_grad_(False)
    hidden = (scale * torch.randn(6, 16)).requires_grad_()
    targets = head(hidden).argmax(1) if likely else torch.tensor([0, 4999, 7, 7, 3, 20])
    exact = hidden.detach().double().requires_grad_()
    expected = functional.cross_entropy(exact @ head.weight.double().T, targets, reduction="sum")
    found = head_loss(head, hidden, targets)
    assert "HeadLoss" in found.grad_fn.name()
    assert near(found.double(), expected)
    ours, theirs = torch.autograd.grad(3 * found, hidden)[0].double(), torch.autograd.grad(3 * expected, exact)[0]
    assert near(ours, theirs)


def test_a_practically_impossible_target_has_a_finite_loss() -> None:
    head = nn.Linear(1, 3, bias=False).requires_grad_(False)
    head.weight.copy_(torch.tensor([[0.0], [1000.0], [2000.0]]))
    hidden = torch.ones(1, 1, requires_grad=True)
    loss = head_loss(head, hidden, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 2000 and hidden.grad is not None and hidden.grad.item() == 2000


def test_under_autocast_the_loss_is_torchs() -> None:
    head = nn.Linear(4, 5, bias=False).requires_grad_(False)
    hidden, targets = torch.randn(2, 4, requires_grad=True), torch.tensor([1, 2])
    with torch.autocast("cpu"):
        found, plain = (
            head_loss(head, hidden, targets),
            functional.cross_entropy(head(hidden).float(), targets, reduction="sum"),
        )
    assert torch.equal(found, plain) and "HeadLoss" not in found.grad_fn.name()


def test_a_head_that_is_trained_or_has_a_bias_keeps_torchs_loss() -> None:
    hidden, targets = torch.randn(2, 4), torch.tensor([1, 2])
    for head in (nn.Linear(4, 5, bias=False), nn.Linear(4, 5).requires_grad_(False), nn.Sequential(nn.Linear(4, 5))):
        assert torch.equal(head_loss(head, hidden, targets), functional.cross_entropy(head(hidden), targets, reduction="sum"))


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize(("rows", "width", "prefix"), [(1, 1, 1), (3, 5, 17), (2, 40, 3)])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_rows_attend_to_the_prefix_and_to_themselves(
    heads: int, groups: int, rows: int, width: int, prefix: int, scale: float | None
) -> None:
    torch.manual_seed(1)
    sizes = [(heads, rows * width), (groups, rows * width), (groups, rows * width), (groups, prefix), (groups, prefix)]
    query, key, value, prefix_key, prefix_value = inputs = [torch.randn(*size, 8, requires_grad=True) for size in sizes]
    found = rows_attention(inputs, rows, scale)
    mask = torch.ones(width, prefix + width, dtype=torch.bool).tril(prefix)
    expected = torch.cat(
        [
            functional.scaled_dot_product_attention(
                query[:, row],
                *(
                    torch.cat([of_prefix, own[:, row]], dim=1).repeat_interleave(heads // groups, dim=0)
                    for of_prefix, own in ((prefix_key, key), (prefix_value, value))
                ),
                attn_mask=mask,
                scale=scale,
            )
            for row in (slice(start, start + width) for start in range(0, rows * width, width))
        ],
        dim=1,
    )
    assert near(found, expected)
    toward = torch.randn_like(found)
    for ours, plain in zip(*(torch.autograd.grad(output, inputs, toward) for output in (found, expected)), strict=True):
        assert (ours - plain).norm() <= 1e-5 * max(plain.norm(), 1)  # one key of weight 1 has gradient 0


def test_attention_of_another_kind_is_left_to_torch() -> None:
    states = torch.randn(1, 2, 3, 4)
    assert is_ordinary(states, states, 0.0)
    assert not is_ordinary(states, states, 0.1)
    assert not is_ordinary(states.bfloat16(), states.bfloat16(), 0.0)
    assert not is_ordinary(states, states[..., :2], 0.0)


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 599, 576), (3, 5)])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 30.0])
def test_a_fused_norm_is_the_exact_one(shape: tuple[int, ...], scale: float) -> None:
    torch.manual_seed(1)
    layer = LlamaRMSNorm(shape[-1], 1e-5).requires_grad_(False)
    layer.weight.copy_(torch.rand(shape[-1]))
    x = (scale * torch.randn(shape)).requires_grad_()
    exact = x.detach().double().requires_grad_()
    expected = layer.weight.double() * exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + 1e-5)
    found = FusedRmsNorm.replacing(layer)(x)
    assert "Norm" in found.grad_fn.name()
    assert near(found.double(), expected)
    toward = torch.randn(shape)
    (ours,), (theirs,) = torch.autograd.grad(found, x, toward), torch.autograd.grad(expected, exact, toward.double())
    assert near(ours.double(), theirs)


def test_a_norm_that_is_trained_or_not_in_fp32_is_transformers_own() -> None:
    layer, x = LlamaRMSNorm(8), torch.randn(2, 8, requires_grad=True)
    assert "Norm" not in FusedRmsNorm.replacing(layer)(x).grad_fn.name()
    half = LlamaRMSNorm(8).requires_grad_(False).bfloat16()
    assert torch.equal(FusedRmsNorm.replacing(half)(x.bfloat16()), half(x.bfloat16()))


def test_only_llamas_norms_are_fused_and_they_keep_their_weights() -> None:
    class OtherNorm(LlamaRMSNorm):
        """A norm of another model family, which computes something else."""

    model = nn.ModuleDict({"ours": LlamaRMSNorm(4), "theirs": OtherNorm(4), "inner": nn.Sequential(LlamaRMSNorm(4))})
    names = set(model.state_dict())
    weight = model["ours"].weight
    fuse_norms(model)
    assert [type(layer) for layer in (model["ours"], model["theirs"], model["inner"][0])] == [
        FusedRmsNorm,
        OtherNorm,
        FusedRmsNorm,
    ]
    assert model["ours"].weight is weight and set(model.state_dict()) == names
