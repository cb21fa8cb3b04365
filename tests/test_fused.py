"""The fused loops against the PyTorch ones: on a GPU, or in Triton's interpreter where none is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from importlib.util import find_spec
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_cases import inputs, normal
from structure import ROOT
from test_structure import pyproject

from benchmarks import gpu
from mitheory import select, select_batch
from mitheory.distributions import unit_rows
from mitheory.errors import ParameterError
from mitheory.pmi import self_pmi
from mitheory.selection import divprune as divprune_module
from mitheory.selection import mi as mi_module
from mitheory.selection.divprune import divprune
from mitheory.selection.engine import CosineRows, Picks, rounding_slack
from mitheory.selection.fused import (
    Loop,
    available,
    fused_distances,
    fused_greedy,
    fused_mi,
    kernels,
)
from mitheory.selection.fused import greedy as greedy_module
from mitheory.selection.mi import Problem, mi_greedy, mi_problem

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
# The interpreter computes with NumPy, which warns of ∞ − ∞; the NaN is dropped, as on a GPU.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
with_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton: [gpu]")
with_gpu = pytest.mark.skipif(not GPU, reason="needs a GPU")

DEFAULTS = {
    "temperature": 0.1, "self_temperature": None, "relevance_weight": 0.5, "aggregation": "max",
    "redundancy_aggregation": "max", "conditional": "softmax", "self_conditional": None,
    "prior": "uniform", "self_loop": True, "self_marginal": "uniform", "empty_redundancy": 0.0,
    "grid": None, "zero_norm": "uninformative",
}  # fmt: skip
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "relevance_weight": st.sampled_from((0.0, 0.3, 0.9)),
        "redundancy_aggregation": st.just("global"),
        "self_conditional": st.just("minmax"),
        "prior": st.sampled_from(("stationary", "energy")),
        "self_loop": st.just(False),
        "self_marginal": st.just("total_probability"),
        "empty_redundancy": st.just(0.7),
        "self_temperature": st.sampled_from((0.05, 1.0)),
    },
)


def changed(record, change):
    """`record` with all its tensors changed."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{n: change(x) for n, x in values.items() if torch.is_tensor(x)})


def on(device: str, problem: Problem, part: slice = slice(None)) -> Problem:
    """Some samples of the same problem elsewhere: its numbers, and not only its inputs."""

    def there(x: torch.Tensor) -> torch.Tensor:
        return x[part].to(device)

    return changed(replace(problem, redundancy=changed(problem.redundancy, there)), there)


def tokens(seed: int, b: int, n: int, *, d: int = 7, copies: int = 0) -> torch.Tensor:
    """Random float32 tokens, the last `copies` of them equal to the first ones."""
    visual = normal(seed, b, n, d, dtype=torch.float32)
    visual[:, n - copies :] = visual[:, :copies]
    return visual


def problem(seed: int, b: int, n: int, *, copies: int = 0, **options) -> Problem:
    text = normal(seed + 1, b, 3, 7, dtype=torch.float32)
    return mi_problem(tokens(seed, b, n, copies=copies), text, **DEFAULTS | options)


def assert_same(fused: Picks, plain: Picks) -> None:
    """Indices and evaluations equal, gains up to rounding; infinite where infinite."""
    assert fused.indices.tolist() == plain.indices.tolist()
    assert fused.evaluations == plain.evaluations
    torch.testing.assert_close(fused.gains.cpu(), plain.gains, rtol=2e-5, atol=2e-5, equal_nan=True)


@pytest.fixture(params=[True, False], ids=["resident", "streamed"])
def kernel(request, monkeypatch):
    """Both kernels, whatever the number of tokens."""
    monkeypatch.setattr(greedy_module, "WHOLE_GPU", 8192 if request.param else 0)
    return "resident" if request.param else "streamed"


# --- the same choices -----------------------------------------------------------------------


