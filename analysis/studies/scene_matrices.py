"""Fig. 3 with numbers: every matrix of MI-Pruner on one question about one scene."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from mitheory.bundle import Bundle, Sample
from mitheory.distributions import similarity
from mitheory.errors import MissingInputError
from mitheory.pmi import cross_pmi, self_pmi
from mitheory.scores import mi_score

from .base import Context, Study

LIMIT = 32  # questions among which the first of KIND is taken
KIND = "color"  # open-ended, so that the paper's λ is 0.5 and the lower branch matters
BUDGET, TEMPERATURE, RELEVANCE_WEIGHT = 16, 0.1, 0.5


def run(context: Context) -> Mapping[str, pd.DataFrame]:
    """The tables of the first question of `KIND`, which nobody has picked."""
    with Bundle.open(context.bundle("test", LIMIT)) as bundle:
        for sample in bundle:
            if sample.question_type == KIND:
                return tables(sample)
    raise MissingInputError(f"no {KIND} question among the first {LIMIT} of the split test")


def tables(sample: Sample) -> dict[str, pd.DataFrame]:
    """Matrices, words and greedy choices of one sample.

    Parameters
    ----------
    sample : with V (n_v, d) and T (n_t, d)

    Returns
    -------
    scene_matrices : ``matrix``, ``row``, ``column``, ``value``
        "V" and "T"; Eq. (15) "cross_similarity", (16) "cross_conditional", (17) "text_marginal"
        (one row), (18) "cross_pmi"; and "self_similarity", "self_conditional", "self_pmi". PMI and
        similarity (a cosine over τ) in nats.
    scene_words : ``sample_id``, ``column``, ``word``
    scene_picks : ``step``, ``index``, ``relevance``, ``redundancy``, ``score``
        Of the tokens in the order of choice (Alg. 1), nats; the redundancy of the first is 0.
    """
    visual, text = sample.visual.double(), sample.text.double()
    cross = cross_pmi(visual, text, temperature=TEMPERATURE)
    within = self_pmi(visual, temperature=TEMPERATURE)
    matrices = {
        "V": visual,
        "T": text,
        "cross_similarity": similarity(visual, text, temperature=TEMPERATURE),
        "cross_conditional": cross.log_cond.exp(),
        "text_marginal": cross.log_cond.exp().mean(0, keepdim=True),
        "cross_pmi": cross.pmi,
        "self_similarity": similarity(visual, visual, temperature=TEMPERATURE),
        "self_conditional": within.log_cond().exp(),
        "self_pmi": within.matrix(),
    }
    words = pd.DataFrame({"column": range(sample.n_t), "word": list(sample.tokens)})
    return {
        "scene_matrices": pd.concat(
            [_tidy(name, x) for name, x in matrices.items()], ignore_index=True
        ),
        "scene_words": words.assign(sample_id=sample.sample_id),
        "scene_picks": picks(cross.pmi.amax(1), matrices["self_pmi"], BUDGET),
    }


def picks(relevance: Tensor, within: Tensor, budget: int) -> pd.DataFrame:
    """Greedy choices of Eq. (22) with their two terms.

    Parameters
    ----------
    relevance : (n_v,) nats
    within : (n_v, n_v) self-PMI, nats
    budget : number of choices
    """
    rule = mi_score(relevance, within, relevance_weight=RELEVANCE_WEIGHT)
    chosen: list[int] = []
    rows = []
    for step in range(budget):
        scores = rule.scores(chosen).clone()
        scores[chosen] = -np.inf
        best = int(scores.argmax())
        redundancy = float(within[best, chosen].max()) if chosen else 0.0
        rows.append((step, best, float(relevance[best]), redundancy, float(scores[best])))
        chosen.append(best)
    return pd.DataFrame(rows, columns=["step", "index", "relevance", "redundancy", "score"])


def _tidy(name: str, matrix: Tensor) -> pd.DataFrame:
    rows, columns = np.indices(matrix.shape)
    return pd.DataFrame(
        {
            "matrix": name,
            "row": rows.ravel().astype(np.int16),
            "column": columns.ravel().astype(np.int16),
            "value": matrix.numpy().ravel().astype(np.float32),
        }
    )


STUDY = Study(
    name="scene_matrices",
    title="What are the matrices of MI-Pruner on one question?",
    tables=("scene_matrices", "scene_words", "scene_picks"),
    run=run,
)
