"""Answers made comparable, as the evaluators of VQA, GQA and POPE do it."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from mitheory.errors import ParameterError

N_REFERENCES = 10  # people who answered each question of TextVQA
ENOUGH = 3  # of them who say the same make an answer fully right

NUMBERS = {"none": "0"} | {
    word: str(value)
    for value, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
ARTICLES = frozenset({"a", "an", "the"})
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
PERIOD = re.compile(r"\.(?!\d)")
PERIODS = 32  # of an answer that are removed; the reference passes re.UNICODE as the count

# Words whose apostrophe is put back: any one of its apostrophes may be missing.
CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't "
    "haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't "
    "mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've "
    "should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've "
    "someone'll someone's something'd something'd've something'll that's there'd there'd've "
    "there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't "
    "what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's "
    "who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've "
    "you'd you'd've you'll you're you've"
).split()


def _restored() -> dict[str, str]:
    """From a word that lacks one apostrophe to the word; "somebody'd" alone loses the one it has.

    Examples
    --------
    >>> [k for k, v in _restored().items() if v == "couldn't've"]
    ["couldnt've", "couldn'tve"]
    """
    table = {"somebody'd": "somebodyd"}
    for whole in CONTRACTIONS:
        for place, letter in enumerate(whole):
            if letter == "'":
                table[whole[:place] + whole[place + 1 :]] = whole
    return table


APOSTROPHES = _restored()


def vqa_answer(text: str) -> str:
    """An answer as VQA's evaluator (EvalAI, M4C) reads it before comparing.

    Lower case; no commas and question marks; ``'s`` set apart; each other mark deleted if it
    touches a space anywhere in the answer and replaced by a space if not; no dot but one before a
    digit; number words up to ten as digits; no articles; apostrophes of contractions put back.

    Examples
    --------
    >>> vqa_answer("The three dont's."), vqa_answer("coca-cola"), vqa_answer("coca - cola")
    ("3 don't 's", 'coca cola', 'coca cola')
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    bare = text
    for mark in PUNCTUATION:
        touches = f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if touches else " ")
    words = (NUMBERS.get(w, w) for w in PERIOD.sub("", bare, count=PERIODS).lower().split())
    return " ".join(APOSTROPHES.get(w, w) for w in words if w not in ARTICLES)


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """VQA's soft accuracy: how many people said so, three of the others being enough.

    .. math:: \\frac{1}{n} \\sum_i \\min(1, |\\{j \\ne i : r_j = a\\}| / 3)

    of the normalized answer and references: 0, .3, .6, .9 and 1 for 0 to 3 and more of ten.

    Raises
    ------
    ParameterError
        If there is no reference.

    Examples
    --------
    >>> [vqa_accuracy("yes", ["Yes."] * m + ["no"] * (10 - m)) for m in range(5)]
    [0.0, 0.3, 0.6, 0.9, 1.0]
    """
    if not references:
        raise ParameterError("references: expected at least one, got none")
    said, n = vqa_answer(answer), len(references)
    m = sum(vqa_answer(reference) == said for reference in references)
    one_of_them, another = min(ENOUGH, max(0, m - 1)), min(ENOUGH, m)
    return (m * one_of_them + (n - m) * another) / (ENOUGH * n)


def lmms_exact(text: str) -> str:
    """An answer as lmms-eval's exact match reads it: lower case, no ASCII punctuation.

    Examples
    --------
    >>> lmms_exact("T-shirt.")
    'tshirt'
    """
    return text.lower().translate(str.maketrans("", "", string.punctuation))


def first_words_say_no(text: str) -> bool:
    """Whether LLaVA's script for POPE takes an answer for "no"; everything else is "yes" to it.

    The part before the first period, commas deleted, split at spaces, has the word No, no or not.

    Examples
    --------
    >>> [first_words_say_no(t) for t in ("No, there is none.", "NO", "It is not.", "Nope", "")]
    [True, False, True, False, False]
    """
    words = text.split(".")[0].replace(",", "").split(" ")
    return not {"No", "no", "not"}.isdisjoint(words)
