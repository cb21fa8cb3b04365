"""Questions in words about a scene, with one-word answers.

Open-ended types (as GQA): color, digit, relation, counting, count_all, background. Closed types:
existence (yes/no with random, popular and adversarial negatives, as POPE) and multiple_choice (the
options stand in the prompt, as ScienceQA).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from .scenes import POPULAR_DIGITS, Scene, Thing
from .vocabulary import BACKGROUNDS, COLORS, COUNTS, DIGITS, MAX_WORDS

NEGATIVES = ("random", "popular", "adversarial")
OPEN_TYPES = ("color", "digit", "relation", "counting", "count_all", "background")
CLOSED_TYPES = ("existence", "multiple_choice")


@dataclass(frozen=True)
class Question:
    """A question, its one-word answer, and the things it is about (indices into scene.things).

    `relevant` of a yes/no question answered no holds what could be mistaken: things that share the
    digit or the color. `negative` says how an absent thing was chosen, None for other questions.
    """

    type: str
    words: tuple[str, ...]
    answer: str
    relevant: tuple[int, ...]
    negative: str | None = None
    options: tuple[str, ...] = field(default=())


T = TypeVar("T")
Ask = Callable[[Scene, np.random.Generator], Question | None]


def _pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One item of a sequence, uniformly."""
    return items[int(rng.integers(len(items)))]


def _unique(scene: Scene, attribute: str) -> list[int]:
    """Indices of things whose `attribute` no other thing shares."""
    counts = Counter(getattr(t, attribute) for t in scene.things)
    return [i for i, t in enumerate(scene.things) if counts[getattr(t, attribute)] == 1]


def _build(kind: str, text: str, answer: str, relevant: list[int], **extra: Any) -> Question:
    return Question(kind, tuple(text.split()), answer, tuple(relevant), **extra)


_COLOR_OF = (
    "what is the color of the {} ?",
    "which color is the {} in the image ?",
    "tell me the color of the {} ?",
    "what color does the {} have ?",
)
_DIGIT_OF = (
    "what digit is {} ?",
    "which digit in the image is {} ?",
    "tell me the {} digit ?",
    "what is the {} digit in this picture ?",
)
_EXISTS = (
    "is there a {} {} ?",
    "is there a {} {} in the image ?",
    "does this picture have a {} {} ?",
    "can you see a {} {} in this image ?",
)


