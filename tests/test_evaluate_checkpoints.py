"""A checkpoint of `transformers` from its folder to scores: extract, prune, answer, grade."""

from __future__ import annotations

from pathlib import Path

import dataset_samples as files
import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from analysis.ablation import Configuration, ablate
from analysis.ablation.job import job_of
from analysis.ablation.selecting import sample_seed
from analysis.cli import app
from analysis.datasets import benchmark
from analysis.datasets.answers import Answered
from analysis.datasets.scoring import score
from analysis.evaluate import evaluate, single_runs
from analysis.evaluate.plan import cells_of
from analysis.extraction import Extraction, run
from analysis.extraction.failures import log_of, read_log
from mitheory import select
from mitheory.bundle import Bundle
from mitheory.errors import MissingInputError
from mitheory.models.resolving import load_adapter
from mitheory.testing import save_tiny

pytest.importorskip("transformers")
LLAVA = "LlavaForConditionalGeneration"
LOADING = {"dtype": "float32", "batch_size": 2}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_tiny(LLAVA, tmp_path_factory.mktemp("checkpoint"))


def asked(root: Path) -> Path:
    rows = [
        {"image": f"{i}.png", "question": f"What is in picture {i}?", "answer": "red"}
        for i in (0, 1, 2, 0)
    ]
    files.write_jsonl(root / "questions.jsonl", rows)
    rng = np.random.default_rng(0)
    for i in range(3):
        from PIL import Image

        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(root / f"{i}.png")
    return root