@with_triton
@given(
    seed=st.integers(0, 10**6),
    b=st.integers(1, 3),
    n=st.integers(1, 40),
    budget=st.floats(0, 1),
    copied=st.floats(0, 0.5),
    hopeless=st.booleans(),
    whole=st.booleans(),
    options=OPTIONS,
)
def test_mi_pruner_chooses_the_same(seed, b, n, budget, copied, hopeless, whole, options):
    """Algorithm 1 by either kernel and by the PyTorch loop, on the same numbers.

    Copies are exact ties; other scores of random float32 tokens come within rounding of a tie in
    fewer than one of 10^4 picks, and then the test would have to be read, not repeated.
    """
    if options.get("self_loop") is False and n == 1:
        options = options | {"self_loop": True}  # without neighbors there is no conditional
    k = max(1, round(budget * n))
    given_ = problem(seed, b, n, copies=int(copied * n), **options)
    if hopeless:
        given_.relevance[:, ::3] = -torch.inf
    with mock.patch.object(greedy_module, "WHOLE_GPU", 8192 if whole else 0):
        fused = fused_mi(on(DEVICE, given_), k)
    assert_same(fused, mi_greedy(given_, k))


@with_triton
@given(seed=st.integers(0, 10**6), b=st.integers(1, 3), n=st.integers(1, 40), whole=st.booleans())
def test_divprune_chooses_the_same_to_the_last_token(seed, b, n, whole):
    visual = tokens(seed, b, n, copies=n // 4)
    rows = CosineRows(unit_rows("visual", visual))
    start = 1 - rows.extreme(largest=True)
    unit, slack = rows.unit.to(DEVICE), rounding_slack(visual)
    with mock.patch.object(greedy_module, "WHOLE_GPU", 8192 if whole else 0):
        fused = fused_distances(unit, start.to(DEVICE), n, slack=slack)
    assert_same(fused, divprune(visual, budget=n))


@with_triton
def test_tokens_that_are_chosen_already(kernel):
    given_ = problem(5, 3, 90)
    first = torch.tensor([[5, 64], [1, 89], [0, 3]])
    fused = fused_mi(on(DEVICE, given_), 9, first.to(DEVICE))
    assert_same(fused, mi_greedy(given_, 9, first))
    assert fused.indices[:, :2].tolist() == first.tolist()
    assert fused.gains[:, :2].isnan().all()


@with_triton
@pytest.mark.parametrize("n", [64, 65, 300])
def test_several_blocks_of_tokens_and_coordinates(kernel, n):
    visual, text = (normal(s, 2, m, 130, dtype=torch.float32) for s, m in ((1, n), (2, 4)))
    given_ = mi_problem(visual, text, **DEFAULTS)
    assert_same(fused_mi(on(DEVICE, given_), 20), mi_greedy(given_, 20))


@with_triton
def test_a_sample_is_chosen_alone_as_in_company(kernel):
    given_ = problem(3, 4, 50)
    together = fused_mi(on(DEVICE, given_), 12)
    for sample in range(4):
        part = slice(sample, sample + 1)
        alone = fused_mi(on(DEVICE, given_, part), 12)
        assert alone.indices.tolist() == together.indices[part].tolist()
        assert torch.equal(alone.gains, together.gains[part])


# --- by hand --------------------------------------------------------------------------------


def loop(start, *, n=None, slack=0.0, **changed) -> Loop:
    """Unit vectors along the axes: all cosines 0, so that under "distance" the penalty is −1."""
    start = torch.tensor([start], device=DEVICE)
    n = start.shape[1]
    unit = torch.eye(n, device=DEVICE)[None]
    zero = torch.zeros_like(start)
    fields = {
        "unit": unit, "start": start, "benefit": start, "slack": slack, "charge": "distance",
        "total": False, "shift": zero, "log_scale": zero, "log_marginal": zero,
    }  # fmt: skip
    return Loop(**fields | changed)


@with_triton
def test_ties_go_to_the_lowest_index_across_blocks(kernel):
    scores = [0.0] * 200
    scores[150], scores[70], scores[3], scores[199] = 1.0, 1.0 - 1e-4, 1.0 - 3e-4, 0.9
    assert fused_greedy(loop(scores, slack=0.0), 3).indices.tolist() == [[150, 70, 3]]
    assert fused_greedy(loop(scores, slack=2e-4), 4).indices.tolist() == [[70, 150, 3, 199]]
    assert fused_greedy(loop(scores, slack=1e-3), 4).indices.tolist() == [[3, 70, 150, 199]]


@with_triton
def test_without_hope_tokens_are_taken_in_order(kernel):
    picks = fused_greedy(loop([-torch.inf] * 70), 70)
    assert picks.indices.tolist() == [list(range(70))]
    assert picks.gains.isneginf().all()


@with_triton
def test_the_gain_is_the_score_at_the_time(kernel):
    """Cosine 0 with every chosen token costs −1 once if the largest counts, and each time in sum.

    Scores 3, 2, 1: gains 3, 2 + 1, 1 + 1; in sum 3, 2 + 1, 1 + 2.
    """
    assert fused_greedy(loop([3.0, 2.0, 1.0]), 3).gains.tolist() == [[3.0, 3.0, 2.0]]
    added = fused_greedy(loop([3.0, 2.0, 1.0], total=True), 3)
    assert added.gains.tolist() == [[3.0, 3.0, 3.0]]


@with_triton
def test_no_hope_stays_none_where_nothing_is_redundant(kernel):
    """A cosine above the row's least by rounding only is the least: p(v_j given v_i) = 0, PMI −∞.

    So nothing is redundant, and every gain after the first infinite; relevance −∞ is never chosen
    before relevance 1, and −∞ − (−∞) is −∞.
    """
    least = torch.full((1, 4), -5e-7, device=DEVICE)
    picks = fused_greedy(
        loop([1.0, 2.0, -torch.inf, -torch.inf], charge="minmax", shift=least, rounding=1e-6), 4
    )
    assert picks.indices.tolist() == [[1, 0, 2, 3]]
    assert picks.gains.tolist() == [[2.0, torch.inf, -torch.inf, -torch.inf]]


@with_triton
def test_two_copies_of_the_best_match(kernel):
    """MI-Pruner keeps one of two copies and then the other direction, not the second copy."""
    visual = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.2]]])
    text = torch.tensor([[[1.0, 0.1, 0.0], [0.0, 1.0, 0.0]]])
    given_ = on(DEVICE, mi_problem(visual, text, **DEFAULTS))
    assert fused_mi(given_, 2).indices.tolist() == [[2, 0]]


