r"""Lower bounds on mutual information from a trained critic s(x, y), on rows it was not trained on.

.. math:: I \ge E\,\log \frac{e^{s(x_i, y_i)}}{\frac1N \sum_j e^{s(x_i, y_j)}}
    \quad\text{(InfoNCE)}, \qquad
    I \ge E_{p(x,y)}\, s - e^{-1} E_{p(x) p(y)}\, e^s \quad\text{(NWJ)}

In expectation: a sample's value may lie above the truth. On the rows trained on they bound nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ParameterError
from .inputs import Floats, Integers, check_count, check_rng, check_varies, tables
from .records import Estimate

if TYPE_CHECKING:
    from torch import Generator, Tensor

LEAST_ROWS = 16  # four to stop by and four to report on
RATE, DECAY, PATIENCE = 3e-3, 1e-3, 30  # of Adam; passes without a better one before it stops


def infonce_mi(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: np.random.Generator,
    hidden: int = 64,
    features: int = 16,
    batch: int = 256,
    epochs: int = 200,
) -> Estimate:
    """Train s = g(x)·h(y) and report the InfoNCE bound on I(X;Y) on held-out rows.

    Half of the rows are trained on; the pass that is best on a quarter is kept; the value is that
    on the last quarter, mean of the bounds that contrast y within x and x within y.

    Source: oord2018; poole2019.

    Parameters
    ----------
    x : (n, d_x) or (n,)
    y : (n, d_y) or (n,)
    rng : np.random.Generator
        Draws the split, the initial weights and the batches.
    hidden, features : int
        Widths of g and h, perceptrons of one hidden layer, and of what they give.
    batch : int
        Rows contrasted at a time in training.
    epochs : int
        Passes at most.

    Returns
    -------
    Estimate
        At most log N of the N rows it is reported on (`ceiling`), and 0 where no pass beat the
        untrained critic, which is constant: all contributions are then 0, which says nothing of
        their error. `rows` are those N. Diagnostics: `best_epoch` (0 for
        untrained), `train` and `stop`, the values on the rows trained on and stopped by.

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError
        If an array is not as said, or rng no generator.
    ParameterError
        If a column is constant, there are fewer than 16 rows, or a size is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal(1000)
    >>> y = x + 0.5 * rng.standard_normal(1000)
    >>> found = infonce_mi(x, y, rng=rng)  # the truth is log(5)/2 = 0.80
    >>> found.n, 0.6 < found.value < 1.0
    (250, True)
    """
    sizes = {"hidden": hidden, "features": features, "batch": batch, "epochs": epochs}
    return _estimate("infonce", x, y, rng, sizes)


def nwj_mi(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: np.random.Generator,
    hidden: int = 64,
    features: int = 16,
    batch: int = 256,
    epochs: int = 200,
) -> Estimate:
    """Train s = 1 + g(x)·h(y) and report the bound of Nguyen, Wainwright and Jordan on I(X;Y).

    Split, training and record as `infonce_mi`; no ceiling, but a variance that grows like the
    exponential of the information.

    Source: nguyen2010; poole2019.

    Parameters
    ----------
    x, y, rng, hidden, features, batch, epochs : as in `infonce_mi`

    Returns
    -------
    Estimate

    Raises
    ------
    DTypeError, ShapeError, EmptyInputError, NonFiniteError, ParameterError
        As `infonce_mi`.
    """
    sizes = {"hidden": hidden, "features": features, "batch": batch, "epochs": epochs}
    return _estimate("nwj", x, y, rng, sizes)


def _estimate(
    name: str, x: ArrayLike, y: ArrayLike, rng: np.random.Generator, sizes: Mapping[str, int]
) -> Estimate:
    sides = tables(x=x, y=y)
    check_varies(x=sides[0], y=sides[1])
    check_rng(rng)
    given = {key: check_count(key, value) for key, value in sizes.items()}
    n = len(sides[0])
    if n < LEAST_ROWS:
        raise ParameterError(f"a critic needs {LEAST_ROWS} rows at least; got {n}")
    order = rng.permutation(n)
    train, stop, report = (np.sort(part) for part in np.split(order, [n // 2, n // 2 + n // 4]))
    scaled = []
    for label, side in zip("xy", sides, strict=True):
        check_varies(**{f"{label}, rows to train on": side[train]})
        scaled.append((side - side[train].mean(0)) / side[train].std(0))
    scores, best, seen = _train(BOUNDS[name], scaled, train, stop, rng, **given)
    own = {key: _rows(name, scores(rows)) for key, rows in (("train", train), ("stop", stop))}
    rows = _rows(name, scores(report))
    return Estimate(
        value=float(rows.mean()),
        estimator=name,
        n=len(report),
        dims=(sides[0].shape[1], sides[1].shape[1]),
        pointwise=rows,
        rows=report,
        diagnostics={
            "ceiling": math.log(len(report)) if name == "infonce" else None,
            "best_epoch": best,
            "epochs_seen": seen,
            **{key: float(values.mean()) for key, values in own.items()},
            **given,
        },
    )


def _rows(name: str, scores: Tensor) -> Floats:
    return np.asarray(BOUNDS[name](scores.double()).numpy(), dtype=np.float64)


def _train(
    bound: Callable[[Tensor], Tensor],
    sides: list[Floats],
    train: Integers,
    stop: Integers,
    rng: np.random.Generator,
    *,
    hidden: int,
    features: int,
    batch: int,
    epochs: int,
) -> tuple[Callable[[Integers], Tensor], int, int]:
    """Scores of any rows against each other by the best critic, its epoch, and epochs seen."""
    import torch

    draw = torch.Generator("cpu").manual_seed(int(rng.integers(2**63)))
    # a caller's no_grad or inference_mode must not reach the training
    with torch.inference_mode(False), torch.enable_grad():
        data = [torch.as_tensor(side, dtype=torch.float32, device="cpu") for side in sides]
        weights = [_initial(side.shape[1], hidden, features, draw) for side in data]
        for outer in weights[1][2:]:
            outer.zero_()  # h = 0: the untrained critic is constant
        leaves = [w.requires_grad_() for side in weights for w in side]
        adam = torch.optim.AdamW(leaves, lr=RATE, weight_decay=DECAY)

        def scores(rows: Integers) -> Tensor:
            one, other = (_perceptron(s[rows], w) for s, w in zip(data, weights, strict=True))
            return one @ other.T

        best = (0, float(bound(scores(stop).detach()).mean()))
        kept = [w.detach().clone() for w in leaves]
        epoch = 0
        for epoch in range(1, epochs + 1):
            shuffled = rng.permutation(train)
            for rows in np.array_split(shuffled, math.ceil(len(train) / batch)):
                adam.zero_grad()
                (-bound(scores(rows)).mean()).backward()
                torch.nn.utils.clip_grad_norm_(leaves, 1.0)
                adam.step()
            value = float(bound(scores(stop).detach()).mean())
            if value > best[1]:
                best = (epoch, value)
                kept = [w.detach().clone() for w in leaves]
            elif epoch - best[0] >= PATIENCE:
                break
        with torch.no_grad():
            for leaf, weight in zip(leaves, kept, strict=True):
                leaf.copy_(weight)

    def final(rows: Integers) -> Tensor:
        with torch.no_grad():
            return scores(rows)

    return final, best[0], epoch


def _initial(d: int, hidden: int, features: int, draw: Generator) -> list[Tensor]:
    """Into the hidden layer, its shift, out of it, and straight from the data."""
    import torch

    def normal(rows: int, columns: int) -> Tensor:
        # no default of the caller's may decide device or type
        drawn = torch.randn(rows, columns, generator=draw, device="cpu", dtype=torch.float32)
        return drawn / math.sqrt(rows)

    return [normal(d, hidden), normal(1, hidden), normal(hidden, features), normal(d, features)]


def _perceptron(data: Tensor, weights: list[Tensor]) -> Tensor:
    inner, shift, outer, straight = weights
    hidden = data @ inner + shift
    return (hidden * hidden.sigmoid()) @ outer + data @ straight


def _infonce(scores: Tensor) -> Tensor:
    """Contribution of each row to both bounds' mean."""
    both = scores.logsumexp(1) + scores.logsumexp(0)
    return scores.diagonal() - both / 2 + math.log(len(scores))


def _nwj(scores: Tensor) -> Tensor:
    """With s = 1 + score: e^{-1} e^s is e^score."""
    n = len(scores)
    apart = scores.exp() * (1 - scores.new_ones(n).diag())
    return 1 + scores.diagonal() - (apart.sum(1) + apart.sum(0)) / (2 * (n - 1))


BOUNDS: Mapping[str, Callable[[Tensor], Tensor]] = {"infonce": _infonce, "nwj": _nwj}
