"""Attention sinks against mutual information: does what a score piles up on follow the question?

Attention of the encoder is the same whatever is asked. Where it piles up on few patches, it does so
for every question about an image. The share of the mutual information that a patch carries sums to
one like attention, and may move from question to question. Both are measured on pairs of questions
about one image that are about different things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from analysis.reproduction import first_of_each_kind
from mitheory.aggregation import resolve_aggregation
from mitheory.bundle import Bundle, Sample
from mitheory.pmi import cross_pmi
from mitheory.selection.attention import column_sums

from .base import Context, Study
from .measuring import LIMIT, QUICK_LIMIT, beyond_chance, masks, overlap

TOP = 0.05  # of the patches
TEMPERATURE = 0.1


def cls_share(sample: Sample) -> Tensor:
    """Attention (n_v,) that the [CLS] token pays to every patch, of what it pays to patches.

    Source: Eq. (5), left.
    """
    assert sample.cls_attention is not None
    paid = sample.cls_attention.double().mean(0)
    return paid / paid.sum()


def patch_share(sample: Sample) -> Tensor:
    """Attention (n_v,) that every patch receives from the others, of all that they pay.

    Source: Eq. (5), right.
    """
    assert sample.patch_attention is not None
    received = column_sums(sample.patch_attention.double()[None])[0]
    return received / received.sum()


def information_share(sample: Sample) -> Tensor:
    """Share (n_v,) of I(V; X) that every patch carries under the uniform prior.

    .. math:: \\mathrm{KL}(p(x | v_i) || p(x)) / \\sum_j \\mathrm{KL}(p(x | v_j) || p(x))

    Source: Eq. (21), whose mean over patches is I(V; X).
    """
    cross = cross_pmi(sample.visual.double(), sample.text.double(), temperature=TEMPERATURE)
    carried = resolve_aggregation("kl")(cross.pmi, cross.log_cond).clamp(min=0)  # rounding
    return carried / carried.sum()


def largest_share(sample: Sample) -> Tensor:
    """Like `information_share`, of the largest PMI over the words, which MI-Pruner ranks by.

    Negative ones carry nothing.

    Source: Eq. (19).
    """
    cross = cross_pmi(sample.visual.double(), sample.text.double(), temperature=TEMPERATURE)
    largest = resolve_aggregation("max")(cross.pmi, cross.log_cond).clamp(min=0)
    return largest / largest.sum()


SHARES: Mapping[str, Callable[[Sample], Tensor]] = {
    "cls_attention": cls_share,
    "attention": patch_share,
    "information": information_share,
    "max_pmi": largest_share,
}


def run(context: Context) -> dict[str, pd.DataFrame]:
    """Tables ``sinks``, a row per image and score, and ``sinks_drawn``, per question and score."""
    torch.set_num_threads(1)
    limit = QUICK_LIMIT if context.quick else LIMIT
    samples = list(Bundle.open(context.bundle("test", limit)))
    measured = [row for pair in paired(samples) for row in compared(*pair)]
    return {"sinks": pd.DataFrame(measured), "sinks_drawn": drawn(samples)}


def paired(samples: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """For every image its first question about something, and the first about other things.

    Images all of whose questions are about the same patches are left out.
    """
    first: dict[str, Sample] = {}
    found: dict[str, tuple[Sample, Sample]] = {}
    for sample in samples:
        if sample.relevant is None or not sample.relevant.any():
            continue
        other = first.setdefault(sample.image_id, sample)
        if sample.image_id not in found and differ(other, sample):
            found[sample.image_id] = (other, sample)
    return list(found.values())


def differ(one: Sample, other: Sample) -> bool:
    """Whether each of two questions about one image is about a patch that the other is not."""
    if one.relevant is None or other.relevant is None:
        return False
    own, foreign = one.relevant & ~other.relevant, other.relevant & ~one.relevant
    return bool(own.any()) and bool(foreign.any())


def compared(one: Sample, other: Sample) -> list[dict[str, object]]:
    """Per score: how it piles up, what of the pile stays, and whether it follows the question.

    ``top_share`` is the share on the top 5% of the patches, mean of both questions; ``overlap`` the
    Jaccard overlap of these patches between the two, beyond chance; ``own`` the mean share of
    patches that only the own question is about, ``foreign`` that of those that only the other one
    is about, in multiples of 1 / n_v and the mean of both: equal for what sees no question.
    """
    n = one.n_v
    k = max(1, round(TOP * n))
    rows: list[dict[str, object]] = []
    for name, share_of in SHARES.items():
        shares = [share_of(one), share_of(other)]
        tops = [masks([share.topk(k).indices.tolist()], n) for share in shares]
        there = [density(shares[0], one, other), density(shares[1], other, one)]
        piled = [float(share.topk(k).values.sum()) for share in shares]
        rows.append(
            {
                "sample_id": one.sample_id,
                "other_id": other.sample_id,
                "image_id": one.image_id,
                "score": name,
                "top": k,
                "n": n,
                "top_share": sum(piled) / 2,
                "overlap": float(beyond_chance(overlap(*tops), n, k)[0]),
                "own": (there[0][0] + there[1][0]) / 2,
                "foreign": (there[0][1] + there[1][1]) / 2,
            }
        )
    return rows


def density(share: Tensor, one: Sample, other: Sample) -> tuple[float, float]:
    """Mean share of the patches that only `one` is about, and only `other`, times n_v."""
    assert one.relevant is not None
    assert other.relevant is not None
    own, foreign = one.relevant & ~other.relevant, other.relevant & ~one.relevant
    return float(share[own].mean()) * len(share), float(share[foreign].mean()) * len(share)


def common(one: Sample, other: Sample) -> float:
    """Jaccard overlap of what two questions are about; 1 if one of them is about no patch."""
    if one.relevant is None or other.relevant is None:
        return 1.0
    if not one.relevant.any() or not other.relevant.any():
        return 1.0
    return float((one.relevant & other.relevant).sum() / (one.relevant | other.relevant).sum())


def drawn(samples: Sequence[Sample]) -> pd.DataFrame:
    """Shares of every patch for the questions that are drawn: nothing is picked by hand.

    The first question of each type, each about another scene, and of the others about that scene
    the one that is about the fewest of the same patches; a scene where all are about the same is
    left out. Columns: sample_id (of the first), image_id,
    question_type, turn (0 or 1: which of the two), question, answer, score, shares (n_v,),
    relevant (n_v,).
    """
    table = pd.DataFrame(
        [(s.sample_id, s.image_id, s.question_type) for s in samples],
        columns=["sample_id", "image_id", "question_type"],
    )
    by_id = {s.sample_id: s for s in samples}
    rows: list[dict[str, object]] = []
    for name in first_of_each_kind(table):
        one = by_id[name]
        about = [s for s in samples if s.image_id == one.image_id]
        other = min(about, key=lambda s: common(one, s))
        for turn, sample in enumerate((one, other) if common(one, other) < 1 else ()):
            for score, share_of in SHARES.items():
                rows.append(
                    {
                        "sample_id": name,
                        "image_id": one.image_id,
                        "question_type": one.question_type,
                        "turn": turn,
                        "question": sample.question,
                        "answer": sample.answer,
                        "score": score,
                        "shares": share_of(sample).tolist(),
                        "relevant": sample.relevant.tolist(),  # type: ignore[union-attr]  # common < 1
                    }
                )
    return pd.DataFrame(rows)


STUDY = Study(
    "sinks", "Do attention and information follow the question?", ("sinks", "sinks_drawn"), run
)
