"""Fewer words: which can go, by how many, and together with how many patches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pandas as pd
import torch
from torch import Tensor

from analysis.ablation import Configuration
from analysis.ablation.configuration import digest
from analysis.ablation.job import Job, job_of, loaded
from analysis.ablation.scopes import FILLERS
from analysis.ablation.selecting import kept_sets
from analysis.auditing.spread import steps
from mitheory.bundle import Bundle, Sample
from mitheory.distributions import unit_rows
from mitheory.io import atomic_write_parquet
from mitheory.models.base import PositionIds
from mitheory.models.fruitfly import FruitFlyAdapter
from mitheory.selection import select_words

from .base import Context, Study
from .summaries import chosen_on_validation, differences, means, with_form

BUDGETS = (144, 36, 16)
QUICK_BUDGETS = (16,)
SHARES = (0.75, 0.5, 0.25)  # of the words; the last one always stays
QUICK_SHARES = (0.5,)
DRAWS = 2
QUESTIONS, QUICK_QUESTIONS = 400, 40
CHOOSING, QUICK_CHOOSING = 160, 24  # of the validation split, on which the variant of MI is chosen
VARIANTS = ("max", "kl", "max:half")
"""Of the transposed PMI: aggregated over patches by max or KL, or by max at λ = 1/2."""
POSITIONS: tuple[PositionIds, ...] = ("kept", "compacted")
CHUNK = 2048

Order = Callable[[Sample, int], Tensor]
"""From a sample and a seed to all of its words, from the one that goes last to the first to go."""


def _by_information(aggregation: str, weight: float) -> Order:
    def order(sample: Sample, seed: int) -> Tensor:
        last = torch.arange(sample.n_t) == sample.n_t - 1
        return select_words(
            sample.visual, sample.text, budget=sample.n_t, protected=last,
            aggregation=aggregation, relevance_weight=weight,
        ).indices  # fmt: skip

    return order


def _random(sample: Sample, seed: int) -> Tensor:
    own = crc32(f"{seed}:{sample.sample_id}".encode())
    return _last_first(torch.rand(sample.n_t, generator=torch.Generator().manual_seed(own)))


def _fillers(sample: Sample, seed: int) -> Tensor:
    """Words that name nothing go first, each kind from the front."""
    named = torch.tensor([word not in FILLERS for word in sample.tokens])
    return _last_first(named.float() + torch.arange(sample.n_t) / (2 * sample.n_t))


def _similarity(sample: Sample, seed: int) -> Tensor:
    """Words go first that are like no patch, by the largest cosine."""
    cosine = unit_rows("text", sample.text) @ unit_rows("visual", sample.visual).T
    return _last_first(cosine.amax(1))


def _last_first(scores: Tensor) -> Tensor:
    """Places by falling score, the last word before all."""
    scores = scores.clone()
    scores[-1] = math.inf
    return scores.argsort(descending=True, stable=True)


ORDERS: dict[str, Order] = {
    "mi:max": _by_information("max", 1.0),
    "mi:kl": _by_information("kl", 1.0),
    "mi:max:half": _by_information("max", 0.5),
    "random": _random,
    "fillers": _fillers,
    "similarity": _similarity,
}
CONTROLS = ("random", "fillers", "similarity")


def kept_words(order: Tensor, share: float) -> list[int]:
    """Places of the words kept, ascending: a share of them, rounded half up, at least one.

    Examples
    --------
    >>> kept_words(torch.tensor([3, 1, 0, 2]), 0.5)
    [1, 3]
    """
    size = max(1, math.floor(share * len(order) + 0.5))
    return sorted(order[:size].tolist())


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """Accuracy by words and patches kept, MI against the controls, and the position ids."""
    budgets = QUICK_BUDGETS if context.quick else BUDGETS
    shares = QUICK_SHARES if context.quick else SHARES
    asked = QUICK_QUESTIONS if context.quick else QUESTIONS
    choosing = QUICK_CHOOSING if context.quick else CHOOSING
    names = [f"mi:{v}" for v in VARIANTS]
    held_out = _asked(context, "validation", choosing, budgets, shares, names)
    best = chosen(held_out)
    rows = _asked(context, "test", asked, budgets, shares, [*names, *CONTROLS])
    named = rows.assign(order=rows["order"].replace({best: "mi"}))
    return {
        "text_pruning": accuracies(named).assign(variant=best.removeprefix("mi:")),
        "text_pruning_differences": compared(named),
        "text_pruning_variants": chosen_on_validation(
            held_out[held_out["positions"] == "kept"].query("share < 1"),
            rows[rows["positions"] == "kept"].query("share < 1"),
            ["budget", "share"], ["order"], [("mi:max",)],
        ),
    }  # fmt: skip


def chosen(held_out: pd.DataFrame) -> str:
    """The variant of the transposed PMI of highest mean accuracy over all cells of validation."""
    rows = held_out[(held_out["share"] < 1) & (held_out["positions"] == "kept")]
    return str(rows.groupby("order", sort=False)["correct"].mean().idxmax())


def _asked(
    context: Context,
    split: str,
    limit: int,
    budgets: Sequence[int],
    shares: Sequence[float],
    names: Sequence[str],
) -> pd.DataFrame:
    """One tidy row per question, visual budget, order of words, draw, share and position ids."""
    bundle = context.bundle(split, limit)
    samples = list(Bundle.open(bundle))
    adapter = FruitFlyAdapter(context.model)
    seen = {budget: _visual(budget, samples, adapter, context.seed) for budget in budgets}
    tasks: list[dict[str, Any]] = []
    for sample in samples:
        plans = [("all", 0, 1.0, list(range(sample.n_t)), "kept")]
        for name in names:
            for draw in range(DRAWS if name == "random" else 1):
                order = ORDERS[name](sample, context.seed + 1000 * draw)
                for share in shares:
                    words = kept_words(order, share)
                    kinds = POSITIONS if name.startswith("mi:") else POSITIONS[:1]
                    plans += [(name, draw, share, words, kind) for kind in kinds]
        for budget in budgets:
            patches = seen[budget][sample.sample_id]
            tasks += [
                {"sample_id": sample.sample_id, "budget": budget, "order": name, "draw": draw,
                 "share": share, "positions": kind, "words": words, "kept": patches}
                for name, draw, share, words, kind in plans
            ]  # fmt: skip
    answers = _answers(context, bundle, tasks)
    table = pd.DataFrame(tasks).assign(prediction=answers)
    own = {s.sample_id: s for s in samples}
    table = table.assign(
        image_id=[own[s].image_id for s in table["sample_id"]],
        question_type=[own[s].question_type for s in table["sample_id"]],
        correct=[p == own[s].answer for p, s in zip(answers, table["sample_id"], strict=True)],
        n_words=[len(w) for w in table["words"]],
    )
    return with_form(table.drop(columns=["words", "kept"]))


def _visual(
    budget: int, samples: Sequence[Sample], adapter: FruitFlyAdapter, seed: int
) -> dict[str, list[int]]:
    """What MI-Pruner keeps of every image for the whole prompt, with the paper's λ."""
    if budget >= samples[0].n_v:
        return {s.sample_id: list(range(s.n_v)) for s in samples}
    cell = Configuration("mi_pruner", budget, {"relevance_weight": "paper"})
    table = kept_sets(cell, samples, adapter, seed=seed)
    return {s: list(map(int, k)) for s, k in zip(table["sample_id"], table["kept"], strict=True)}


