"""The audit: rows, files, resumption, failures; nothing about the run changes a verdict."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from claim_samples import gaussian_samples, on_disk
from matplotlib.figure import Figure
from typer.testing import CliRunner

import analysis
from analysis.auditing import Options, plan, run, work
from analysis.auditing.records import to_table
from analysis.claims import CLAIMS
from analysis.claims.base import Claim, mean_effect
from analysis.claims.source import SAMPLES_PER_CHUNK, Source
from analysis.cli import app
from mitheory.bundle import Bundle, Sample
from mitheory.errors import (
    BundleError,
    DTypeError,
    EmptyInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.verdict import SmallestEffect

FAST = ("max_below_sum", "lse_bound", "sparse_grounding")


def toy(name="toy", *, shift=0.0, **fields) -> Claim:
    """The mean of the first coordinate is negligible: true of centered samples."""

    def measure(samples, context):
        return pd.DataFrame(
            {
                "image_id": [s.image_id for s in samples],
                "sample_id": [s.sample_id for s in samples],
                "x": [float(s.visual.mean()) + shift for s in samples],
                "draw": [context.rng(name, s.sample_id).random() for s in samples],
            }
        )

    def judge(table, context):
        return CLAIMS[name].verdict(
            context,
            n=table.image_id.nunique(),
            method="mean",
            effect=mean_effect("mean", "1", table.x, table.image_id),
            diagnostics={"rows": len(table), "draw": float(table.draw.sum())},
        )

    known = {
        "name": name,
        "statement": "The mean is zero.",
        "source": "nowhere",
        "kind": "empirical",
        "how": "averaged",
        "meaning": {"holds": "nothing"},
        "smallest_effect": SmallestEffect(0.5, "1", "negligible", "a test"),
        "measure": measure,
        "judge": judge,
        "draw": lambda table, verdict: Figure(),
    }
    return Claim(**(known | fields))


@pytest.fixture
def use(monkeypatch):
    """Put claims in the place of the paper's (jobs=1 stays in this process)."""

    def replace_by(*claims: Claim) -> None:
        for name in list(CLAIMS):
            monkeypatch.delitem(CLAIMS, name)
        for claim in claims:
            monkeypatch.setitem(CLAIMS, claim.name, claim)

    return replace_by


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    samples = gaussian_samples(images=40, questions=3)
    return on_disk(tmp_path_factory.mktemp("audit") / "bundle", samples)


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def records(out: Path) -> list[dict]:
    """The verdicts, less the command, which names the folder."""
    verdicts = json.loads((out / "verdicts.json").read_text())["verdicts"]
    return [{k: v for k, v in r.items() if k != "command"} for r in verdicts]


# -- the source ----------------------------------------------------------------------------------


def test_chunks_hold_whole_images_in_an_order_of_their_own():
    """However samples are ordered, the same runs of images result, each of some 64 samples."""
    samples = gaussian_samples(images=50, questions=3, rows=2)
    chunks = Source.of(samples).chunks()
    shuffled = list(samples)
    random.Random(0).shuffle(shuffled)
    assert Source.of(shuffled).chunks() == chunks
    assert sorted(i for chunk in chunks for i in chunk) == sorted({s.image_id for s in samples})
    assert all(3 * len(chunk) < SAMPLES_PER_CHUNK + 3 for chunk in chunks)
    assert len(chunks) == 3  # 150 samples: 66 + 66 + 18
    loaded = Source.of(shuffled).load(chunks[0])
    assert {s.image_id for s in loaded} == set(chunks[0])
    assert Source.of(samples).images(7) == Source.of(shuffled).images(7)


def test_bundle_and_memory_are_one_source(bundle):
    stored, held = Source.of(bundle), Source.of(list(bundle))
    assert stored.by_image == held.by_image
    assert replace(stored.facts, model=None, revision=None) == held.facts
    assert {"grid", "answer", "relevant"} <= stored.facts.fields
    assert "cls_attention" not in stored.facts.fields


def test_unsuitable_samples_are_refused():
    one = gaussian_samples(images=1, questions=1)
    with pytest.raises(EmptyInputError):
        Source.of([])
    with pytest.raises(ParameterError, match="distinct"):
        Source.of([*one, *one])
    with pytest.raises(ShapeError, match="one dimension d"):
        Source.of([*one, *gaussian_samples(images=2, questions=1, d=5)[1:]])
    with pytest.raises(DTypeError, match="got str"):
        Source.of("bundle")


