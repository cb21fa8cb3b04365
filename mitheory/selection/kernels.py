"""From cosines to nonnegative weights, and from words to one relevance: by explicit choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..checks import check_temperature, lookup
from ..distributions import NO_NORMS, cosine_similarity, softmax_over_vision, unit_cosines
from ..errors import ParameterError
from .similarity import WORD_AGGREGATIONS

DEFAULT_TEMPERATURE = 0.1


def _shifted(cosine: Tensor, temperature: float) -> Tensor:
    return cosine.add_(1).mul_(0.5)


def _exponential(cosine: Tensor, temperature: float) -> Tensor:
    return cosine.sub_(1).div_(temperature).exp_()


def _clipped(cosine: Tensor, temperature: float) -> Tensor:
    return cosine


KERNELS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "shifted": _shifted,
    "exponential": _exponential,
    "clipped": _clipped,
}
"""From cosine and temperature to similarity, in place, before negative entries are cut to 0."""

POSITIVE_DEFINITE = ("shifted", "exponential")
"""Those that turn a Gram matrix into a positive semidefinite matrix."""


def nonnegative(cosine: Tensor, kernel: str, temperature: float) -> Tensor:
    """Similarity in [0, 1] made of cosines, as set functions ask for.

    - ``"shifted"``: (1 + cos) / 2, which keeps the order of all cosines;
    - ``"exponential"``: exp((cos − 1) / τ), the unnormalized weight of the softmax of Eq. (16),
      and a Gaussian kernel of the unit vectors;
    - ``"clipped"``: max(cos, 0), by which vectors beyond a right angle count as unrelated.

    Rounding may leave a cosine just outside [−1, 1]: entries below 0 are 0.

    Source: Eq. (16).

    Parameters
    ----------
    cosine : any shape
    kernel : a name of `KERNELS`
    temperature : τ > 0, of "exponential" alone

    Raises
    ------
    UnknownNameError
        If the kernel is none of them.
    ParameterError
        If the temperature is not positive.

    Examples
    --------
    >>> nonnegative(torch.tensor([-1.0, 0.0, 1.0]), "shifted", 0.1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_temperature(temperature)
    return nonnegative_(cosine.clone(), kernel, temperature)


def nonnegative_(cosine: Tensor, kernel: str, temperature: float) -> Tensor:
    """`nonnegative` in place of the cosines.

    Source: Eq. (16).
    """
    return lookup(kernel, KERNELS, "kernel")(cosine, temperature).clamp_(min=0)


def coarseness(kernel: str, temperature: float) -> float:
    """How many times the rounding of a cosine that of the similarity is, relative to its size.

    Source: Eq. (16).

    Examples
    --------
    >>> coarseness("shifted", 0.1), coarseness("exponential", 0.1)
    (1.0, 10.0)
    """
    return max(1.0, 1 / temperature) if kernel == "exponential" else 1.0


def word_weights(
    visual: Tensor, text: Tensor, kernel: str, temperature: float, zero_norm: str
) -> Tensor:
    """Nonnegative similarity (b, n_t, n_v) of every word with every token.

    Source: Eq. (15).

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    kernel, temperature : as in `nonnegative`
    zero_norm : as in `select`
    """
    return nonnegative(cosine_similarity(text, visual, zero_norm=zero_norm), kernel, temperature)


def word_relevance(
    visual: Tensor,
    text: Tensor,
    *,
    relevance: str,
    word_aggregation: str,
    temperature: float,
    zero_norm: str,
    norms: Mapping[str, Tensor] = NO_NORMS,
) -> Tensor:
    """One number (b, n_v) for every token from conditionals in which words do not compete.

    - ``"cosine"``: the cosine with each word;
    - ``"posterior"``: log p(v_i | t_j) + log n_v, the softmax over tokens, nats.

    Source: Eq. (15); dong2026mmtok.

    Parameters
    ----------
    visual, text : (b, n_v, d), (b, n_t, d)
    relevance : "cosine" or "posterior"
    word_aggregation : "max" or "mean" over words
    temperature : τ > 0, of "posterior"
    zero_norm : as in `select`

    Raises
    ------
    UnknownNameError, ParameterError
    """
    check_temperature(temperature)
    aggregate = lookup(word_aggregation, WORD_AGGREGATIONS, "word aggregation")
    cosine = unit_cosines(visual, text, zero_norm=zero_norm, norms=norms)  # (b, n_v, n_t)
    return aggregate(lookup(relevance, RELEVANCES, "relevance")(cosine, temperature))


def _cosine(cosine: Tensor, temperature: float) -> Tensor:
    return cosine


def _posterior(cosine: Tensor, temperature: float) -> Tensor:
    size = torch.tensor(float(cosine.shape[-2])).to(cosine)
    return softmax_over_vision(cosine / temperature) + size.log()


RELEVANCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "cosine": _cosine,
    "posterior": _posterior,
}
"""From cosine (b, n_v, n_t) and temperature to relevance for each word, by name."""


def check_at_least_zero(name: str, value: float) -> None:
    """A finite number that is not negative.

    Raises
    ------
    ParameterError
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < float("inf"):
        raise ParameterError(f"{name}: expected a number of at least 0, got {value!r}")