# --- the door -------------------------------------------------------------------------------


@with_triton
def test_select_takes_the_fused_path_where_it_is_available(monkeypatch):
    """Every method with a fused loop, through the front door, in padded company."""
    case = inputs(4, b=3, n_v=30, dtype=torch.float32)
    mask = torch.ones(3, 30, dtype=torch.bool)
    mask[1, 20:] = False
    runs = []

    def seen(*arguments, **named):
        runs.append(1)
        return fused_greedy(*arguments, **named)

    for method in ("mi_pruner", "mi_attention", "divprune"):
        plain = select_batch(method, **case, visual_mask=mask, budget=9)
        with monkeypatch.context() as patch:
            for module in (mi_module, divprune_module):
                patch.setattr(module, "available", lambda x: True)
            patch.setattr("mitheory.selection.fused.rules.fused_greedy", seen)
            runs.clear()
            fused = select_batch(method, **case, visual_mask=mask, budget=9)
        assert len(runs) == 2  # one a group of equal size
        for a, b in zip(fused, plain, strict=True):
            assert (a.indices.tolist(), a.evaluations) == (b.indices.tolist(), b.evaluations)


def test_a_cpu_and_float64_are_left_to_pytorch():
    assert not available(torch.zeros(2, 3))
    assert available(torch.zeros(2, 3, device="meta")) is False
    if GPU:
        assert not available(torch.zeros(2, 3, dtype=torch.float64, device="cuda"))


def test_at_lambda_1_there_is_no_loop_to_fuse():
    with pytest.raises(ParameterError, match="relevance_weight"):
        fused_mi(problem(0, 1, 4, relevance_weight=1.0), 2)