# -- the run -------------------------------------------------------------------------------------


def test_one_row_per_claim_and_every_file(use, bundle, tmp_path):
    use(toy(), toy("other", shift=2.0))
    audited = run(bundle, tmp_path)
    assert [r["decision"] for r in audited.records] == ["holds", "violated"]
    assert audited.table.n.tolist() == [40, 40]
    assert audited.records[0]["diagnostics"]["rows"] == len(bundle)
    written = pd.read_parquet(tmp_path / "verdicts.parquet")
    pd.testing.assert_frame_equal(written, to_table(audited.records), check_dtype=False)
    for name in ("toy", "other"):
        for suffix in ("svg", "pdf", "png"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 0
    document = json.loads((tmp_path / "verdicts.json").read_text())
    assert document["audit"]["n_images"] == 40
    assert document["verdicts"][0]["command"].startswith("mitheory audit ")


def test_a_failed_claim_is_a_row_and_stops_nothing(use, bundle, tmp_path):
    def broken(samples, context):
        raise ZeroDivisionError("on purpose")

    def unwritable(table, context):
        return CLAIMS["nan"].verdict(
            context, n=1, method="m", checked=1, diagnostics={"x": float("nan")}
        )

    use(
        toy("bad", measure=broken),
        toy("unready", prepare=broken),
        toy("undrawn", draw=broken),
        toy("nan", judge=unwritable),
        toy(),
    )
    audited = run(bundle, tmp_path)
    decisions = {r["claim"]: r["decision"] for r in audited.records}
    assert decisions == {
        "bad": "unassessed",
        "unready": "unassessed",
        "undrawn": "holds",
        "nan": "unassessed",
        "toy": "holds",
    }
    assert set(audited.errors) == {"bad", "unready", "undrawn", "nan"}
    assert "ZeroDivisionError: on purpose" in audited.errors["bad"]
    assert "in broken" in json.loads((tmp_path / "errors.json").read_text())["bad"]


def test_an_unreadable_bundle_is_no_claims_fault(use, tmp_path):
    use(toy())
    path = tmp_path / "bundle"
    on_disk(path, gaussian_samples())
    shard = next(path.glob("images-*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(BundleError):
        run(Bundle.open(path), tmp_path / "out")
    assert not (tmp_path / "out" / "verdicts.json").exists()


def test_what_is_missing_is_said(use, bundle, tmp_path):
    use(
        toy("attention", needs=("cls_attention",)),
        toy("answers", needs=("model",)),
        toy("large", min_images=41),
        toy("needs_it"),
    )
    reasons = {r["claim"]: r["reason"] for r in run(bundle, tmp_path / "a").records}
    assert "cls_attention" in reasons["attention"]
    assert "model" in reasons["answers"]
    assert "at least 41 images; this bundle has 40" in reasons["large"]
    assert reasons["needs_it"] is None
    assert run(None, tmp_path / "b", claims=["needs_it"]).records[0]["reason"] == "needs a bundle"


def test_a_stopped_audit_goes_on_where_it_was(use, bundle, tmp_path):
    """Runs of images measured before the stop are not measured again; the result is the same."""
    seen: list[str] = []

    def counting(samples, context):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(samples[0].image_id)
        return plain.measure(samples, context)

    plain = toy()
    use(toy(measure=counting))
    with pytest.raises(KeyboardInterrupt):
        run(bundle, tmp_path / "stopped")
    before = set(files(tmp_path / "stopped"))
    assert len(before) == 1
    assert not (tmp_path / "stopped" / "verdicts.json").exists()
    use(plain)
    run(bundle, tmp_path / "stopped")
    run(bundle, tmp_path / "whole")
    assert records(tmp_path / "stopped") == records(tmp_path / "whole")
    assert before < set(files(tmp_path / "stopped"))


def test_rows_of_another_audit_are_not_reused(use, bundle, tmp_path):
    """Another seed, other samples under the same names: measured anew."""
    use(toy())
    first = run(bundle, tmp_path).records[0]
    second = run(bundle, tmp_path, options=Options(seed=1)).records[0]
    assert first["diagnostics"]["draw"] != second["diagnostics"]["draw"]
    moved = [replace(s, visual=s.visual + 3) for s in bundle]
    assert run(moved, tmp_path).records[0]["decision"] == "violated"
    assert run(list(bundle), tmp_path).records[0]["decision"] == "holds"


def test_the_first_images_in_hash_order_are_taken(use, bundle, tmp_path):
    use(toy(max_images=25))
    record = run(bundle, tmp_path).records[0]
    assert record["n"] == 25
    alone = CLAIMS["toy"].evaluate(bundle)
    assert alone.effect.value == record["effect"]["value"]


def test_preparation_reaches_measure_and_judge(use, bundle, tmp_path):
    def prepare(samples, context):
        return len(list(samples))

    def measure(samples, context):
        assert context.prepared["toy"] == 30
        return plain.measure(samples, context)

    plain = toy()
    use(toy(prepare=prepare, prepare_images=10, measure=measure))
    assert run(bundle, tmp_path).records[0]["error"] is None
    assert CLAIMS["toy"].evaluate(bundle).decision == "holds"


def test_nothing_about_the_run_changes_a_verdict(bundle, tmp_path):
    """Order of samples, processes, memory or disk: the verdicts are the same to the last digit."""
    names = [name for name in FAST if name in CLAIMS]
    run(bundle, tmp_path / "one", claims=names, figures=False)
    run(bundle, tmp_path / "two", claims=names, jobs=2, figures=False)
    order = list(bundle.sample_ids)
    random.Random(1).shuffle(order)
    shuffled = bundle.select(order)
    run(shuffled, tmp_path / "shuffled", claims=names, figures=False)
    assert records(tmp_path / "one") == records(tmp_path / "two")
    assert records(tmp_path / "one") == records(tmp_path / "shuffled")
    held = analysis.audit(list(shuffled), claims=names)
    pd.testing.assert_frame_equal(held, to_table_of(tmp_path / "one"))


def to_table_of(out: Path) -> pd.DataFrame:
    return to_table(json.loads((out / "verdicts.json").read_text())["verdicts"])


def test_a_dask_cluster_gives_the_same_verdicts(bundle, tmp_path):
    """Two workers of a local cluster against one process."""
    from distributed import LocalCluster

    names = [name for name in FAST if name in CLAIMS]
    run(bundle, tmp_path / "here", claims=names, figures=False)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
    ) as cluster:
        run(
            bundle,
            tmp_path / "there",
            claims=names,
            scheduler=cluster.scheduler_address,
            figures=False,
        )
    assert records(tmp_path / "here") == records(tmp_path / "there")


def test_unknown_claims_are_refused_before_any_work(bundle, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'max_below_sum'"):
        run(bundle, tmp_path / "out", claims=["max_below_sumn"])
    assert not (tmp_path / "out").exists()


def test_tasks_read_a_run_of_images_once(bundle, tmp_path):
    claims = {"a": toy("a"), "b": toy("b", max_images=5), "c": toy("c", needs_bundle=False)}
    source = Source.of(bundle)
    todo, names = plan.tasks(claims, source, ["id"], tmp_path)
    assert [t.claims for t in todo] == [("c",), ("a", "b"), ("a",)]
    assert todo[1].limits == (len(todo[1].images), 5)
    assert {n: len(f) for n, f in names.items()} == {"a": 2, "b": 1, "c": 1}
    names["a"][0].parent.mkdir(parents=True)
    names["a"][0].write_bytes(b"")
    left, _ = plan.tasks(claims, source, ["id"], tmp_path)
    assert [t.claims for t in left] == [("c",), ("b",), ("a",)]


def test_claims_that_take_few_images_get_their_samples_only(use, bundle, tmp_path):
    use(toy(max_images=5))
    source = Source.of(bundle)
    todo, names = plan.tasks(dict(CLAIMS), source, ["id"], tmp_path)
    context = analysis.claims.Context(source.facts)
    outcome = work.measure(todo[0], plan.input_of(bundle), context)
    assert [o.error for o in outcome] == [None]
    table = pd.read_parquet(names["toy"][0])
    assert set(table.image_id) == set(source.images(5))
    assert table.attrs["seconds"] >= 0


# -- the command ---------------------------------------------------------------------------------


def test_command_audits_and_says_so(bundle, tmp_path):
    out = tmp_path / "out"
    command = ["audit", str(bundle.path), "--out", str(out), "--claims", "max_below_sum"]
    done = CliRunner().invoke(app, [*command, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert (out / "index.html").read_text().count("max_below_sum") > 1
    assert records(out)[0]["decision"] == "refuted"


def test_command_reports_a_failed_claim(use, bundle, tmp_path):
    def broken(samples, context):
        raise ZeroDivisionError

    use(toy(measure=broken))
    done = CliRunner().invoke(app, ["audit", str(bundle.path), "--out", str(tmp_path), "--jobs=1"])
    assert done.exit_code == 1
    assert (tmp_path / "index.html").exists()


def test_claims_are_listed():
    done = CliRunner().invoke(app, ["claims"], env={"COLUMNS": "240"})
    assert done.exit_code == 0
    for name in CLAIMS:
        assert name in done.output


# -- every claim ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_says_what_it_is(name):
    """Constants of its file, a text for each decision it can come to, a stable name."""
    import importlib

    claim = CLAIMS[name]
    module = importlib.import_module(f"analysis.claims.{name}")
    assert module.CLAIM is claim
    assert (
        claim.statement, claim.source, claim.kind,
    ) == (module.STATEMENT, module.SOURCE, module.KIND)  # fmt: skip
    assert claim.smallest_effect == module.SMALLEST_EFFECT
    assert module.evaluate == claim.evaluate
    if claim.smallest_effect is not None:
        assert len(claim.smallest_effect.reason) > 20
        assert {"holds", "violated", "inconclusive"} <= set(claim.meaning)
    else:
        assert {"verified", "refuted"} & set(claim.meaning)


@pytest.mark.parametrize("name", [n for n, c in CLAIMS.items() if c.needs_bundle])
def test_every_claim_survives_unsuitable_samples(name):
    """One sample, one visual token, one word: unassessed with a reason, or a decision; no crash."""
    claim = CLAIMS[name]
    lone = gaussian_samples(images=1, questions=1)
    verdict = claim.evaluate(lone)
    assert verdict.decision in ("unassessed", "inconclusive", "verified", "refuted")
    if claim.kind not in ("theorem", "efficiency"):
        assert verdict.decision in ("unassessed", "inconclusive")
    for samples in (
        [replace(s, visual=s.visual[:1], grid=(1, 1), relevant=s.relevant[:1])
         for s in gaussian_samples()],
        [replace(s, text=s.text[:1], tokens=s.tokens[:1]) for s in gaussian_samples()],
        [replace(s, grid=None) for s in gaussian_samples()],
        [replace(s, relevant=None, answer="") for s in gaussian_samples()],
    ):  # fmt: skip
        narrow = claim.evaluate(samples)
        assert narrow.decision != "unassessed" or narrow.reason


def test_claims_that_need_a_field_say_so():
    """Without grid, mask, answers, model: unassessed, naming what is missing."""
    bare = [replace(s, grid=None, relevant=None, answer="") for s in gaussian_samples()]
    for claim in CLAIMS.values():
        if claim.needs:
            verdict = claim.evaluate(bare)
            assert verdict.decision == "unassessed"
            assert any(name in verdict.reason for name in claim.needs), claim.name


@pytest.mark.parametrize("name", [n for n, c in CLAIMS.items() if c.needs_bundle])
def test_no_verdict_hangs_on_the_order_of_samples(name):
    samples = gaussian_samples(images=24, rows=5)
    shuffled = list(samples)
    random.Random(2).shuffle(shuffled)
    assert CLAIMS[name].evaluate(shuffled).to_dict() == CLAIMS[name].evaluate(samples).to_dict()


def test_embeddings_without_direction_are_an_error():
    """A zero patch has no cosine: the claim says so by an error, and does not guess."""
    from mitheory.errors import ZeroNormError

    samples: list[Sample] = gaussian_samples()
    zero = replace(samples[0], visual=torch.zeros_like(samples[0].visual))
    with pytest.raises(ZeroNormError):
        CLAIMS["max_below_sum"].evaluate([zero, *samples[2:]])