def _answers(context: Context, bundle: Path, tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Predictions of the tasks; a question that stands twice is asked once, a file is a chunk."""
    job = job_of(bundle, bundle.parent, context.model, seed=context.seed, device=context.device)
    keys = [_key(task) for task in tasks]
    distinct = sorted(set(keys))
    folder = bundle.parent / "words"
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [distinct[i : i + CHUNK] for i in range(0, len(distinct), CHUNK)]
    paths = [folder / f"{digest([job.common, chunk])}.parquet" for chunk in chunks]
    missing = [
        (job, chunk, path) for chunk, path in zip(chunks, paths, strict=True) if not path.exists()
    ]
    with steps(context.jobs, None) as spread:
        for _ in spread.each("answer", _answer, missing):
            pass
    said: dict[Key, str] = {}
    for chunk, path in zip(chunks, paths, strict=True):
        said |= dict(zip(chunk, pd.read_parquet(path)["prediction"], strict=True))
    return [said[key] for key in keys]


Key = tuple[str, str, tuple[int, ...], tuple[int, ...]]
"""Sample, position ids, words shown, patches shown in raster order."""


def _key(task: Mapping[str, Any]) -> Key:
    words, kept = tuple(task["words"]), tuple(sorted(task["kept"]))
    return task["sample_id"], task["positions"], words, kept


def _answer(job: Job, chunk: Sequence[Key], path: Path) -> None:
    torch.set_num_threads(1)
    adapter, samples = loaded(job)
    found: dict[Key, str] = {}
    for positions in POSITIONS:
        own = [key for key in chunk if key[1] == positions]
        if own:
            said = adapter.answer(
                [samples[key[0]] for key in own],
                [torch.tensor(key[3], dtype=torch.long) for key in own],
                words=[torch.tensor(key[2], dtype=torch.long) for key in own],
                positions=positions,
            )
            found |= {key: answer.text for key, answer in zip(own, said, strict=True)}
    atomic_write_parquet(path, pd.DataFrame({"prediction": [found[key] for key in chunk]}))


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by budget, order of words, share and position ids, of all questions and by form.

    Columns ``budget``, ``order``, ``share``, ``positions``, ``form``, ``words`` (mean number),
    ``estimate``, ``low``, ``high``, ``questions``, ``scenes``. Draws are averaged.
    """
    by = ["budget", "order", "share", "positions"]
    parts = []
    for form in ("all", "open", "closed"):
        own = rows if form == "all" else rows[rows["form"] == form]
        words = own.groupby(by, sort=False)["n_words"].mean().rename("words").reset_index()
        parts.append(means(own, by).merge(words, on=by).assign(form=form))
    return pd.concat(parts, ignore_index=True)


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """The transposed MI minus every control, minus the whole prompt, and minus compacted ids.

    One row per budget, share and ``against``, over all questions; Holm's correction over all rows.
    """
    labels, pairs = [], []
    shares = [float(s) for s in rows["share"].unique() if s < 1]
    for budget in rows["budget"].unique():
        for share in shares:
            ours = (budget, "mi", share, "kept")
            others = {name: (budget, name, share, "kept") for name in CONTROLS}
            others["all"] = (budget, "all", 1.0, "kept")
            others["compacted"] = (budget, "mi", share, "compacted")
            for name, other in others.items():
                labels.append({"budget": budget, "share": share, "against": name})
                pairs.append((ours, other))
    found = differences(rows, ["budget", "order", "share", "positions"], pairs)
    return pd.concat([pd.DataFrame(labels), found], axis=1)


STUDY = Study(
    "text_pruning",
    "Which words of the prompt can be dropped, and together with which patches?",
    ("text_pruning", "text_pruning_differences", "text_pruning_variants"),
    run,
)
