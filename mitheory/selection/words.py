r"""Pruning the prompt: the same pointwise mutual information, transposed.

PMI is symmetric in what it is of, but the probabilities that it is made of are not: here words are
given and patches are what is told of, :math:`p(v_i \mid t_j)`, a softmax over vision. A word that
says of no patch more than any other word does is the first to go.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_budget
from ..errors import BudgetError, DTypeError, ParameterError, ShapeError
from .mi import mi_greedy, mi_problem
from .record import Selection


def select_words(
    visual: Tensor,
    text: Tensor,
    *,
    budget: int | float,
    protected: Tensor | None = None,
    temperature: float = 0.1,
    self_temperature: float | None = None,
    relevance_weight: float = 1.0,
    aggregation: str = "max",
    redundancy_aggregation: str = "max",
    conditional: str = "softmax",
    prior: str | Tensor = "uniform",
    zero_norm: str = "error",
) -> Selection:
    r"""Words of one prompt to keep: those that tell most of the image, beside protected ones.

    .. math:: \mathrm{PMI}(t_j; v_i) = \log p(v_i \mid t_j) - \log \sum_l p(t_l)\, p(v_i \mid t_l)

    aggregated over the patches, and below :math:`\lambda = 1` less the redundancy with words
    already kept: Algorithm 1 with the roles of V and T exchanged. With one word that may be
    dropped, or a prompt of one word, nothing distinguishes them and the lowest index stays.

    Source: Algorithm 1, transposed; Eqs. (15)-(24).

    Parameters
    ----------
    visual, text : (n_v, d), (n_t, d)
    budget : words to keep, protected ones included; a ratio is one of n_t
    protected : (n_t,) bool, words that must stay, such as the one behind which a model answers;
        none without. They count as selected from the start
    temperature, self_temperature : τ between words and patches, and between words
    relevance_weight : λ
    aggregation : over patches, a name of `AGGREGATIONS` or "renyi:α"
    redundancy_aggregation, conditional : as in `mi_pruner`
    prior : p(t_j), a name of `PRIORS` that needs no grid, or probabilities (n_t,)
    zero_norm : as in `select`

    Returns
    -------
    Selection
        Of words: protected ones first, with gains of NaN; `n_v` is the number of words there were.

    Raises
    ------
    BudgetError
        If fewer words are to be kept than are protected.
    ShapeError, DTypeError
        If `protected` is not (n_t,) bool, or V and T do not fit.
    MitheoryError
        As `mi_pruner`.

    Examples
    --------
    The third word is like no patch in particular.

    >>> v = torch.tensor([[1.0, 0.0, 0.1], [0.0, 1.0, 0.1]])
    >>> t = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.7, 0.7, 0.1]])
    >>> select_words(v, t, budget=2).indices
    tensor([0, 1])
    """
    if isinstance(prior, str) and prior in ("center_biased", "rule_of_thirds", "golden_ratio"):
        raise ParameterError(f"prior: {prior!r} is of places in an image, which words have not")
    if visual.ndim != 2 or text.ndim != 2 or visual.shape[1] != text.shape[1]:
        raise ShapeError(
            f"visual, text: expected (n_v, d) and (n_t, d), got {tuple(visual.shape)} and "
            f"{tuple(text.shape)}"
        )
    n_t = len(text)
    k = check_budget(budget, n_t)
    first = _protected(protected, n_t)
    if k < len(first):
        raise BudgetError(f"budget: expected at least the {len(first)} protected words, got {k}")
    problem = mi_problem(
        text[None],
        visual[None],
        temperature=temperature,
        self_temperature=self_temperature,
        relevance_weight=relevance_weight,
        aggregation=aggregation,
        redundancy_aggregation=redundancy_aggregation,
        conditional=conditional,
        self_conditional=None,
        prior=prior[None] if isinstance(prior, Tensor) else prior,
        self_loop=True,
        self_marginal="uniform",
        empty_redundancy=0.0,
        grid=None,
        zero_norm=zero_norm,
    )
    if k == len(first):
        indices, gains, spent = first, text.new_full((k,), torch.nan), 0
    else:
        picks = mi_greedy(problem, k, first[None] if len(first) else None)
        indices, gains, spent = picks.indices[0], picks.gains[0], picks.evaluations
    return Selection(
        indices=indices,
        gains=gains,
        method="select_words",
        budget=k,
        n_v=n_t,
        evaluations=spent,
        params={
            "temperature": temperature,
            "self_temperature": self_temperature,
            "relevance_weight": relevance_weight,
            "aggregation": aggregation,
            "redundancy_aggregation": redundancy_aggregation,
            "conditional": conditional,
            "prior": "explicit" if isinstance(prior, Tensor) else prior,
        },
    )


def _protected(protected: Tensor | None, n_t: int) -> Tensor:
    """Places of the words that must stay, ascending."""
    if protected is None:
        return torch.empty(0, dtype=torch.int64)
    if protected.dtype != torch.bool:
        raise DTypeError(f"protected: expected a boolean tensor, got {protected.dtype}")
    if protected.shape != (n_t,):
        raise ShapeError(f"protected: expected ({n_t},), got {tuple(protected.shape)}")
    return protected.nonzero()[:, 0]
