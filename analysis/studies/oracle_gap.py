"""The oracle gap: how far every method is from greedy search by the answer itself.

The search is told the true answer and asks the model: at each step it adds, of a random quarter of
the tokens that are left, the one after which the truth has the largest log-probability. No method
can see the answer; what it shows is how much better kept sets of the same size exist. It is greedy
over a sample, so that the best set is at least as good, and the gap at least as wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed

from analysis.ablation import Configuration
from analysis.ablation.job import Job, job_of, loaded
from analysis.ablation.selecting import sample_seed
from analysis.progress import quiet_restarts
from mitheory.bundle import Sample
from mitheory.models.base import ModelAdapter
from mitheory.statistics import cluster_bootstrap_table, holm, paired_permutation

from .base import Context, Study
from .replacement import CEILING, PERMUTATIONS, QUESTIONS, QUICK_QUESTIONS, named
from .tuning import chosen, tuned

SEARCHED, QUICK_SEARCHED = 120, 8
BUDGET, QUICK_BUDGET = 16, 8
SHARE = 0.25  # of the tokens left that are tried at a step
BATCH = 8  # questions searched together
SEARCH = "search"


def run(context: Context) -> dict[str, pd.DataFrame]:
    """Log-probability, accuracy and kept set of every method against the search."""
    budget = QUICK_BUDGET if context.quick else BUDGET
    count = QUICK_SEARCHED if context.quick else SEARCHED
    limit = QUICK_QUESTIONS if context.quick else QUESTIONS
    cells = [c for c in chosen(tuned(context), context.model) if c.budget == budget]
    cells.append(Configuration(CEILING, budget))
    rows = named(context.answered(cells, "test", limit), cells)
    bundle = context.bundle("test", limit)
    job = job_of(bundle, bundle.parent, context.model, seed=context.seed, device=context.device)
    kept = pd.concat([pd.read_parquet(job.kept(c)).assign(cell=c.identity) for c in cells])
    rows = rows.merge(kept[["cell", "sample_id", "kept"]], on=["cell", "sample_id"])
    names = spread(list(dict.fromkeys(rows.sample_id)), count)
    parts = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
    with quiet_restarts():
        found = Parallel(n_jobs=context.jobs)(
            delayed(_searched)(job, part, budget) for part in parts
        )
    searched = pd.concat(found, ignore_index=True)
    return {"oracle_gap": gaps(rows[rows.sample_id.isin(names)], searched)}


def spread(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of the names by a fixed draw, in their order: many scenes, all kinds.

    Examples
    --------
    >>> spread(["a", "b"], 3)
    ['a', 'b']
    """
    drawn = np.random.default_rng(0).permutation(len(names))[:count]
    return [names[i] for i in sorted(drawn)]


def _searched(job: Job, names: Sequence[str], budget: int) -> pd.DataFrame:
    torch.set_num_threads(1)
    adapter, samples = loaded(job)
    return search(adapter, [samples[name] for name in names], budget, seed=job.seed)


def search(
    adapter: ModelAdapter,
    samples: Sequence[Sample],
    budget: int,
    *,
    seed: int,
    share: float = SHARE,
) -> pd.DataFrame:
    """Greedy by the log-probability of the truth, over a random share of what is left.

    Source: mirzasoleiman2015.

    Parameters
    ----------
    adapter : ModelAdapter
    samples : with a known answer
    budget : tokens kept
    seed : of the random shares, each sample with its own
    share : in (0, 1], of the tokens left, rounded up; 1 is greedy search

    Returns
    -------
    DataFrame
        sample_id, kept (in order of choice), log_prob, correct.
    """
    draws = [np.random.default_rng(sample_seed(s.sample_id, seed, 0)) for s in samples]
    kept: list[list[int]] = [[] for _ in samples]
    for _ in range(budget):
        tried: list[tuple[int, int]] = []
        for i, (sample, rng) in enumerate(zip(samples, draws, strict=True)):
            left = np.setdiff1d(np.arange(sample.n_v), kept[i])
            some = rng.choice(left, size=math.ceil(share * len(left)), replace=False)
            tried += [(i, int(j)) for j in sorted(some)]
        answers = adapter.answer(
            [samples[i] for i, _ in tried], [torch.tensor([*kept[i], j]) for i, j in tried]
        )
        best: dict[int, tuple[float, int]] = {}
        for (i, j), answer in zip(tried, answers, strict=True):
            if i not in best or answer.log_prob_truth > best[i][0]:
                best[i] = (answer.log_prob_truth, j)
        for i, (_, j) in best.items():
            kept[i].append(j)
    last = adapter.answer(samples, [torch.tensor(k) for k in kept])
    return pd.DataFrame(
        {
            "sample_id": [s.sample_id for s in samples],
            "kept": kept,
            "log_prob": [a.log_prob_truth for a in last],
            "correct": [a.text == s.answer for a, s in zip(last, samples, strict=True)],
        }
    )


def gaps(rows: pd.DataFrame, searched: pd.DataFrame) -> pd.DataFrame:
    """Every method against the search, on the same questions; intervals over scenes.

    Parameters
    ----------
    rows : method, sample_id, image_id, log_prob, correct, kept
    searched : of `search`

    Returns
    -------
    DataFrame
        method, log_prob and accuracy (its means), log_prob_gap (search less method, nats) and
        accuracy_gap, overlap (share of its kept tokens that the search keeps too), each with
        *_low* and *_high*; p_value of the gap in log-probability (scenes exchanged) and p_holm over
        the methods; n, n_clusters. First the search itself, as method "search".
    """
    best = searched.set_index("sample_id")
    images = rows.drop_duplicates("sample_id").set_index("sample_id").image_id
    scenes = images.loc[best.index].to_numpy(str)
    found = []
    for method, part in [(SEARCH, None), *rows.groupby("method", sort=False)]:
        own = best if part is None else part.set_index("sample_id").loc[best.index]
        pairs = zip(own.kept, best.kept, strict=True)
        values = {
            "log_prob": own.log_prob.to_numpy(float),
            "accuracy": own.correct.to_numpy(float),
            "log_prob_gap": (best.log_prob - own.log_prob).to_numpy(float),
            "accuracy_gap": best.correct.to_numpy(float) - own.correct.to_numpy(float),
            "overlap": np.array([len({*a} & {*b}) / len({*a}) for a, b in pairs]),
        }
        intervals = cluster_bootstrap_table(
            np.stack(list(values.values()), 1), scenes, rng=np.random.default_rng(0)
        )
        row: dict[str, object] = {"method": method, "n": len(own)}
        for name, interval in zip(values, intervals, strict=True):
            row |= {
                name: interval.estimate,
                f"{name}_low": interval.low,
                f"{name}_high": interval.high,
                "n_clusters": interval.n_clusters,
            }
        if part is not None:
            row["p_value"] = paired_permutation(
                best.log_prob.to_numpy(float), own.log_prob.to_numpy(float), scenes,
                n_permutations=PERMUTATIONS, rng=np.random.default_rng(0),
            ).p_value  # fmt: skip
        found.append(row)
    table = pd.DataFrame(found)
    tested = table.method != SEARCH
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy(float))
    return table


STUDY = Study(
    "oracle_gap",
    "How far is each method from greedy search by the answer itself?",
    ("oracle_gap",),
    run,
)