def test_kept_cosines_change_no_number():
    """The whole product at once, and blocks of it: the same sums."""
    visual = normal(0, 2, 700, 5)
    for conditional in ("softmax", "minmax"):
        for self_loop in (True, False):
            options = {"temperature": 0.1, "conditional": conditional, "self_loop": self_loop}
            kept = self_pmi(visual, **options, keep_cosine=True)
            blocked = self_pmi(visual, **options)
            torch.testing.assert_close(kept.log_scale, blocked.log_scale, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(kept.shift, blocked.shift, rtol=1e-12, atol=1e-12)
            assert blocked.cosine is None
            torch.testing.assert_close(kept.whole, kept.unit @ kept.unit.mT)


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_needs_triton():
    """Import and selection without it; and where it is, neither imports it."""
    code = (
        "import sys; {}; import torch, mitheory; v = torch.eye(3);"
        "print(mitheory.select('mi_pruner', visual=v, text=v[:1], budget=1).indices.tolist());"
        "import mitheory.selection.fused.kernels as k; print(k.triton is None)"
    )
    assert run_python(code.format("sys.modules['triton'] = None")) == "[0]\nTrue\n"
    light = run_python("import sys, mitheory.selection.fused; print('triton' in sys.modules)")
    assert light == "False\n"


@pytest.mark.parametrize(
    ("found", "is_enough"),
    [("3.2.0", False), ("3.3.0", True), ("3.10.1+git5", True), ("4.0", True)],
)
def test_an_older_triton_is_as_none(found, is_enough):
    with mock.patch.object(kernels, "triton", mock.Mock(__version__=found)):
        assert greedy_module._has_triton.__wrapped__() == is_enough
    with mock.patch.object(kernels, "triton", None):
        assert not greedy_module._has_triton.__wrapped__()


def test_the_oldest_triton_is_that_of_the_extra():
    (needed,) = pyproject()["project"]["optional-dependencies"]["gpu"]
    assert f"triton>={'.'.join(map(str, greedy_module._MIN_TRITON))};" in needed


# --- a real GPU, or its compiler ------------------------------------------------------------


@pytest.mark.skipif(not greedy_module._has_triton(), reason="needs Triton >= 3.3: [gpu]")
def test_the_kernels_compile_for_hopper_without_spilling():
    """Machine code for sm_90 by the assembler that Triton carries, without a GPU."""
    found = json.loads(run_python("from benchmarks.gpu import compiled; compiled()"))
    assert {row["kernel"] for row in found} == {"resident", "streamed"}
    assert {row["block"] for row in found if row["kernel"] == "resident"} >= {1024, 2048, 8192}
    for row in found:
        assert row["registers"] * row["warps"] * 32 <= 65536, row
        assert row["stack_bytes"] <= 64, row


def choices(seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(normal(seed + i, m, 64, dtype=torch.float32) for i, m in ((0, n), (1, 8)))


def test_the_margins_of_a_run():
    """Its own choices give up nothing; with the last and the first exchanged they do."""
    visual, text = choices(0, 60)
    slack = rounding_slack(visual, scale=11)
    chosen = select("mi_pruner", visual=visual, text=text, budget=10).indices.tolist()
    right = gpu.margins(visual, text, chosen, slack)
    assert right.given_up < slack < right.closest < 1
    assert gpu.margins(visual, text, [chosen[-1], *chosen[1:-1], chosen[0]], slack).given_up > 0.01


def test_the_benchmark_says_that_there_is_no_gpu():
    if GPU:
        pytest.skip("there is one")
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr


@with_gpu
@with_triton
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), n=st.sampled_from((31, 576, 2048, 9000)))
def test_a_gpu_chooses_as_a_cpu_in_float32(seed, n):
    """Every choice is a best one within twice the slack; the same one where no two are near."""
    visual, text = choices(seed, n)
    slack = rounding_slack(visual, scale=11)
    here = select("mi_pruner", visual=visual, text=text, budget=30).indices.tolist()
    kept = select("mi_pruner", visual=visual.cuda(), text=text.cuda(), budget=30).indices.tolist()
    found = gpu.margins(visual, text, kept, slack)
    assert found.given_up <= 2 * slack
    assert found.closest < 3 * slack or kept == here


@with_gpu
@with_triton
@pytest.mark.parametrize(("n", "kernel", "times"), [(576, "resident", 1), (9000, "streamed", 20)])
def test_one_launch_for_all_picks_or_one_a_pick(n, kernel, times):
    given_ = on("cuda", problem(0, 2, n))
    launches = gpu.kernel_launches(lambda: fused_mi(given_, 20))
    assert launches[kernel] == times
    assert sum(launches.values()) <= times + 12