def test_a_tiny_llava_from_its_folder_to_scores(checkpoint, tmp_path):
    """Every number of the runner, against the same steps by hand with one loaded model."""
    root = asked(files.write_jsonl(tmp_path / "own" / "x.jsonl", []) or tmp_path / "own")
    cells = cells_of(["mi_pruner", "random", "similarity"], "2", {})
    runs = single_runs(cells, [str(checkpoint)], ["folder"], root, loading=LOADING)
    found = evaluate(runs, tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out" / "results.parquet")
    adapter = load_adapter(checkpoint, **LOADING)
    chosen = benchmark("folder")
    records = chosen.records(root)
    items = Extraction(str(checkpoint), "folder", root=root, loading=LOADING).items()
    samples = adapter.encode([item.load() for item in items])
    texts = set()
    for cell in cells:
        answers = {}
        for sample in samples:
            kept = torch.arange(sample.n_v)
            if cell.method != "full":
                kept = select(
                    cell.method, visual=sample.visual, text=sample.text, budget=2,
                    grid=sample.grid, seed=sample_seed(sample.sample_id, 0, 0),
                    **cell.options_for("open", ()),
                ).indices  # fmt: skip
            (answer,) = adapter.answer([sample], [kept])
            answers[sample.sample_id] = Answered(answer.text)
            own = rows[(rows.cell == cell.identity) & (rows.sample_id == sample.sample_id)]
            assert own.prediction.item() == answer.text
            assert own.log_prob.item() == pytest.approx(answer.log_prob_truth, abs=1e-3)
            assert own.n_kept.item() == (sample.n_v if cell.method == "full" else 2)
        texts |= {a.text for a in answers.values()}
        expected = score(chosen, records, answers).table
        assert found[found.cell == cell.identity].value.tolist() == expected.value.tolist()
    assert len(texts) > 1  # a model that always says the same would hide a mix-up


def test_merged_tokens_are_shown_as_averages(checkpoint, tmp_path):
    """VisionZip in a grid: answers are those to its averages, which are other than those to the
    kept tokens; two ways to merge into one kept set are two questions."""
    root = asked(files.write_jsonl(tmp_path / "own" / "x.jsonl", []) or tmp_path / "own")
    cells = [
        Configuration("visionzip", 4, {"contextual": count}, mode=mode)
        for count, mode in ((3, "exact"), (3, "faithful"), (0, "exact"))
    ]
    bundle = run(
        Extraction(str(checkpoint), "folder", root=root, dtype="float32", loading=LOADING),
        tmp_path / "bundle",
    )
    job = job_of(bundle.path, tmp_path / "out", str(checkpoint), seed=0, loading=LOADING)
    found = ablate(cells, job)
    adapter = load_adapter(checkpoint, **LOADING)
    moved = 0
    for cell in cells:
        rows = found[found.cell == cell.identity].set_index("sample_id")
        assert not rows.unmerged.any()
        assert rows.error.isna().all()
        for sample in bundle:
            needed = {n: getattr(sample, n) for n in ("cls_attention", "encoder_keys")}
            kept = select(
                "visionzip",
                visual=sample.visual,
                budget=4,
                mode=cell.mode,
                **cell.options,
                **needed,
            )
            (answer,) = adapter.answer([sample], [kept.sorted], merges=[kept.merge])
            (plain,) = adapter.answer([sample], [kept.sorted])
            row = rows.loc[sample.sample_id]
            assert row.prediction == answer.text
            assert row.log_prob == pytest.approx(answer.log_prob_truth, abs=1e-4)
            moved += abs(answer.log_prob_truth - plain.log_prob_truth) > 1e-3
    assert moved >= 4
    pd.testing.assert_frame_equal(ablate(cells, job), found)
    assert len(found) == 3 * len(bundle)


def test_extraction_needs_no_decoder(checkpoint, tmp_path):
    """The bundle is that of the whole model; the extracting one cannot answer."""
    root = asked(files.write_jsonl(tmp_path / "own" / "x.jsonl", []) or tmp_path / "own")
    job = Extraction(str(checkpoint), "folder", root=root, dtype="float32", loading=LOADING)
    bundle = run(job, tmp_path / "out")
    whole = load_adapter(checkpoint, **LOADING).encode([item.load() for item in job.items()])
    for one, other in zip(bundle, whole, strict=True):
        assert torch.allclose(one.visual, other.visual, atol=1e-5)
        assert torch.equal(one.text, other.text)
        assert one.tokens == other.tokens
    with pytest.raises(MissingInputError, match="without its decoder"):
        job.adapter().answer(list(bundle)[:1])


def test_the_command_on_a_folder_with_a_checkpoint(checkpoint, tmp_path):
    """`mitheory extract` on own images: an unreadable one and one question too long are rows."""
    root = asked(files.write_jsonl(tmp_path / "own" / "x.jsonl", []) or tmp_path / "own")
    (root / "1.png").write_bytes(b"no image")
    with (root / "questions.jsonl").open("a") as file:
        file.write('{"image": "2.png", "question": "%s", "answer": "red"}\n' % ("word " * 3000))
    out = tmp_path / "out"
    command = ["extract", "--model", str(checkpoint), "--dataset", "folder", "--root", str(root)]
    done = CliRunner().invoke(
        app, [*command, "--out", str(out), "--model-dtype", "float32", "--with", "batch_size=2"]
    )
    rows = read_log(log_of(out))
    assert [(r.sample_id, r.stage) for r in rows] == [("2", "image"), ("5", "encode")], done.output
    assert "3000" in rows[1].message or "tokens" in rows[1].message
    assert Bundle.open(out).sample_ids == ("1", "4", "3")
    assert done.exit_code == 1  # done, but a part failed


def test_frames_of_a_video_stand_below_one_another(tmp_path):
    """Eight of fifteen frames, 0, 2, ..., 14, with shades of ten times their number; and how many
    they are is said where adapters look for it."""
    files.videos(tmp_path)
    items = Extraction("seeing:Seeing", "tgif", root=tmp_path).items()
    first = items[0].load()
    assert first.metadata["frames"] == 8
    frames = first.image.reshape(8, 4, 6, 3)
    assert frames[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80, 100, 120, 140]
    assert items[2].load().image.shape == (32, 6, 3)  # three frames of a folder, some repeated