def color(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Color of the only thing with some digit."""
    if not (unique := _unique(scene, "digit")):
        return None
    i = _pick(rng, unique)
    thing = scene.things[i]
    return _build(
        "color", _pick(rng, _COLOR_OF).format(DIGITS[thing.digit]), COLORS[thing.color], [i]
    )


def digit(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Digit of the only thing with some color."""
    if not (unique := _unique(scene, "color")):
        return None
    i = _pick(rng, unique)
    thing = scene.things[i]
    return _build(
        "digit", _pick(rng, _DIGIT_OF).format(COLORS[thing.color]), DIGITS[thing.digit], [i]
    )


def existence(
    scene: Scene, rng: np.random.Generator, *, negative: str | None = "draw"
) -> Question | None:
    """Is there a thing of this color and digit? `negative`: None asks about a present thing,
    otherwise how the absent one is chosen; "draw" is present half of the time."""
    if negative == "draw":
        negative = None if rng.random() < 0.5 else _pick(rng, NEGATIVES)
    if negative is None:
        thing = _pick(rng, scene.things)
        pair = (thing.digit, thing.color)
        relevant = [i for i, t in enumerate(scene.things) if (t.digit, t.color) == pair]
    else:
        absent = _absent_pair(scene, negative, rng)
        if absent is None:
            return None
        pair = absent
        relevant = [
            i for i, t in enumerate(scene.things) if t.digit == pair[0] or t.color == pair[1]
        ]
    text = _pick(rng, _EXISTS).format(COLORS[pair[1]], DIGITS[pair[0]])
    answer = "yes" if negative is None else "no"
    return _build("existence", text, answer, relevant, negative=negative)


def _absent_pair(scene: Scene, negative: str, rng: np.random.Generator) -> tuple[int, int] | None:
    """A (digit, color) not in the scene: neither part present (random), a popular digit (popular),
    or both parts present but never together (adversarial). None where there is no such pair."""
    present = {(t.digit, t.color) for t in scene.things}
    digits, colors = {d for d, _ in present}, {c for _, c in present}
    if negative == "random":
        pairs = [(d, c) for d in range(10) for c in range(7) if d not in digits and c not in colors]
    elif negative == "popular":
        pairs = [(d, c) for d in POPULAR_DIGITS for c in range(7)]
    else:
        pairs = [(d, c) for d in sorted(digits) for c in sorted(colors)]
    pairs = [pair for pair in pairs if pair not in present]
    return _pick(rng, pairs) if pairs else None


def multiple_choice(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Color or digit of a unique thing among three options that stand in the prompt."""
    names: tuple[str, ...]
    other: tuple[str, ...]
    if rng.random() < 0.5:
        asked, given, names, other = "color", "digit", COLORS, DIGITS
        stem = "what color is the {} ?"
    else:
        asked, given, names, other = "digit", "color", DIGITS, COLORS
        stem = "which digit is {} ?"
    if not (unique := _unique(scene, given)):
        return None
    i = _pick(rng, unique)
    truth = getattr(scene.things[i], asked)
    wrong = rng.choice([k for k in range(len(names)) if k != truth], 2, replace=False)
    order = rng.permutation([truth, *wrong])
    options = tuple(names[k] for k in order)
    text = stem.format(other[getattr(scene.things[i], given)])
    text += " (a) {} (b) {} (c) {} ?".format(*options)
    answer = f"({'abc'[int(np.flatnonzero(order == truth)[0])]})"
    return _build("multiple_choice", text, answer, [i], options=options)


_DIRECTIONS = (("left of", -1, 0), ("right of", 1, 0), ("above", 0, -1), ("below", 0, 1))


def _neighbors(scene: Scene, reference: Thing, dx: int, dy: int) -> list[int]:
    """Things 6 to 14 pixels away along the direction and at most 5 across it."""
    found = []
    for i, t in enumerate(scene.things):
        right, down = t.x - reference.x, t.y - reference.y
        along, across = (right * dx, down) if dx else (down * dy, right)
        if t is not reference and 6 <= along <= 14 and abs(across) <= 5:
            found.append(i)
    return found


def relation(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Digit or color of the only neighbor of a unique thing in one of four directions."""
    pairs = Counter((t.digit, t.color) for t in scene.things)
    cases = []
    for i, thing in enumerate(scene.things):
        if pairs[thing.digit, thing.color] == 1:
            for name, dx, dy in _DIRECTIONS:
                near = _neighbors(scene, thing, dx, dy)
                if len(near) == 1:
                    cases.append((i, name, near[0]))
    if not cases:
        return None
    i, name, j = _pick(rng, cases)
    reference, target = scene.things[i], scene.things[j]
    phrase = f"{name} the {COLORS[reference.color]} {DIGITS[reference.digit]}"
    if rng.random() < 0.5:
        at = f"to the {phrase}" if name.endswith("of") else phrase
        text = _pick(rng, (f"what digit is {phrase} ?", f"which digit is {at} ?"))
        answer = DIGITS[target.digit]
    else:
        stem = _pick(rng, ("what is the color of the digit {} ?", "which color is the digit {} ?"))
        text, answer = stem.format(phrase), COLORS[target.color]
    return _build("relation", text, answer, [i, j])


def counting(scene: Scene, rng: np.random.Generator) -> Question | None:
    """How many things of one color; a quarter of the colors are drawn blindly and may be absent."""
    k = _pick(rng, scene.things).color if rng.random() < 0.75 else int(rng.integers(len(COLORS)))
    relevant = [i for i, t in enumerate(scene.things) if t.color == k]
    stem = _pick(rng, ("how many {} digits are there ?", "how many digits are {} in this image ?"))
    return _build("counting", stem.format(COLORS[k]), COUNTS[len(relevant)], relevant)


def count_all(scene: Scene, rng: np.random.Generator) -> Question | None:
    """How many things in all."""
    text = _pick(rng, ("how many digits are there ?", "how many digits can you see in the image ?"))
    return _build("count_all", text, COUNTS[len(scene.things)], list(range(len(scene.things))))


def background(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Which of the ten photographs the scene is on; no thing is relevant."""
    text = _pick(rng, ("what is the background ?", "what kind of background is in the picture ?"))
    return _build("background", text, BACKGROUNDS[scene.background], [])


QUESTIONS: dict[str, Ask] = {
    "color": color,
    "digit": digit,
    "existence": existence,
    "multiple_choice": multiple_choice,
    "relation": relation,
    "counting": counting,
    "count_all": count_all,
    "background": background,
}


def dress(question: Question, rng: np.random.Generator) -> Question:
    """With probability 1/4, add filler words that change nothing ("please", "answer with ...")."""
    words = question.words
    if rng.random() < 0.25 and len(words) <= MAX_WORDS - 5 and not question.options:
        polite = rng.random() < 0.5
        words = ("please", *words) if polite else (*words, "answer", "with", "a", "word", ".")
    return Question(
        question.type,
        words,
        question.answer,
        question.relevant,
        question.negative,
        question.options,
    )
