"""The greedy loop as Triton kernels; imported on use, so that Triton stays optional.

Both kernels do the same arithmetic, in the order of the PyTorch loop. `resident` makes all picks of
a sample in one program, which holds the scores in registers and reads one row of the cosine matrix
a pick: one launch for a whole batch. `streamed` makes one pick of every sample per launch, by many
programs a sample, and computes the row from the unit vectors on the way: for samples whose matrix
is too large to keep.

CHARGE (what selecting j costs i), TOTAL (whether costs add up or the largest counts) and the blocks
are compile-time constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError:  # then nothing below is ever called: see `available`
    triton = tl = None


def _jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`triton.jit`, or the plain function where there is no Triton."""
    return (lambda function: function) if triton is None else triton.jit(**options)


@_jit()
def penalty(
    cosine,
    shift,
    log_scale,
    log_marginal,
    temperature,
    weight,
    rounding,
    CHARGE: tl.constexpr,
):
    """What selecting j costs i, from their cosine.

    Source: Eqs. (16), (18), (20), (21); alvar2025divprune.

    Parameters
    ----------
    cosine, shift, log_scale : of every i: cos_ij, and the numbers of row i as in `SelfPMI`
    log_marginal : log p(v_j)
    temperature, weight : τ, 1 − λ
    rounding : a cosine above `shift` by no more is equal to it
    CHARGE : "distance" is cos − 1; "softmax" and "minmax" are (1 − λ) PMI(v_i; v_j), and with
        "_weighted" behind it (1 − λ) p(v_j given v_i) PMI(v_i; v_j), where 0 · −∞ is 0
    """
    if CHARGE == "distance":
        cost = cosine - 1.0
    else:
        if CHARGE == "softmax" or CHARGE == "softmax_weighted":
            log_cond = cosine / temperature - log_scale
        else:
            above = cosine - shift
            positive = above > rounding
            log_cond = tl.log(tl.where(positive, above, 1.0)) - log_scale
            log_cond = tl.where(positive, log_cond, float("-inf"))
        pmi = tl.where(log_cond == float("-inf"), float("-inf"), log_cond - log_marginal)
        if CHARGE == "softmax_weighted" or CHARGE == "minmax_weighted":
            conditional = tl.exp(pmi + log_marginal)
            likely = conditional > 0
            cost = weight * tl.where(likely, conditional * tl.where(likely, pmi, 0.0), 0.0)
        else:
            cost = weight * pmi
    return cost


