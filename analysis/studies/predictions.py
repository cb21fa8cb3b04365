"""The findings of the paper's Sec. 4 as predictions, judged on our model under both alignments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from analysis.ablation import Configuration
from analysis.ablation.statistics import POWER
from mitheory.checks import check_budget
from mitheory.errors import ParameterError
from mitheory.statistics import clustered_mean, holm, mcnemar
from mitheory.verdict import LEVEL, Effect, SmallestEffect, Verdict, holm_verdicts

from .base import Context, Study
from .findings import PREDICTIONS, Prediction

QUESTIONS, QUICK_QUESTIONS = 3600, 96
"""Of each of the two samples: all types, and closed-form ones alone (four times the scenes). With
so many, 2 points between MI-Pruner and another method are found four times in five."""
QUICK_BUDGETS = (1 / 9,)
SMALLEST = SmallestEffect(
    0.02,
    "share",
    "at_least",
    "the size of the paper's own leads: at 64 of 576 tokens 1.4 points over Random and 2.3 over "
    "Similarity (GQA, Tab. 1), 1.6 and 2.6 over other temperatures (Tab. 5), 1.5 over MinMax "
    "(Tab. 6)",
)
WORDS = {"holds": "confirmed", "violated": "contradicted", "inconclusive": "undecided"}


def run(context: Context) -> dict[str, pd.DataFrame]:
    """Every prediction at every budget on both alignments, judged within its finding."""
    limit = QUICK_QUESTIONS if context.quick else QUESTIONS
    rows = []
    for model in context.alignments:
        answers = {
            dataset: context.answered(
                _cells(PREDICTIONS, dataset, quick=context.quick), "test", limit,
                model=model, dataset=dataset, attention=dataset == "fruitfly",
            )
            for dataset in dict.fromkeys(p.dataset for p in PREDICTIONS)
        }  # fmt: skip
        for prediction in PREDICTIONS:
            for budget in _budgets(prediction, quick=context.quick):
                row = compared(prediction, budget, answers[prediction.dataset])
                rows.append({"model": model, **row})
    return {"predictions": judged(pd.DataFrame(rows), seed=context.seed)}


def _budgets(prediction: Prediction, *, quick: bool) -> tuple[float, ...]:
    return tuple(b for b in prediction.budgets if not quick or b in QUICK_BUDGETS)


def _cells(predictions: Iterable[Prediction], dataset: str, *, quick: bool) -> list[Configuration]:
    """The cells of a sample, each once."""
    found = [
        cell
        for prediction in predictions
        if prediction.dataset == dataset
        for budget in _budgets(prediction, quick=quick)
        for side in prediction.cells(budget)
        for cell in side
    ]
    return list({cell.identity: cell for cell in found}.values())


def compared(prediction: Prediction, budget: float, answers: pd.DataFrame) -> dict[str, object]:
    """One row: the difference that the paper predicts to be positive, with its standard error.

    Questions that either side failed on are left out. Where half of the things are to be there,
    present and absent ones are weighted one to one, as POPE counts them.

    Parameters
    ----------
    prediction : which
    budget : share of tokens
    answers : rows of `Context.answered`

    Raises
    ------
    ParameterError
        If no question of its kind was answered by both sides.
    """
    rows = _chosen(prediction, answers)
    sides = [_means(rows, cells, prediction.outcome) for cells in prediction.cells(budget)]
    both = pd.concat(sides, axis=1, keys=["first", "second"]).dropna()
    if both.empty:
        raise ParameterError(f"{prediction.finding}: no {prediction.questions} question answered")
    about = rows.drop_duplicates("sample_id").set_index("sample_id").loc[both.index]
    weights = _weights(prediction, about)
    first, second = both["first"].to_numpy(), both["second"].to_numpy()
    if prediction.outcome == "balance":
        gap = _off(second, weights) - _off(first, weights)
    else:
        gap = first - second
    scenes = about.image_id.to_numpy(dtype=str)
    mean = clustered_mean(gap, scenes, weights=weights, span=2.0)
    n_v = int(about.n_v.iloc[0])
    levels = [float((x * weights).sum() / weights.sum()) for x in (first, second)]
    return {
        "finding": prediction.finding,
        "statement": prediction.statement,
        "source": prediction.source,
        "first": prediction.first,
        "second": prediction.second,
        "questions": prediction.questions,
        "outcome": prediction.outcome,
        "budget": check_budget(budget, n_v),
        "ratio": budget,
        "first_value": levels[0],
        "second_value": levels[1],
        "estimate": mean.value,
        "se": mean.se,
        "df": mean.df,
        "p_mcnemar": _mcnemar(first, second) if prediction.outcome == "accuracy" else np.nan,
        "n": len(both),
        "n_clusters": len(np.unique(scenes)),
    }


def judged(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """The rows with interval, verdict and what could have been found.

    Intervals are Student's over scenes. A difference of two accuracies has rare outcomes on either
    side and little skewness of its own; correcting for the one that is estimated made errors of 5%
    into 7%, and of 1.25% into 2.5%.

    *Confirmed*: the interval, widened by Holm's correction over the rows of one finding, lies above
    the smallest effect. *Contradicted*: it lies below. *Undecided*: it holds it. Columns: low, high
    (95%), level, low_holm, high_holm (the interval that decides), p_holm (of an effect of exactly
    the smallest size), verdict, smallest, detectable (found with 80% power at 5%), detectable_holm
    (the same as the first of all tests of its finding).
    """
    parts = []
    for _, rows in table.groupby("finding", sort=False):
        verdicts = holm_verdicts([_verdict(row, seed) for _, row in rows.iterrows()])
        parts.append(
            rows.assign(
                low=[v.effect.low for v in verdicts if v.effect],
                high=[v.effect.high for v in verdicts if v.effect],
                level=[v.level for v in verdicts],
                low_holm=[v.effect.interval(v.level)[0] for v in verdicts if v.effect],
                high_holm=[v.effect.interval(v.level)[1] for v in verdicts if v.effect],
                p_holm=holm([v.p_value or 0.0 for v in verdicts]),
                verdict=[WORDS[v.decision] for v in verdicts],
                smallest=SMALLEST.value,
                detectable=_detectable(rows.se, 1),
                detectable_holm=_detectable(rows.se, len(rows)),
            )
        )
    return pd.concat(parts).sort_index()


def _verdict(row: pd.Series, seed: int) -> Verdict:
    effect = Effect(str(row.outcome), "share", row.estimate, row.se, row.df)
    return Verdict(
        str(row.finding), "empirical", "paired over questions, scenes as units",
        n=int(row.n_clusters), unit="scenes", seed=seed, effect=effect, smallest_effect=SMALLEST,
    )  # fmt: skip


def _detectable(se: pd.Series, tests: int) -> pd.Series:
    """The difference that a two-sided test at 5%/tests finds with 80% power."""
    tail = (1 - LEVEL) / (2 * tests)
    return se * float(norm.isf(tail) + norm.ppf(POWER))


def _chosen(prediction: Prediction, answers: pd.DataFrame) -> pd.DataFrame:
    """Rows of its kind of questions, failures left out."""
    rows = answers[answers.error.isna()]
    closed = rows.question_type.isin(["existence", "multiple_choice"])
    existence = rows.question_type == "existence"
    kinds = {
        "all": closed | ~closed,
        "open": ~closed,
        "closed": closed,
        "existence": existence,
        "adversarial": existence & ((rows.answer == "yes") | (rows.negative == "adversarial")),
    }
    return rows[kinds[prediction.questions]]


def _means(rows: pd.DataFrame, cells: Sequence[Configuration], outcome: str) -> pd.Series:
    """By question, the mean over cells of being right, or of saying yes."""
    own = rows[rows.cell.isin([cell.identity for cell in cells])]
    value = (own.prediction == "yes") if outcome == "balance" else own.correct.astype(bool)
    wide = own.assign(value=value.astype(float)).pivot(
        index="sample_id", columns="cell", values="value"
    )
    return wide.dropna().mean(axis=1)


def _weights(prediction: Prediction, about: pd.DataFrame) -> NDArray[np.float64]:
    """Present against absent things one to one; every question the same elsewhere."""
    if prediction.questions not in ("existence", "adversarial"):
        return np.ones(len(about))
    present = (about.answer == "yes").to_numpy()
    return np.where(present, 0.5 / max(1, present.sum()), 0.5 / max(1, (~present).sum()))


def _off(yes: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Contributions to the distance of the share of yes from one half, whose mean it is.

    The side on which the share lies is taken as known, which is no loss unless it is near one half.
    """
    side = np.sign((yes * weights).sum() / weights.sum() - 0.5)
    return side * (yes - 0.5)


def _mcnemar(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Exact, of no difference; NaN where draws are averaged, which are neither right nor wrong."""
    both = np.concatenate([first, second])
    return mcnemar(first, second).p_value if np.isin(both, (0, 1)).all() else float("nan")


STUDY = Study(
    name="predictions",
    title="Which findings of the paper does this model confirm, under both alignments?",
    tables=("predictions",),
    run=run,
)
