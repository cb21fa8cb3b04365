"""Scores worked out by hand, and what must hold of every benchmark."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from dataset_samples import WRITERS, folder, gqa, mme, pope, scienceqa, textvqa, write_jsonl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from analysis.datasets import BENCHMARKS, benchmark
from analysis.datasets.answers import Answered, read_answers
from analysis.datasets.scoring import score
from mitheory.errors import (
    DatasetError,
    DuplicateError,
    MissingFilesError,
    MissingInputError,
    ParameterError,
    RowError,
    UnknownNameError,
)
from mitheory.statistics import cluster_bootstrap, cluster_bootstrap_ratio

GRADED = [
    (name, c) for name, b in BENCHMARKS.items() for c, v in b.conventions.items() if v.grade
]  # those that need no judge
SAID = ["yes", "No.", "B", "A. Ohio", "two", "", "The answer is B.", "dakota", "maybe", "y"]


def graded(name, root, said, convention="", **options):
    """Scores of answers given in the order of the records."""
    records = BENCHMARKS[name].records(root, convention=convention)
    answers = {r.sample_id: Answered(a) for r, a in zip(records, said, strict=True)}
    return score(BENCHMARKS[name], records, answers, convention=convention, **options)


def value(result, metric="accuracy", group="all"):
    (row,) = result.table.query("metric == @metric and group == @group").itertuples()
    return row.value


def best(name, record):
    """What answers a record perfectly: for soft accuracy what most people said."""
    return max(record.references, key=record.references.count)


# --- by hand --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "llava", "lmms"),
    [
        ("Yes", 1, 1),
        ("yes..", 1, 1),
        ("y.e.s", 0, 1),  # lmms-eval deletes all marks
        ("yes!", 0, 1),
        ("yes it is", 0, 0),
    ],
)
def test_gqa_by_hand(said, llava, lmms, tmp_path):
    gqa(tmp_path)
    for convention, right in (("llava", llava), ("lmms-eval", lmms)):
        result = graded("gqa", tmp_path, [said, "T-Shirt.", "woman"], convention)
        assert value(result) == pytest.approx((right + 1) / 3)
        assert value(result, group="binary") == right
        assert value(result, group="open") == 0.5


def test_marks_inside_answers_of_gqa(tmp_path):
    """ "tshirt" is "t-shirt" to lmms-eval, which deletes marks on both sides."""
    gqa(tmp_path)
    said = ["no", "tshirt", "x"]
    assert value(graded("gqa", tmp_path, said, "lmms-eval")) == pytest.approx(1 / 3)
    assert value(graded("gqa", tmp_path, said, "llava")) == 0


@pytest.mark.parametrize(
    ("said", "llava", "lmms"),
    [
        ("B", 1, 1),
        ("b", 0, 1),
        (" B ", 1, 1),  # frameworks strip predictions
        ("B. b", 1, 1),
        ("B.", 0, 1),  # LLaVA wants the space
        ("B) b", 0, 0),
        ("The answer is B.", 1, 0),
        ("The answer is B", 0, 0),  # its pattern needs one more letter
        ("The answer is A. No: The answer is B.", 0, 0),
        ("The answer is B. Yes: The answer is B.", 0, 0),  # said twice is not found
        ("C", 0, 0),
        ("D", 0, 0),  # of three choices
        ("b is heavier", 0, 0),
        ("", 0, 0),
    ],
)
def test_scienceqa_by_hand(said, llava, lmms, tmp_path):
    scienceqa(tmp_path)
    for convention, right in (("llava", llava), ("lmms-eval", lmms)):
        result = graded("scienceqa", tmp_path, [said, "A"], convention)
        assert result.samples.score.tolist() == [right, 1]
        assert value(result, group="natural science") == right


def test_textvqa_by_hand(tmp_path):
    """Eight of ten said dakota: 1. "3" has three of ten, one of them as a word: 0.9."""
    textvqa(tmp_path)
    result = graded("textvqa", tmp_path, ["Dakota.", "three", "dont"])
    assert result.samples.score.tolist() == pytest.approx([1, 0.9, 1])
    assert value(result) == pytest.approx(2.9 / 3)
    assert value(graded("textvqa", tmp_path, ["nous les gosses", "4", "x"])) == pytest.approx(
        (0.3 + 1) / 3
    )


def test_pope_by_hand(tmp_path):
    """Labels of every strategy: yes, no, yes, no.

    random: TP FP FN TN, all one. popular: "maybe" is no answer to lmms-eval and a yes to LLaVA.
    adversarial: all no.
    """
    pope(tmp_path)
    said = ["yes", "yes", "no", "no", "Yes", "No", "maybe", "no", "no", "no", "no", "no"]
    lmms = graded("pope", tmp_path, said, "lmms-eval")
    llava = graded("pope", tmp_path, said, "llava")

    def all_rates(result, group):
        names = ("accuracy", "precision", "recall", "f1", "yes_rate")
        return [value(result, name, group) for name in names]

    assert all_rates(lmms, "random") == pytest.approx([0.5] * 5)
    assert all_rates(lmms, "popular") == pytest.approx([0.75, 1, 1, 1, 0.25])
    assert all_rates(lmms, "adversarial") == pytest.approx([0.5, 0, 0, 0, 0])
    assert all_rates(lmms, "average") == pytest.approx([1.75 / 3, 0.5, 0.5, 0.5, 0.25])
    assert all_rates(llava, "popular") == pytest.approx([1, 1, 1, 1, 0.5])
    undefined = all_rates(llava, "adversarial")  # no answer says yes: 0/0, as LLaVA's script
    assert undefined == pytest.approx([0.5, math.nan, 0, math.nan, 0], nan_ok=True)
    row = llava.table.query("metric == 'f1' and group == 'average'").iloc[0]
    assert math.isnan(row.value)
    assert row.note.startswith("undefined")


def test_mme_by_hand(tmp_path):
    """Per category 100 accuracy + 100 accuracy+ over images; perception is their sum.

    existence: both right, one right: 75 + 50. count: none right, one right and one other: 25 + 0.
    The eight others are perfect: 1600.
    """
    mme(tmp_path)
    said = ["yes", "no", "Yes.", "Yes", "no", "yes", "Yes, it is", "dunno"] + ["yes", "no"] * 16
    result = graded("mme", tmp_path, said)
    assert value(result, "score", "existence") == pytest.approx(125)
    assert value(result, "accuracy", "existence") == 0.75
    assert value(result, "accuracy_plus", "existence") == 0.5
    assert value(result, "score", "count") == pytest.approx(25)
    assert value(result, "score", "perception") == pytest.approx(1750)
    assert "cognition" not in set(result.table.group)


@pytest.mark.parametrize(
    ("said", "official", "lmms"),
    [
        ("Yes", 1, 1),
        ("y", 0, 1),
        ("Y.", 0, 1),
        ("yes, a cat", 1, 1),
        ("oh yes", 0, 0),  # four letters: "oh y"
        ("Oyes", 1, 1),
        ("...yes", 0, 1),  # lmms-eval deletes dots first
        ("no yes", 0, 0),
        ("know", 0, 0),
        ("", 0, 0),
    ],
)
def test_answers_of_mme_by_hand(said, official, lmms, tmp_path):
    mme(tmp_path)
    for convention, right in (("official", official), ("lmms-eval", lmms)):
        result = graded("mme", tmp_path, [said] + ["no"] * 39, convention)
        assert result.samples.score[0] == right


def test_parts_of_mme_are_named(tmp_path):
    """A limit cuts categories off, and the sum says so; half a pair cannot count, and is counted.

    Of 7 questions the last has no partner; one of the others failed and takes its partner along.
    """
    mme(tmp_path)
    records = BENCHMARKS["mme"].records(tmp_path, limit=7)
    answers = {r.sample_id: Answered(best("mme", r)) for r in records}
    answers[records[4].sample_id] = Answered("", "unreadable image")
    table = score(BENCHMARKS["mme"], records, answers).table.set_index(["group", "metric"])
    total = table.loc["perception", "score"]
    assert total.value == 200
    assert "1 of 10 categories" in total.note
    assert total.failed == 3  # the failed one, its partner and the lone one
    assert table.loc["existence", "score"].failed == 0


def test_videos_without_a_judge_are_labelled(tmp_path):
    WRITERS["msvd"](tmp_path)
    exact = graded("msvd", tmp_path, ["Sing.", "a man", "blue"], "exact-match")
    inside = graded("msvd", tmp_path, ["he sings", "the man sings", "is light blue"], "containment")
    assert value(exact, "exact_match_accuracy") == pytest.approx(2 / 3)
    assert value(inside, "containment_accuracy") == pytest.approx(2 / 3)  # "sings" is no "sing"
    assert all("substitute" in note for s in (exact, inside) for note in s.table.note)
    with pytest.raises(MissingInputError, match="none was given"):
        graded("msvd", tmp_path, ["sing"] * 3)


def test_ones_own_folder_by_hand(tmp_path):
    folder(tmp_path)
    assert value(graded("folder", tmp_path, ["Red!", "TWO", "no"])) == pytest.approx(2 / 3)
    with pytest.raises(DatasetError, match="4 people or more; got 1"):
        graded("folder", tmp_path, ["red"] * 3, "vqa")
    write_jsonl(tmp_path / "questions.jsonl", [{"image": "a.png", "question": "q"}])
    with pytest.raises(DatasetError, match=r"questions\.jsonl, line 1: has no 'answer'"):
        graded("folder", tmp_path, ["red"])


# --- what must hold -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    found = {}
    for name, write in WRITERS.items():
        found[name] = tmp_path_factory.mktemp(name)
        write(found[name])
    people = [{"image": "a.png", "question": q, "answer": ["red"] * 4} for q in ("?", "!")]
    found["folder", "vqa"] = tmp_path_factory.mktemp("people")
    WRITERS["folder"](found["folder", "vqa"])
    write_jsonl(found["folder", "vqa"] / "questions.jsonl", people)
    return found


def records_of(roots, name, convention):
    root = roots.get((name, convention), roots[name])
    return BENCHMARKS[name].records(root, convention=convention)


@pytest.mark.parametrize(("name", "convention"), GRADED)
def test_a_perfect_answerer_has_everything(name, convention, roots):
    """All rates are 1 and all points full, but POPE's yes-rate, which is that of the labels."""
    records = records_of(roots, name, convention)
    answers = {r.sample_id: Answered(best(name, r)) for r in records}
    result = score(BENCHMARKS[name], records, answers, convention=convention)
    full = {"rate": 1.0, "points": 200.0}
    for row in result.table.itertuples():
        want = 0.5 if row.metric == "yes_rate" else full[row.unit]
        want = {"perception": 2000.0}.get(row.group, want)
        assert row.value == pytest.approx(want), (row.group, row.metric)


