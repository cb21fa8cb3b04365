"""Answers made comparable: tables worked out by hand from the evaluators' rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.datasets.normalize import (
    APOSTROPHES,
    CONTRACTIONS,
    PUNCTUATION,
    first_words_say_no,
    lmms_exact,
    vqa_accuracy,
    vqa_answer,
)
from mitheory.errors import ParameterError

WORDS = st.text(st.sampled_from("ab nNoO.,?'-3t\n!"), max_size=12)


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        # case, space, line ends
        ("  Stop\tSign\n", "stop sign"),
        # numbers: words from none to ten, digits and further words as they are
        ("two", "2"),
        ("None", "0"),
        ("zero", "0"),
        ("Ten dogs", "10 dogs"),
        ("eleven", "eleven"),
        ("one.", "1"),
        ("someone", "someone"),
        # articles, as words of their own
        ("the cat", "cat"),
        ("An apple a day", "apple day"),
        ("theatre", "theatre"),
        ("a", ""),
        # commas and question marks go before anything else
        ("1,000", "1000"),
        ("yes, sir", "yes sir"),
        ("what?", "what"),
        # possessives are set apart, which shields "what's" from the contractions
        ("John's", "john 's"),
        ("what's", "what 's"),
        ("whats", "what's"),
        # apostrophes put back, one missing at a time
        ("dont", "don't"),
        ("don't", "don't"),
        ("couldntve", "couldntve"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("y'alld've", "y'all'd've"),
        ("oclock", "o'clock"),
        ("twas", "'twas"),
        ("somebody'd", "somebodyd"),  # the one entry that takes an apostrophe away
        ("Im", "im"),  # entries with a capital are never met, all being lower case by then
        # periods: all go but those before a digit
        ("U.S.A.", "usa"),
        ("3.5", "3.5"),
        (".5 l.", ".5 l"),
        ("x" + "." * 40, "x" + "." * 8),  # the reference removes 32
        # other marks: a space in their place, unless one of them touches a space somewhere
        ("t-shirt", "t shirt"),
        ("t - shirt", "t shirt"),
        ("x-y z- w", "xy z w"),
        ("x-y z/ w", "x y z w"),
        ("coca cola!", "coca cola"),
        ('"stop"', "stop"),
        ("(yes) [no]", "yes no"),
        ("10:30", "10:30"),
        ("$5 & 50%", "$5 & 50%"),
        ("a@b", "b"),  # the article appears when the mark has gone
        # nothing
        ("", ""),
        ("?!", ""),
    ],
)
def test_the_normalization_of_vqa(answer, normal):
    assert vqa_answer(answer) == normal


def test_each_contraction_is_restored_from_each_lost_apostrophe():
    """The evaluator's table has 120 entries: these 114, and six that change nothing."""
    assert len(APOSTROPHES) == 114
    assert len(set(CONTRACTIONS)) == len(CONTRACTIONS)
    for whole in CONTRACTIONS:
        places = [i for i, letter in enumerate(whole) if letter == "'"]
        assert places, whole
        assert all(APOSTROPHES[whole[:i] + whole[i + 1 :]] == whole for i in places)


@given(WORDS)
def test_marks_never_survive(text):
    """No normalized answer holds a mark, an article as a word, or two spaces in a row."""
    normal = vqa_answer(text)
    assert not set(PUNCTUATION) & set(normal)
    assert not {"a", "an", "the"} & set(normal.split())
    assert "  " not in normal
    assert normal == normal.strip().lower()


def slow_accuracy(answer: str, references: list[str]) -> float:
    """The definition, person by person."""
    total = 0.0
    for i in range(len(references)):
        others = [r for j, r in enumerate(references) if j != i]
        same = sum(1 for r in others if vqa_answer(r) == vqa_answer(answer))
        total += min(1.0, same / 3)
    return total / len(references)


@given(st.lists(st.sampled_from(["two", "2", "no", "3"]), min_size=1, max_size=12))
def test_soft_accuracy_is_its_definition(references):
    for answer in ("2", "no", "x"):
        found = vqa_accuracy(answer, references)
        assert found == pytest.approx(slow_accuracy(answer, references), abs=1e-12)
        assert 0 <= found <= 1


def test_soft_accuracy_by_hand():
    """3 of 10 agree: three of them see 2 others (2/3), seven see 3: (3·2/3 + 7)/10 = 0.9."""
    assert vqa_accuracy("Two", ["2"] * 3 + ["three"] * 7) == pytest.approx(0.9)
    assert vqa_accuracy("three", ["2"] * 3 + ["three"] * 7) == 1
    with pytest.raises(ParameterError, match="at least one"):
        vqa_accuracy("x", [])


@pytest.mark.parametrize(
    ("answer", "normal"),
    [("Yes.", "yes"), ("T-shirt", "tshirt"), ("a  man", "a  man"), ("3.5", "35"), ("é!", "é")],
)
def test_exact_match_of_lmms_eval(answer, normal):
    assert lmms_exact(answer) == normal


@pytest.mark.parametrize(
    ("answer", "no"),
    [
        ("No", True),
        ("no", True),
        ("No, there is not.", True),
        ("There is no dog", True),
        ("Yes. There is no cat.", False),  # only the first sentence counts
        ("It is not, I think", True),
        ("NO", False),
        ("Not really", False),
        ("nothing", False),
        ("I cannot tell", False),
        ("Yes,no", False),  # the comma goes without a space in its place
        ("No\nYes", False),  # words are split at spaces alone
        ("", False),
        ("yes", False),
    ],
)
def test_the_no_of_llava(answer, no):
    assert first_words_say_no(answer) is no
