"""Log mass: the tokens after which softmax attention changes least when it is renormalized."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from ..checks import check_share, check_temperature
from ..distributions import cosine_similarity, unit_rows
from ..errors import ParameterError
from .attention import NO_SUMS, column_sums
from .engine import Picks, product
from .kernels import check_at_least_zero
from .saturation import saturating_greedy, saturating_lazily

TEMPERATURE = 0.05
VISUAL_WEIGHT = 0.8
FLOOR = 1e-4
AT_ONCE = 2**16
"""Probabilities of a sample up to which looking at all of them is cheaper than choosing which."""


def log_mass(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int,
    text_temperature: float = TEMPERATURE,
    visual_temperature: float = TEMPERATURE,
    visual_weight: float = VISUAL_WEIGHT,
    rarity: float = 0.0,
    floor: float = FLOOR,
    zero_norm: str = "error",
) -> Picks:
    """Greedy f(S) = Σ_r w_r log((ε + Σ_{i∈S} p(v_i | r)) / ε) over words and patches r.

    p(v | r) is a softmax of cosines over *vision*, so that words do not compete. Words share
    1 − α of the weight alike. Patch l has α π_l^{−γ} / Σ π^{−γ}, where π is the stationary prior
    of p(v | v): at γ = 0 all patches count alike and a cluster of tokens is kept in proportion to
    its size; at γ = 1 clusters count alike.

    f(all) − f(S) is the expected divergence, from attention over all tokens, of the same attention
    renormalized over S, where ε / (1 + ε) of it rests on what is never pruned. Monotone and
    submodular: greedy has 1 − 1/e.

    Source: Eqs. (16), (17); nemhauser1978.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    text_temperature, visual_temperature : τ > 0 of the rows of words and of patches
    visual_weight : α in [0, 1]
    rarity : γ ≥ 0
    floor : ε > 0

    Raises
    ------
    ParameterError
        If an option is outside its range.

    Examples
    --------
    Three patches are alike and one is not; where rare ones count for more, it comes first.

    >>> v = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    >>> t = torch.tensor([[[1.0, 1.0]]])
    >>> log_mass(v, t, budget=3).indices, log_mass(v, t, budget=3, rarity=1.0).indices
    (tensor([[0, 3, 1]]), tensor([[3, 0, 1]]))
    """
    return _log_mass(
        visual, text, None, budget, text_temperature, visual_temperature, visual_weight,
        rarity, floor, zero_norm,
    )  # fmt: skip


def log_mass_attention(
    visual: Tensor,
    text: Tensor,
    patch_attention: Tensor,
    *,
    budget: int,
    text_temperature: float = TEMPERATURE,
    visual_temperature: float = TEMPERATURE,
    visual_weight: float = VISUAL_WEIGHT,
    attention_power: float = 0.5,
    floor: float = FLOOR,
    zero_norm: str = "error",
    sums: Mapping[str, Tensor] = NO_SUMS,
) -> Picks:
    """`log_mass` in which a patch counts by the attention that patches pay to it.

    Patch l has α a_l^κ / Σ a^κ, where a_l, the mean of attention to it, is what the law of total
    probability (Eq. 50) makes of the encoder's own p(v | v).

    Source: Eqs. (5), (16), (50); nemhauser1978.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    patch_attention : (b, heads, n_v, n_v), row attends to column
    attention_power : κ ≥ 0; 0 is `log_mass` without rarity

    The other options are those of `log_mass`.

    Raises
    ------
    ParameterError
        If an option is outside its range, or no patch receives attention.
    """
    check_at_least_zero("attention_power", attention_power)
    received = column_sums(
        patch_attention, include_diagonal=True, sums=sums.get("patch_attention")
    ).to(visual.dtype)
    share = received.pow(attention_power)
    if not bool(((share >= 0).all(-1) & (share.sum(-1) > 0)).all()):
        raise ParameterError(
            "patch_attention: expected nonnegative rows and a patch that receives some, "
            f"got sums from {float(received.min()):g} to {float(received.max()):g}"
        )
    return _log_mass(
        visual, text, share, budget, text_temperature, visual_temperature, visual_weight,
        0.0, floor, zero_norm,
    )  # fmt: skip


def _log_mass(
    visual: Tensor,
    text: Tensor,
    share: Tensor | None,
    budget: int,
    text_temperature: float,
    visual_temperature: float,
    visual_weight: float,
    rarity: float,
    floor: float,
    zero_norm: str,
) -> Picks:
    posterior, weights = log_mass_rows(
        visual,
        text,
        share,
        text_temperature=text_temperature,
        visual_temperature=visual_temperature,
        visual_weight=visual_weight,
        rarity=rarity,
        zero_norm=zero_norm,
    )
    number = isinstance(floor, int | float) and not isinstance(floor, bool)
    if not number or not 0 < floor < float("inf"):
        raise ParameterError(f"floor: expected a positive number, got {floor!r}")

    start = torch.full_like(weights, floor)
    coarse = 1 + (1 + rarity) / min(text_temperature, visual_temperature)
    watched = posterior.requires_grad or weights.requires_grad
    if posterior.is_cpu and not watched and posterior[0].numel() > AT_ONCE:
        return _lazily(posterior, weights, start, budget, coarse)

    def gains(mass: Tensor) -> Tensor:
        return (weights[:, None] @ torch.log1p(posterior / mass[..., None]))[:, 0]

    return saturating_greedy(posterior, start, gains, torch.add, budget, scale=coarse)


def _lazily(posterior: Tensor, weights: Tensor, start: Tensor, budget: int, scale: float) -> Picks:
    """One sample after the other, looking only where a gain may be the best."""

    def gains(weight: Tensor, columns: Tensor, mass: Tensor) -> Tensor:
        return torch.log1p(columns / mass) @ weight

    found = [
        saturating_lazily(
            rows.T.contiguous(), own, partial(gains, weight), torch.add, budget, scale=scale
        )
        for rows, weight, own in zip(posterior, weights, start, strict=True)
    ]
    chosen, gained, spent = zip(*found, strict=True)
    values = torch.tensor(gained, dtype=posterior.dtype)
    return Picks(torch.tensor(chosen), values, max(spent), "1-1/e", spent=spent)


def log_mass_rows(
    visual: Tensor,
    text: Tensor,
    share: Tensor | None = None,
    *,
    text_temperature: float,
    visual_temperature: float,
    visual_weight: float,
    rarity: float = 0.0,
    zero_norm: str = "error",
) -> tuple[Tensor, Tensor]:
    """p(v | r) for every word and patch r, (b, n_t + n_v, n_v), and weights (b, n_t + n_v).

    Source: Eqs. (16), (17).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    share : (b, n_v) nonnegative, relative weights of patches in place of π^{−γ}
    text_temperature, visual_temperature, visual_weight, rarity : as in `log_mass`

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> options = {"text_temperature": 1.0, "visual_temperature": 1.0, "visual_weight": 0.5}
    >>> p, w = log_mass_rows(torch.ones(1, 2, 3), torch.ones(1, 1, 3), **options)
    >>> p[0], w[0]
    (tensor([[0.5000, 0.5000],
            [0.5000, 0.5000],
            [0.5000, 0.5000]]), tensor([0.5000, 0.2500, 0.2500]))
    """
    check_temperature(text_temperature, "text_temperature")
    check_temperature(visual_temperature, "visual_temperature")
    check_share("visual_weight", visual_weight)
    check_at_least_zero("rarity", rarity)
    words = cosine_similarity(text, visual, zero_norm=zero_norm) / text_temperature
    unit = unit_rows("visual", visual, zero_norm=zero_norm)
    own = product(unit, unit).div_(visual_temperature)
    if share is None:
        share = (-rarity * own.logsumexp(-1).log_softmax(-1)).softmax(-1)
    n_t = text.shape[1]
    patches = visual_weight * share / share.sum(-1, keepdim=True)
    each = share.new_full((len(share), n_t), (1 - visual_weight) / n_t)
    return torch.cat([words.softmax(-1), own.softmax(-1)], 1), torch.cat([each, patches], 1)