@pytest.mark.parametrize(("name", "convention"), GRADED)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_scores_lie_in_their_range_whatever_the_order(name, convention, roots, data):
    """Rates lie in [0, 1]; neither the order of questions nor that of answers changes a value."""
    records = records_of(roots, name, convention)
    said = {r.sample_id: Answered(data.draw(st.sampled_from(SAID))) for r in records}
    mixed = data.draw(st.permutations(records))
    back = dict(reversed(said.items()))
    options = {"convention": convention, "n_resamples": 20}
    one = score(BENCHMARKS[name], records, said, **options).table
    other = score(BENCHMARKS[name], mixed, back, **options).table
    rates = one[one.unit == "rate"].dropna(subset="value")
    assert rates.value.between(0, 1).all()
    keys = ["group", "metric"]
    pd.testing.assert_series_equal(
        one.set_index(keys).value.sort_index(), other.set_index(keys).value.sort_index()
    )


@pytest.mark.parametrize("convention", ["llava", "lmms-eval"])
@given(images=st.integers(2, 5))
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_who_always_says_yes_to_pope(convention, images, tmp_path_factory):
    """Accuracy and precision are the share of yes labels, recall and yes-rate 1, F1 2/3."""
    root = tmp_path_factory.mktemp("yes")
    pope(root, images)
    result = graded("pope", root, ["Yes"] * (6 * images), convention)
    for group in ("random", "popular", "adversarial", "average"):
        assert value(result, "accuracy", group) == pytest.approx(0.5)
        assert value(result, "precision", group) == pytest.approx(0.5)
        assert value(result, "recall", group) == 1
        assert value(result, "f1", group) == pytest.approx(2 / 3)
        assert value(result, "yes_rate", group) == 1


