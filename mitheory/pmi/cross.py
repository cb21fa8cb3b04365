"""PMI of visual with text tokens, from embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..checks import check_mask, check_pair, check_temperature, lookup
from ..distributions import CONDITIONALS, hide, unit_rows
from ..errors import ParameterError
from ..priors import PriorContext, resolve_prior
from .pointwise import log_marginal, pmi


@dataclass(frozen=True)
class CrossPMI:
    """PMI of every visual with every text token, and the distributions it came from.

    pmi, log_cond : (..., n_v, n_t) nats, masked entries -inf. `log_cond` is p(t given v) under
    every conditional (for "softmax_over_vision" by Bayes with equally likely words), since it
    weighs the words in Eq. (21). log_prior : (..., n_v).
    """

    pmi: Tensor
    log_cond: Tensor
    log_prior: Tensor


def cross_pmi(
    visual: Tensor,
    text: Tensor,
    *,
    temperature: float,
    conditional: str = "softmax",
    prior: str | Tensor = "uniform",
    grid: tuple[int, ...] | None = None,
    log_degree: Tensor | None = None,
    visual_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
    zero_norm: str = "error",
) -> CrossPMI:
    """PMI(v_i; t_j) under a conditional and a prior.

    "softmax_over_vision" gives p(v_i given t_j) itself, so that its PMI is log p(v_i given t_j) -
    log p(v_i), with the prior as p(v_i); its `log_cond` then only weighs words, and `kl` of the two
    is no divergence.

    Source: Eqs. (15)-(18).

    Parameters
    ----------
    visual : (..., n_v, d)
    text : (..., n_t, d)
    temperature : float > 0
    conditional : a name of `CONDITIONALS`
        "joint" comes with its own prior and takes no other than "uniform" (which it ignores) or
        "energy" (which it is).
    prior : a name of `PRIORS`, or probabilities (..., n_v)
    grid : for the priors of position
    log_degree : (..., n_v), for the stationary prior; see `self_pmi`
    visual_mask, text_mask : (..., n_v), (..., n_t) bool, optional
    zero_norm : {"error", "uninformative"}

    Returns
    -------
    CrossPMI

    Raises
    ------
    ParameterError
        If "joint" is given a prior of its own, or the temperature is not positive.
    DTypeError, ShapeError, EmptyInputError, ZeroNormError
        If `visual` and `text` do not fit, or a mask hides a whole sample.
    UnknownNameError, MissingInputError, DistributionError
        If the conditional or the prior is unknown, lacks its input, or is no distribution.

    Examples
    --------
    >>> import torch
    >>> cross_pmi(torch.eye(2), torch.eye(2), temperature=1.0).pmi
    tensor([[ 0.3799, -0.6201],
            [-0.6201,  0.3799]])
    """
    check_pair(("visual", "text"), visual, text)
    check_mask("visual_mask", visual_mask, visual.shape[:-1])
    check_mask("text_mask", text_mask, text.shape[:-1])
    check_temperature(temperature)
    a = unit_rows("visual", visual, zero_norm=zero_norm, mask=visual_mask)
    b = unit_rows("text", text, zero_norm=zero_norm, mask=text_mask)
    return cross_pmi_of_logits(
        a @ (b / temperature).transpose(-1, -2),
        conditional=conditional,
        prior=prior,
        grid=grid,
        log_degree=log_degree,
        visual_mask=visual_mask,
        text_mask=text_mask,
    )


def cross_pmi_of_logits(
    rho: Tensor,
    *,
    conditional: str,
    prior: str | Tensor,
    grid: tuple[int, ...] | None,
    log_degree: Tensor | None,
    visual_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
) -> CrossPMI:
    """`cross_pmi` from cosines over temperature (..., n_v, n_t).

    Source: Eqs. (15)-(18).

    Raises
    ------
    UnknownNameError, ParameterError, MissingInputError, DistributionError
        As `cross_pmi`.

    Examples
    --------
    Rows (3/4, 1/4) and (1/2, 1/2) with equal tokens: the marginal is (5/8, 3/8).

    >>> import torch
    >>> cross_pmi_of_logits(
    ...     torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log(),
    ...     conditional="softmax", prior="uniform", grid=None, log_degree=None,
    ... ).pmi.exp()
    tensor([[1.2000, 0.6667],
            [0.8000, 1.3333]])
    """
    rule = lookup(conditional, CONDITIONALS, "conditional")
    if rule.own_prior and (isinstance(prior, Tensor) or prior not in ("uniform", "energy")):
        came = "a tensor" if isinstance(prior, Tensor) else repr(prior)
        raise ParameterError(f"prior: conditional 'joint' has its own, 'energy'; got {came}")
    context = PriorContext(
        n_v=rho.shape[-2],
        log_degree=log_degree,
        cross=rho,
        grid=grid,
        visual_mask=visual_mask,
        text_mask=text_mask,
        dtype=rho.dtype,
        device=rho.device,
    )
    log_prior = resolve_prior("energy" if rule.own_prior else prior, context)
    log_prior = log_prior.expand(rho.shape[:-1])
    log_cond = rule.log_prob(rho, row_mask=visual_mask, column_mask=text_mask)
    if rule.given == "text":
        ratio = log_cond - log_prior.unsqueeze(-1)  # log p(v given t) / p(v)
        log_cond = _reverse(log_cond, visual_mask, text_mask)
    else:
        ratio = pmi(log_cond, log_marginal(log_cond, log_prior))
    return CrossPMI(
        hide(ratio, visual_mask, text_mask), hide(log_cond, visual_mask, text_mask), log_prior
    )


def _reverse(log_cond: Tensor, visual_mask: Tensor | None, text_mask: Tensor | None) -> Tensor:
    """p(t given v) from p(v given t), by Bayes with equally likely words."""
    if visual_mask is not None:
        log_cond = log_cond.masked_fill(~visual_mask.unsqueeze(-1), 0.0)
    return hide(log_cond, None, text_mask).log_softmax(-1)