@_jit()
def resident(
    cosine_ptr,
    start_ptr,
    benefit_ptr,
    shift_ptr,
    log_scale_ptr,
    log_marginal_ptr,
    chosen_ptr,
    gains_ptr,
    n,
    k,
    done,
    slack,
    temperature,
    weight,
    rounding,
    CHARGE: tl.constexpr,
    TOTAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """All k picks of sample `program_id(0)`.

    Source: Eqs. (20)-(24); Algorithm 1, lines 11-19.

    Parameters
    ----------
    cosine : (b, n, n), symmetric, so that row j is column j
    start : (b, n), the scores before anything is chosen
    benefit : (b, n); from then on the score is benefit less the joined penalties
    shift, log_scale, log_marginal : (b, n), see `penalty`
    chosen : (b, k) int64, whose first `done` are given and whose rest is written
    gains : (b, n), where the score of a pick is written: all others are left as they are
    slack : scores closer to the best are ties, and the lowest index of them is chosen
    """
    sample = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    real = i < n
    at = sample * n + i
    benefit = tl.load(benefit_ptr + at, mask=real, other=0.0)
    log_scale = tl.load(log_scale_ptr + at, mask=real, other=0.0)
    shift = log_scale  # not looked at by the other charges
    if CHARGE == "minmax" or CHARGE == "minmax_weighted":
        shift = tl.load(shift_ptr + at, mask=real, other=0.0)
    score = tl.load(start_ptr + at, mask=real, other=0.0)
    open_ = real
    if TOTAL:
        running = tl.zeros_like(benefit)
    else:
        running = tl.full([BLOCK], float("-inf"), benefit.dtype)
    for t in range(k):
        if t < done:
            j = tl.load(chosen_ptr + sample * k + t).to(tl.int32)
        else:
            best = tl.max(tl.where(open_, score, float("-inf")), 0)
            tied = (score >= best - slack) & open_
            j = tl.min(tl.where(tied, i, n), 0)
            tl.store(chosen_ptr + sample * k + t, j.to(tl.int64))
            tl.store(gains_ptr + at, score, mask=i == j)
        open_ = open_ & (i != j)
        chosen = sample * n + tl.minimum(j, n - 1)  # n, where all scores are NaN, is refused later
        cosine = tl.load(cosine_ptr + chosen * n + i, mask=real, other=0.0)
        log_marginal = tl.load(log_marginal_ptr + chosen)
        cost = penalty(
            cosine, shift, log_scale, log_marginal, temperature, weight, rounding, CHARGE
        )
        running = running + cost if TOTAL else tl.maximum(running, cost)
        score = tl.where(benefit == float("-inf"), float("-inf"), benefit - running)


@_jit(do_not_specialize=["t"])
def streamed(
    unit_ptr,
    benefit_ptr,
    shift_ptr,
    log_scale_ptr,
    log_marginal_ptr,
    running_ptr,
    scores_ptr,
    best_ptr,
    chosen_ptr,
    gains_ptr,
    n,
    d,
    k,
    done,
    t,
    slack,
    temperature,
    weight,
    rounding,
    CHARGE: tl.constexpr,
    TOTAL: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """Pick t of sample `program_id(1)`, and the next scores of block `program_id(0)` of its tokens.

    Every program finds the pick by itself, from what the launch before wrote: the best score of
    each block, then the lowest block with a tie, then the lowest token in it. Scores and best
    scores are kept twice, so that no program overwrites what another still reads.

    Source: Eqs. (20)-(24); Algorithm 1, lines 11-19.

    Parameters
    ----------
    unit : (b, n, d)
    running : (b, n), the joined penalties
    scores : (2, b, n), NaN where closed
    best : (2, b, blocks), NaN where a whole block is closed
    others : as of `resident`; BLOCKS is at least the number of blocks
    """
    block = tl.program_id(0)
    sample = tl.program_id(1).to(tl.int64)
    blocks = tl.num_programs(0)
    batch = tl.num_programs(1)
    now, next_ = t % 2, (t + 1) % 2
    if t < done:
        j = tl.load(chosen_ptr + sample * k + t).to(tl.int32)
    else:
        c = tl.arange(0, BLOCKS)
        bests = tl.load(
            best_ptr + (now * batch + sample) * blocks + c, mask=c < blocks, other=float("nan")
        )
        top = tl.max(tl.where(bests == bests, bests, float("-inf")), 0)
        lowest = tl.min(tl.where(bests >= top - slack, c, blocks), 0)
        i = lowest * BLOCK + tl.arange(0, BLOCK)
        score = tl.load(scores_ptr + (now * batch + sample) * n + i, mask=i < n, other=float("nan"))
        j = tl.min(tl.where(score >= top - slack, i, n), 0)
        if block == 0:
            tl.store(chosen_ptr + sample * k + t, j.to(tl.int64))
            tl.store(gains_ptr + sample * n + i, score, mask=i == j)
    i = block * BLOCK + tl.arange(0, BLOCK)
    real = i < n
    chosen = sample * n + tl.minimum(j, n - 1)  # n, where all scores are NaN, is refused later
    cosine = tl.zeros([BLOCK], tl.float32)
    for start in range(0, d, BLOCK_D):
        x = start + tl.arange(0, BLOCK_D)
        row = tl.load(unit_ptr + chosen * d + x, mask=x < d, other=0.0)
        rows = tl.load(
            unit_ptr + (sample * n + i[:, None]) * d + x[None, :],
            mask=real[:, None] & (x[None, :] < d),
            other=0.0,
        )
        cosine += tl.sum(rows * row[None, :], 1)
    at = sample * n + i
    benefit = tl.load(benefit_ptr + at, mask=real, other=0.0)
    log_scale = tl.load(log_scale_ptr + at, mask=real, other=0.0)
    shift = tl.load(shift_ptr + at, mask=real, other=0.0)
    log_marginal = tl.load(log_marginal_ptr + chosen)
    cost = penalty(cosine, shift, log_scale, log_marginal, temperature, weight, rounding, CHARGE)
    running = tl.load(running_ptr + at, mask=real, other=0.0)
    running = running + cost if TOTAL else tl.maximum(running, cost)
    score = tl.where(benefit == float("-inf"), float("-inf"), benefit - running)
    before = tl.load(scores_ptr + (now * batch + sample) * n + i, mask=real, other=float("nan"))
    open_ = (before == before) & (i != j)
    tl.store(running_ptr + at, running, mask=real)
    tl.store(
        scores_ptr + (next_ * batch + sample) * n + i,
        tl.where(open_, score, float("nan")),
        mask=real,
    )
    top = tl.max(tl.where(open_, score, float("-inf")), 0)
    some = tl.max(open_.to(tl.int32), 0) > 0
    tl.store(
        best_ptr + (next_ * batch + sample) * blocks + block, tl.where(some, top, float("nan"))
    )
