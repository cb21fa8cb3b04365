"""Facility location and log-determinant against apricot, submodlib and pyversity.

Kernels are made inside the clock, by every entrant in its own way where it has one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mitheory import select

from .contest import Contest, Entrant, Inputs
from .tokens import visual_only, visual_text

SUITE = "set functions"
SIZES = ((576, 64), (2048, 114), (10_000, 500))
LOG_DET_SIZES = ((576, 64), (2048, 114), (10_000, 200))  # no more than the rank, d
TINY = {"n_v": 16, "k": 3}
RIDGE = 1e-6  # of submodlib's log-determinant, which refuses 0


def contests() -> list[Contest]:
    """Facility location on cosines, and the determinant of weighted cosines."""
    located = [
        Contest(
            SUITE,
            "facility location",
            {"n_v": n, "d": 256, "k": k, "dtype": "float64"},
            visual_only,
            (
                Entrant("mitheory", facility, "ours"),
                Entrant("apricot, lazy", apricot, needs="apricot", target=3.0),
                Entrant(
                    "apricot, compilation alone", compilation, needs="apricot", is_answer=False
                ),
                Entrant("submodlib, lazy, our kernel", submodlib, needs="submodlib", slow=n > 5000),
                Entrant(
                    "submodlib, lazy, its own kernel",
                    submodlib_alone,
                    needs="submodlib",
                    slow=n > 1000,
                    target=20.0 if n == SIZES[-1][0] else None,
                ),
            ),
            TINY,
            quick=n < 1000,
        )
        for n, k in SIZES
    ]
    determinant = [
        Contest(
            SUITE,
            "log-determinant",
            {"n_v": n, "n_t": 32, "d": 256, "k": k, "dtype": "float32"},
            visual_text,
            (
                Entrant("mitheory", log_det, "ours"),
                Entrant("pyversity, dpp", pyversity, needs="pyversity", target=1.0),
                Entrant("submodlib, lazy", submodlib_log_det, needs="submodlib", slow=n > 5000),
            ),
            TINY,
            quick=n < 1000,
        )
        for n, k in LOG_DET_SIZES
    ]
    return located + determinant


def unit(inputs: Inputs) -> np.ndarray:
    """Rows of V divided by their norms."""
    v = inputs["visual"].numpy()
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def kernel(inputs: Inputs) -> np.ndarray:
    """Cosine of every two tokens, no less than 0, as facility location asks for."""
    u = unit(inputs)
    return (u @ u.T).clip(0)


def facility(inputs: Inputs) -> Tensor:
    """Ours, end to end."""
    visual = inputs["visual"]
    return select("facility_location", visual=visual, budget=inputs["k"], kernel="clipped").indices


def apricot(inputs: Inputs) -> np.ndarray:
    """apricot's lazy greedy, which compiles at every fit."""
    return _apricot(kernel(inputs), inputs["k"])


def compilation(inputs: Inputs) -> np.ndarray:
    """The same of eight tokens: nothing but the compilation."""
    return _apricot(np.ones((8, 8)) + np.eye(8), 1)


def _apricot(similarity: np.ndarray, k: int) -> np.ndarray:
    from apricot import FacilityLocationSelection

    chooser = FacilityLocationSelection(k, metric="precomputed", optimizer="lazy")
    return chooser.fit(similarity.astype(np.float64)).ranking


def submodlib(inputs: Inputs) -> list[int]:
    """submodlib's lazy greedy on the same kernel."""
    from submodlib import FacilityLocationFunction

    n = len(inputs["visual"])
    function = FacilityLocationFunction(
        n=n, mode="dense", sijs=kernel(inputs), separate_rep=False, pybind_mode="array"
    )
    return _maximized(function, inputs["k"])


def submodlib_alone(inputs: Inputs) -> list[int]:
    """submodlib from V, with the kernel of cosines that it makes by itself."""
    from submodlib import FacilityLocationFunction

    v = inputs["visual"].numpy()
    function = FacilityLocationFunction(n=len(v), mode="dense", data=v, metric="cosine")
    return _maximized(function, inputs["k"])


def relevance(inputs: Inputs) -> np.ndarray:
    """Largest cosine of every token with a word."""
    t = inputs["text"].numpy()
    return (unit(inputs) @ (t / np.linalg.norm(t, axis=1, keepdims=True)).T).max(1)


def log_det(inputs: Inputs) -> Tensor:
    """Ours: Σ r_i + ½ log det C_SS, the determinant of e^r C e^r."""
    return select(
        "log_det", visual=inputs["visual"], text=inputs["text"], budget=inputs["k"], ridge=0.0
    ).indices


def pyversity(inputs: Inputs) -> np.ndarray:
    """pyversity's determinantal point process, of the weights exp(β z) = e^r but for a factor."""
    from pyversity import dpp

    scores = relevance(inputs).astype(np.float32)
    beta = float(scores.std())
    return dpp(inputs["visual"].numpy(), scores, inputs["k"], diversity=0.5, scale=2 * beta).indices


def submodlib_log_det(inputs: Inputs) -> list[int]:
    """submodlib's log-determinant of the same kernel."""
    from submodlib import LogDeterminantFunction

    u, r = unit(inputs), np.exp(relevance(inputs).astype(np.float64))
    similarity = r[:, None] * (u @ u.T) * r
    function = LogDeterminantFunction(n=len(u), mode="dense", sijs=similarity, lambdaVal=RIDGE)
    return _maximized(function, inputs["k"])


def _maximized(function: object, k: int) -> Sequence[int]:
    pairs = function.maximize(  # type: ignore[attr-defined]
        budget=k,
        optimizer="LazyGreedy",
        stopIfZeroGain=False,
        stopIfNegativeGain=False,
        show_progress=False,
    )
    return [i for i, _ in pairs]
