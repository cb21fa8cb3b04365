"""The model card of the fruit-fly: measured on held-out scenes, written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from mitheory.bundle import Sample
from mitheory.models.fruitfly import FruitFlyAdapter, examples
from mitheory.models.fruitfly.checkpoint import NAMES
from mitheory.models.fruitfly.questions import QUESTIONS
from mitheory.models.fruitfly.vocabulary import COLOR_IDS, DIGIT_IDS
from mitheory.statistics import cluster_bootstrap

QUESTIONS_ASKED = 4096


def other_image(samples: Sequence[Sample]) -> list[Sample]:
    """Every question with the visual tokens of another scene: what the words alone give away."""
    images = list(dict.fromkeys(s.image_id for s in samples))
    visual = {s.image_id: s.visual for s in samples}
    following = dict(zip(images, images[1:] + images[:1], strict=True))
    return [
        replace(s, visual=visual[following[s.image_id]], image_id=following[s.image_id])
        for s in samples
    ]


def evaluate(fly: FruitFlyAdapter, samples: Sequence[Sample]) -> pd.DataFrame:
    """Accuracy by question type and overall, with all tokens, with none, with another scene's.

    Returns
    -------
    DataFrame
        Columns shown, question_type, n, accuracy, low, high: 95% intervals, scenes resampled.
    """
    none = [torch.empty(0, dtype=torch.long)] * len(samples)
    answers = {
        "all": fly.answer(samples),
        "none": fly.answer(samples, none),
        "another scene's": fly.answer(other_image(samples)),
    }
    scenes = np.array([s.image_id for s in samples])
    kinds = np.array([s.question_type for s in samples])
    rows = []
    for shown, said in answers.items():
        right = np.array([a.text == s.answer for a, s in zip(said, samples, strict=True)], float)
        for kind in (*QUESTIONS, "all types"):
            chosen = (kinds == kind) | (kind == "all types")
            interval = cluster_bootstrap(
                right[chosen], scenes[chosen], rng=np.random.default_rng(0)
            )
            rows.append(
                (shown, kind, int(chosen.sum()), interval.estimate, interval.low, interval.high)
            )
    return pd.DataFrame(rows, columns=["shown", "question_type", "n", "accuracy", "low", "high"])


def word_matching(fly: FruitFlyAdapter, samples: Sequence[Sample]) -> dict[str, float]:
    """Share of things whose center patch is nearest by cosine to its own digit's, color's word."""
    words = F.normalize(fly.model.decoder.words.weight.cpu(), dim=-1)
    first = {s.image_id: s for s in samples}
    hits: dict[str, list[float]] = {"digit": [], "color": []}
    for sample in first.values():
        cosine = F.normalize(sample.visual, dim=-1) @ words.T
        for digit, color, x, y in sample.metadata["things"]:
            at = (y + 4) // 4 * 12 + (x + 4) // 4
            hits["digit"].append(float(cosine[at, list(DIGIT_IDS)].argmax() == digit))
            hits["color"].append(float(cosine[at, list(COLOR_IDS)].argmax() == color))
    return {name: float(np.mean(values)) for name, values in hits.items()}


def table(measured: pd.DataFrame) -> str:
    """Markdown: one row per question type, one column per thing shown."""
    shown = list(dict.fromkeys(measured.shown))
    lines = ["| question type | n | " + " | ".join(shown) + " |", "|---|---|" + "---|" * len(shown)]
    for kind, rows in measured.groupby("question_type", sort=False):
        percent = 100 * rows[["accuracy", "low", "high"]].to_numpy(float)
        cells = [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in percent]
        lines.append(f"| {kind} | {rows.n.iloc[0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def section(name: str, *, limit: int = QUESTIONS_ASKED) -> str:
    """What is said of one checkpoint."""
    fly = FruitFlyAdapter(name)
    samples = fly.encode(list(examples("test", limit=limit)))
    matching = word_matching(fly, samples)
    steps = " → ".join(f"{stage} ({n:,})" for stage, n in fly.card["steps"].items())
    parameters = sum(p.numel() for p in fly.model.parameters())
    return "\n\n".join(
        [
            f"## `{name}`",
            f"{parameters / 1e6:.2f} million parameters, float16 on disk. Seed {fly.card['seed']}. "
            f"Stages (steps): {steps}.",
            f"Accuracy (%) on {len(samples):,} questions about "
            f"{len({s.image_id for s in samples}):,} held-out scenes of the test split; 95% "
            "intervals, scenes resampled. *All*, *none* and *another scene's* visual tokens shown:",
            table(evaluate(fly, samples)),
            "Zero-shot word matching: the center patch of a thing is nearest by cosine to the word "
            f"of its own digit in {100 * matching['digit']:.1f}% and of its own color in "
            f"{100 * matching['color']:.1f}% of cases (chance 10% and 14%).",
        ]
    )


def write(*, limit: int = QUESTIONS_ASKED) -> str:
    """The whole card."""
    return "\n\n".join([INTRODUCTION, *(section(name, limit=limit) for name in NAMES), CAVEATS])


INTRODUCTION = """# Model card: the fruit-fly

A small real multimodal model that ships with the package, so that everything here can be tried on
a bare machine: a vision encoder with [CLS], a two-layer projector and a causal decoder whose word
table gives T. It answers questions in words, with one word, about scenes of three to six real
handwritten digits in seven colors over real photographs. This page is written by `mitheory card`.

**Data.** Digits: `load_digits` of scikit-learn (UCI optical digits, 8 × 8 scans), 1,197 for
training, 300 for validation, 300 for test; training scans also in 20 jittered copies. Backgrounds:
ten photographs inside scikit-learn and scikit-image, each cut into three strips, one per split. The
three splits share no scan and no column of a photograph. Scans of one writer may be in two splits:
the source does not name writers.

**Training.** `python -m mitheory.models.fruitfly.training run --out runs/` on CPU, from nothing:
the encoder on dense patch labels; the decoder on symbolic scenes, in which a visual token is
written down from its labels (it sees 64 of the 144 patches there, so dropped background is not new
to it); the projector alone, by the language-model loss (`fruitfly`, as LLaVA's first stage) or by a
patch–word contrastive loss (`fruitfly-contrastive`); then everything, on all 144 tokens. The image
stages never saw a pruned image. The log of every stage lies beside the weights.

![training curves](images/training_curves.png)"""

CAVEATS = """## What it is not

One seed of each alignment. Its world has 82 words and one kind of thing; numbers found on it say
what can happen in a real model of this architecture, not what does happen in LLaVA. Counting leans
on the whole picture: the decoder was only ever shown full scenes, and dropping background alone
changes its counts, so counting accuracy under pruning measures this too.

The stages above, run again, retrace the training up to rounding, with one exception: the plan of
`joint-contrastive` was shortened while it ran (at steps 100 and about 900), so its learning rate
fell later than the recipe's does."""