def test_yes_rates_are_those_of_predictions(tmp_path):
    """Of labels it would be one half whatever is said."""
    pope(tmp_path)
    assert value(graded("pope", tmp_path, ["no"] * 12, "lmms-eval"), "yes_rate", "average") == 0


# --- intervals ------------------------------------------------------------------------------


def test_intervals_are_those_of_the_cluster_bootstrap(tmp_path):
    """Means and F1 agree with mitheory.statistics on the same resamples of images."""
    pope(tmp_path, images=12)
    rng = np.random.default_rng(5)
    said = rng.choice(["yes", "no"], size=72).tolist()
    result = graded("pope", tmp_path, said, n_resamples=300, seed=3)
    part = result.samples[result.samples.group == "popular"]
    truth = np.tile([True, False], 12)
    yes = (part.parsed == "yes").to_numpy()
    streams = np.random.default_rng(3).spawn(len(result.table))
    rows = result.table.reset_index().set_index(["group", "metric"])
    options = {"n_resamples": 300}
    accuracy = rows.loc["popular", "accuracy"]
    twin = cluster_bootstrap(
        part.score, part.image_id, rng=streams[int(accuracy["index"])], **options
    )
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx(
        (twin.estimate, twin.low, twin.high)
    )
    f1 = rows.loc["popular", "f1"]
    ratio = cluster_bootstrap_ratio(
        2 * (yes & truth), yes.astype(int) + truth, part.image_id,
        rng=streams[int(f1["index"])], **options,
    )  # fmt: skip
    assert (f1.value, f1.low, f1.high) == pytest.approx((ratio.estimate, ratio.low, ratio.high))
    average = rows.loc["average", "accuracy"]
    assert (average.n, average.n_clusters) == (72, 12)  # the strategies share their images
    assert average.low < average.value < average.high


