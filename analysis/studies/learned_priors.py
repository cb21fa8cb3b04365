"""Does a prior p(v) help: uniform, those the library knows, and those learned on validation?

A prior enters MI-Pruner in two ways. As Algorithm 1 has it, it enters marginals alone: p(t) by
Eq. (17), which shifts the PMI of all patches with a word alike, and p(v_j) of a token that is
selected already. Eq. (21) read literally has p(v, x): then it also multiplies the relevance of its
own token. Both are measured, the second at λ = 1.

Learned priors are fitted on scenes of the validation split, hyper-parameters included, and never
see a question when they are used. Controls: the same fits on shuffled labels, and an oracle that is
told the patches that the question is about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from analysis.ablation import Configuration
from analysis.ablation.configuration import PAPER_WEIGHT, digest
from analysis.ablation.reporting import SMALLEST
from analysis.ablation.statistics import LEVEL, RESAMPLES, compared, judged
from analysis.auditing.plan import code_digest
from analysis.auditing.spread import steps
from analysis.priors import KINDS, fit, labeled, load, save, shuffled
from analysis.priors.applying import LEARNED, ORACLE
from analysis.priors.scoring import probabilities, scores
from analysis.settings import BUDGETS
from mitheory.bundle import Bundle, Sample
from mitheory.errors import ParameterError
from mitheory.models.fruitfly import FruitFlyAdapter
from mitheory.priors import PRIORS
from mitheory.statistics import cluster_bootstrap_table, holm

from .base import Context, Study

UNIFORM = "uniform"
QUICK_BUDGETS = (16,)
QUESTIONS, QUICK_QUESTIONS = 480, 48
FITTED, QUICK_FITTED = 600, 80  # questions of the validation split
QUICK_KINDS = ("histogram", "logistic")

USES: dict[str, dict[str, object]] = {
    "marginal": {"relevance_weight": PAPER_WEIGHT},
    "joint": {"relevance_weight": 1.0, "aggregation": "joint"},
}
"""Where the prior enters: the marginals of Algorithm 1, or p(v, x) of Eq. (21) as well."""

TRAINED_FOR = {"head_max": "marginal", "head_joint": "joint"}
"""The use that a head is trained through; the other is not asked of it."""


@dataclass(frozen=True)
class Named:
    """A prior of the comparison.

    Parameters
    ----------
    name : of its rows
    group : "given" (of the library), "learned", "shuffled" or "oracle"
    option : what a configuration takes
    """

    name: str
    group: str
    option: str

    def uses(self) -> tuple[str, ...]:
        """Where it is tried."""
        trained = TRAINED_FOR.get(self.name.removesuffix(SHUFFLED))
        return (trained,) if trained else tuple(USES)


SHUFFLED = ", shuffled"


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """Fit on validation, evaluate on test; the three tables of the study."""
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    limit = QUICK_QUESTIONS if context.quick else QUESTIONS
    models = (context.model,) if context.quick else context.alignments
    for model in models:
        priors = offered(context, model)
        samples = list(Bundle.open(context.bundle("test", limit, model=model)))
        table = comparisons(context, priors, limit, model)
        own = (table, *knowledge(priors, samples, FruitFlyAdapter(model)))
        for name, part in zip(TABLES, own, strict=True):
            tables[name].append(part.assign(model=model))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


# --- fitting ----------------------------------------------------------------------------------


def offered(context: Context, model: str) -> list[Named]:
    """The priors: those of the library, the learned ones, their nulls and the oracle."""
    kinds = QUICK_KINDS if context.quick else tuple(KINDS)
    found = [Named(name, "given", name) for name in PRIORS]
    tasks = [(kind, null) for null in (False, True) for kind in kinds]
    limit = QUICK_FITTED if context.quick else FITTED
    bundle = context.bundle("validation", limit, model=model)
    work = [(context, bundle, model, kind, null) for kind, null in tasks]
    with steps(context.jobs, None) as spread:
        files = dict(spread.each(f"fit priors on {model}", _fitted, work))
    for kind, null in tasks:
        name, group = (kind + SHUFFLED, "shuffled") if null else (kind, "learned")
        found.append(Named(name, group, LEARNED + files[name]))
    return [*found, Named(ORACLE, "oracle", ORACLE)]


def _fitted(context: Context, bundle: Path, model: str, kind: str, null: bool) -> tuple[str, str]:
    """Name and file of a prior; fitted where that was not done yet."""
    torch.set_num_threads(1)
    name = kind + (SHUFFLED if null else "")
    revision = FruitFlyAdapter(model).revision
    index = (bundle / "index.json").read_text(encoding="utf-8")
    identity = digest([name, index, revision, context.seed, code_digest()])
    folder = context.work / "priors" / identity
    for done in folder.glob("*.safetensors"):
        return name, str(done.resolve())
    data = labeled(list(Bundle.open(bundle)))
    if null:
        data = shuffled(data, seed=context.seed)
    prior = fit(kind, data, model=model, revision=revision, seed=context.seed)
    path = save(prior, folder / f"{kind}-{prior.digest}.safetensors")
    return name, str(path.resolve())


# --- accuracy ---------------------------------------------------------------------------------


def cells_of(
    priors: Sequence[Named], budgets: Sequence[int]
) -> Iterator[tuple[str, Named, int, Configuration]]:
    """Use, prior, budget and cell, of every combination that is tried."""
    for use, options in USES.items():
        for prior in priors:
            if use in prior.uses():
                for budget in budgets:
                    own = {**options, "prior": prior.option}
                    yield use, prior, budget, Configuration("mi_pruner", budget, own)


def comparisons(context: Context, priors: Sequence[Named], limit: int, model: str) -> pd.DataFrame:
    """Every prior against the uniform one by use, budget and question type ("all" is of all).

    Columns ``use``, ``prior``, ``group``, ``budget``, ``ratio``, ``question_type``, ``accuracy``,
    ``uniform``, and those of `compared`, where Holm's correction is over the priors and budgets of
    one use and question type, controls (shuffled, oracle) apart from the others.
    """
    budgets = QUICK_BUDGETS if context.quick else BUDGETS
    cells = list(cells_of(priors, budgets))
    rows = context.answered([cell for *_, cell in cells], "test", limit, model=model)
    if failed := rows.error.dropna().unique().tolist():
        raise ParameterError(f"learned_priors: expected answers, got {failed[:3]}")
    ids = {(use, p.name, budget): cell.identity for use, p, budget, cell in cells}
    group = {p.name: p.group for p in priors}
    found = []
    for kind in ("all", *rows.question_type.unique()):
        own = rows if kind == "all" else rows[rows.question_type == kind]
        means = own.groupby("cell").correct.mean().astype(float)
        for use in USES:
            for budget in budgets:
                names = {
                    i: n for (u, n, b), i in ids.items() if (u, b) == (use, budget) and n != UNIFORM
                }
                reference = ids[use, UNIFORM, budget]
                table = compared(own, reference, list(names), seed=context.seed)
                table = table.assign(prior=table.cell.map(names), accuracy=table.cell.map(means))
                found.append(
                    table.assign(
                        use=use, budget=budget, question_type=kind, uniform=means[reference],
                        ratio=budget / rows.n_v.iloc[0],
                    )
                )  # fmt: skip
    table = pd.concat(found, ignore_index=True).drop(columns="cell")
    table["group"] = table.prior.map(group)
    table["is_control"] = table.group.isin(("shuffled", "oracle"))
    family = table.groupby(["use", "question_type", "is_control"]).p_value
    table["p_holm"] = family.transform(lambda p: holm(p.to_numpy()))
    table["verdict"] = [judged(row, SMALLEST) for _, row in table.iterrows()]
    first = ["use", "prior", "group", "is_control", "budget", "ratio", "question_type"]
    return table[[*first, "accuracy", "uniform", *(c for c in table if c in STATISTICS), "verdict"]]


STATISTICS = (
    "difference", "low", "high", "p_value", "p_holm", "detectable", "n", "n_clusters",
)  # fmt: skip


# --- what a prior knows -----------------------------------------------------------------------


def knowledge(
    priors: Sequence[Named], samples: Sequence[Sample], model: object
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Log score of every prior on the samples, and its mean by position.

    The first has one row per prior: ``gain`` in nats over the uniform prior with ``low`` and
    ``high`` over scenes, ``deficit`` in nats, ``questions``, ``scenes``, and ``options``, the
    hyper-parameters of a learned one as JSON. The second has one row per prior and position:
    ``row``, ``col``, ``times_uniform``.
    """
    scored, mapped = [], []
    grid = samples[0].grid
    assert grid is not None
    for prior in priors:
        p = probabilities(prior.option, samples, model)
        table = scores(p, samples)
        (mean,) = cluster_bootstrap_table(
            table.gain.to_numpy()[:, None], table.image_id.to_numpy(),
            level=LEVEL, n_resamples=RESAMPLES, rng=np.random.default_rng(0),
        )  # fmt: skip
        scored.append(
            {
                "prior": prior.name, "group": prior.group,
                "gain": mean.estimate, "low": mean.low, "high": mean.high,
                "deficit": table.deficit.mean(), "questions": mean.n, "scenes": mean.n_clusters,
                "options": _options(prior.option),
            }
        )  # fmt: skip
        places = np.divmod(np.arange(p.shape[1]), grid[1])
        mapped.append(
            pd.DataFrame(
                {
                    "prior": prior.name, "group": prior.group, "row": places[0], "col": places[1],
                    "times_uniform": (p.mean(0) * p.shape[1]).numpy(),
                }
            )
        )  # fmt: skip
    return pd.DataFrame(scored), pd.concat(mapped, ignore_index=True)


def _options(option: str) -> str:
    if not option.startswith(LEARNED):
        return ""
    return json.dumps(dict(load(Path(option.removeprefix(LEARNED))).options), sort_keys=True)


TABLES = ("learned_priors", "prior_scores", "prior_maps")
STUDY = Study("learned_priors", "Does a prior p(v) help, and does a learned one?", TABLES, run)