def test_a_part_of_a_benchmark_is_seen_to_be_one(tmp_path):
    pope(tmp_path)
    result = graded("pope", tmp_path, ["no"] * 12)
    assert set(result.table.questions) == {12}
    assert set(result.table.official) == {9000}


def test_what_has_no_interval_says_why(tmp_path):
    gqa(tmp_path)
    result = graded("gqa", tmp_path, ["yes", "x", "man"])
    row = result.table.query("group == 'binary'").iloc[0]
    assert row.value == 1
    assert math.isnan(row.low)
    assert row.note == "no interval: a single image"


def test_printed_errors_of_mmvet_are_no_95_percent_intervals():
    """A mean of 218 scores in [0, 1] has a standard error of at most sqrt(m(1-m)/218).

    Every ± that the paper prints for MM-Vet exceeds 1.96 of the widest possible.
    """
    from analysis.reference import _transcription

    table = _transcription().query("metric == 'MMVet'")
    center, err = table.value / 100, table.err / 100
    widest = norm.ppf(0.975) * np.sqrt(center * (1 - center) / 218)
    assert len(table) == 19
    assert (err > 1.1 * widest).all()


# --- answers --------------------------------------------------------------------------------


def test_answers_as_others_write_them(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_jsonl(
        path,
        [
            {"sample_id": "a", "answer": "x"},
            {"question_id": 7, "text": "y", "prompt": "?"},
            {"questionId": "c", "prediction": ""},
            {"id": "d", "error": "unreadable image"},
        ],
    )
    assert read_answers(path) == {
        "a": Answered("x"),
        "7": Answered("y"),
        "c": Answered(""),
        "d": Answered("", "unreadable image"),
    }


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([{"answer": "x"}], RowError, "line 1: expected one of sample_id, .* got none"),
        ([{"id": 1}], RowError, "line 1: expected one of answer, .* got none"),
        ([{"id": 1, "answer": 5}], RowError, "line 1: 'answer' must be text; got 5"),
        ([{"id": 1, "answer": "a", "text": "b"}], RowError, "got answer, text"),
        ([{"id": 1, "answer": "a"}] * 2, DuplicateError, "'1' stands twice: .*1 and .*line 2"),
    ],
)
def test_malformed_answers(rows, error, message, tmp_path):
    write_jsonl(tmp_path / "answers.jsonl", rows)
    with pytest.raises(error, match=message):
        read_answers(tmp_path / "answers.jsonl")
    with pytest.raises(MissingFilesError):
        read_answers(tmp_path / "none.jsonl")


def test_questions_and_answers_must_match(tmp_path):
    gqa(tmp_path)
    records = benchmark("gqa").records(tmp_path)
    two = {"201": Answered("yes"), "202": Answered("t-shirt")}
    with pytest.raises(DatasetError, match="1 questions without an answer: 203"):
        score(benchmark("gqa"), records, two)
    with pytest.raises(DatasetError, match="1 answers to no question of this split: 9"):
        score(benchmark("gqa"), records, two | {"9": Answered("x")}, missing="wrong")
    result = score(benchmark("gqa"), records, two, missing="wrong")
    assert value(result) == pytest.approx(2 / 3)
    failed = two | {"203": Answered("", "out of memory")}
    result = score(benchmark("gqa"), records, failed)
    assert value(result) == 1
    assert result.table.failed.tolist() == [1, 0, 1]  # all, binary, open
    assert result.samples.error.tolist()[2] == "out of memory"
    with pytest.raises(DatasetError, match="none of 3 questions has a usable answer"):
        score(benchmark("gqa"), records, {r.sample_id: Answered("", "x") for r in records})
    with pytest.raises(UnknownNameError, match="convention of gqa"):
        score(benchmark("gqa"), records, two, convention="x")
    with pytest.raises(ParameterError, match="asks no judge"):
        score(benchmark("gqa"), records, two, judge=lambda *a, **k: "")


def test_a_split_without_published_answers_cannot_be_scored(tmp_path):
    textvqa(tmp_path)
    path = tmp_path / "TextVQA_0.5.1_val.json"
    table = json.loads(path.read_text())
    for row in table["data"]:
        del row["answers"]
    (tmp_path / "TextVQA_0.5.1_test.json").write_text(json.dumps(table))
    records = benchmark("textvqa").records(tmp_path, "test", check_media=False)
    assert records[0].references == ()
    answers = {r.sample_id: Answered("x") for r in records}
    with pytest.raises(DatasetError, match="'34602' has no published answers; use val"):
        score(benchmark("textvqa"), records, answers)
