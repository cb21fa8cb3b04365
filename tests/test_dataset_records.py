"""Benchmarks read from official files: prompts, typed errors, nothing dropped."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from dataset_samples import WRITERS, gqa, mme, picture, pope, scienceqa, textvqa, write_jsonl
from PIL import Image

from analysis.datasets import BENCHMARKS, DATASETS, benchmark
from analysis.datasets.media import frame_places, opened, read_frames, read_image
from mitheory.errors import (
    DatasetError,
    DuplicateError,
    ImageError,
    MissingDependencyError,
    MissingFilesError,
    ParameterError,
    RowError,
    UnknownNameError,
)

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
EVERY = [(name, c) for name, b in BENCHMARKS.items() for c in b.conventions]


# --- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "convention"), EVERY)
def test_every_benchmark_reads_its_files(name, convention, tmp_path):
    """Unique ids, media that are there, and a question that stands in the prompt."""
    WRITERS[name](tmp_path)
    records = BENCHMARKS[name].records(tmp_path, convention=convention)
    assert len({r.sample_id for r in records}) == len(records) >= 2
    assert all(path.exists() for r in records for path in r.media)
    assert all(r.question in r.prompt and r.references and r.origin for r in records)


def test_prompts_of_gqa(tmp_path):
    gqa(tmp_path)
    first, *_ = benchmark("gqa").records(tmp_path)
    assert first.prompt == "Is the sky blue?" + SHORT
    assert (first.sample_id, first.image_id, first.references) == ("201", "n1", ("yes",))
    assert first.media == (tmp_path / "images" / "n1.jpg",)
    assert first.origin == "testdev_balanced_questions.json, line 2, entry '201'"


def test_prompts_of_scienceqa(tmp_path):
    """A context only where there is a hint; questions without an image are not of the subset."""
    scienceqa(tmp_path)
    first, second = benchmark("scienceqa").records(tmp_path)
    assert first.prompt == ("Context: Look at both.\nWhich is heavier?\nA. a\nB. b\nC. c" + LETTER)
    assert second.prompt == "Which state?\nA. Ohio\nB. Iowa" + LETTER
    assert [r.references for r in (first, second)] == [("B",), ("A",)]
    assert first.question == "Which is heavier?"


def test_prompts_of_scienceqa_from_llavas_own_file(tmp_path):
    """To the letter where the file is there, under LLaVA's convention alone."""
    scienceqa(tmp_path)
    path = tmp_path / "llava_test_CQM-A.json"
    rows = [
        {"id": i, "conversations": [{"from": "human", "value": f"{q}\n(A) a\n<image>"}]}
        for i, q in (("4", "Which is heavier?"), ("9", "Text only?"), ("11", "Which state?"))
    ]
    path.write_text(json.dumps(rows))
    ask = benchmark("scienceqa").records
    assert ask(tmp_path)[0].prompt == "Which is heavier?\n(A) a" + LETTER
    assert ask(tmp_path, convention="lmms-eval")[0].prompt.startswith("Context: Look at both.")
    path.write_text(json.dumps(rows[:2]))
    with pytest.raises(RowError, match=r"CQM-A.json: asks nothing, or not .* entry '11'"):
        ask(tmp_path)


def test_prompts_of_textvqa(tmp_path):
    """lmms-eval capitalizes, which also lowers the rest; LLaVA leaves the question alone."""
    textvqa(tmp_path)
    ask = benchmark("textvqa").records
    assert ask(tmp_path, convention="llava")[1].prompt == "what Number is shown?" + SHORT
    assert ask(tmp_path, convention="lmms-eval")[1].prompt == "What number is shown?" + SHORT
    with pytest.raises(MissingFilesError, match=r"llava_textvqa_val.* or .*Rosetta"):
        benchmark("textvqa_ocr").records(tmp_path)


def test_ocr_tokens_of_rosetta(tmp_path):
    textvqa(tmp_path, ocr="rosetta")
    first, _, last = benchmark("textvqa_ocr").records(tmp_path)
    ocr = "\nReference OCR token: "
    assert first.prompt == f"what is the brand of this camera?{ocr}DAKOTA, DIGITAL{SHORT}"
    assert last.prompt == f"what does it say?{ocr}{SHORT}"


def test_ocr_tokens_of_llava_go_by_image_and_question(tmp_path):
    """LLaVA's file repeats the image's id for each question about it."""
    textvqa(tmp_path, ocr="llava")
    first, second, _ = benchmark("textvqa_ocr").records(tmp_path)
    ocr = "\nReference OCR token: "
    assert first.prompt == f"what is the brand of this camera?{ocr}is , DIGITAL{SHORT}"
    assert second.prompt == f"what Number is shown?{ocr}Num, DIGITAL{SHORT}"


def test_prompts_of_mme(tmp_path):
    """The request to say yes or no goes; lmms-eval leaves the space that stood before it twice."""
    mme(tmp_path, {"existence": 1, "count": 1})
    with pytest.raises(MissingFilesError, match="position"):
        benchmark("mme").records(tmp_path)
    mme(tmp_path)
    one, two, *_ = benchmark("mme").records(tmp_path)
    assert one.prompt == "Is it a cat?" + SHORT
    assert two.prompt == "Is it a dog?" + SHORT
    *_, lmms = benchmark("mme").records(tmp_path, convention="lmms-eval")[:2]
    assert lmms.prompt == "Is it a dog? " + SHORT
    assert (one.sample_id, one.image_id) == ("existence/0000/1", "existence/0000")
    assert [len(benchmark("mme").records(tmp_path, s)) for s in ("perception", "cognition")] == [
        40,
        16,
    ]


def test_prompts_of_mmvet_and_videos(tmp_path):
    WRITERS["mmvet"](tmp_path)
    WRITERS["msvd"](tmp_path)
    assert benchmark("mmvet").records(tmp_path)[0].prompt == "What is x?"
    lmms = benchmark("mmvet").records(tmp_path, convention="lmms-eval")[0]
    assert lmms.prompt.startswith("First please perform reasoning")
    assert lmms.prompt.endswith(": \n\nWhat is x?")
    videos = benchmark("msvd").records(tmp_path)
    assert videos[0].prompt == "what is a man doing?"
    # test_a.json is in the opposite order: pairing by place would give "light blue"
    assert [r.references for r in videos] == [("sing",), ("man",), ("light blue",)]


def test_splits_of_pope(tmp_path):
    pope(tmp_path, images=3)
    count = {s: len(benchmark("pope").records(tmp_path, s)) for s in benchmark("pope").splits}
    assert count == {"test": 18, "random": 6, "popular": 6, "adversarial": 6}
    assert len(benchmark("pope").records(tmp_path, limit=7)) == 7


def test_the_folder_of_ones_own(tmp_path):
    WRITERS["folder"](tmp_path)
    one, two, three = benchmark("folder").records(tmp_path)
    assert [r.sample_id for r in (one, two, three)] == ["1", "many", "3"]
    assert two.references == ("2", "two")
    assert three.media == (tmp_path / "sub/b.png",)
    assert benchmark("folder").records(tmp_path / "questions.jsonl") == [one, two, three]


# --- what is refused ------------------------------------------------------------------------


def test_unknown_names(tmp_path):
    pope(tmp_path)
    with pytest.raises(UnknownNameError, match="split of pope 'tst'; did you mean 'test'"):
        benchmark("pope").records(tmp_path, "tst")
    with pytest.raises(UnknownNameError, match="convention of pope 'lava'"):
        benchmark("pope").records(tmp_path, convention="lava")
    with pytest.raises(UnknownNameError, match="benchmark 'popes'"):
        benchmark("popes")
    with pytest.raises(ParameterError, match="limit"):
        benchmark("pope").records(tmp_path, limit=0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "coco_pope_popular.json, line 5: not JSON"),
        ("[1]", r"line 5: must be an object with fields; got \[1\]"),
        ('{"question_id": 9}', "line 5: no field 'image'; it has question_id"),
        (
            '{"question_id": 9, "image": "a.jpg", "text": "?", "label": "maybe"}',
            "line 5: 'label' must be yes or no; got 'maybe'",
        ),
        (
            '{"question_id": true, "image": "a.jpg", "text": "?", "label": "no"}',
            "line 5: 'question_id' must be text; got True",
        ),
        (
            '{"question_id": 9, "image": "a.jpg", "text": " ", "label": "no"}',
            "line 5: 'text' must be text that is not blank",
        ),
    ],
)
def test_malformed_rows_name_file_and_line(line, message, tmp_path):
    pope(tmp_path)
    with (tmp_path / "coco/coco_pope_popular.json").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RowError, match=message):
        benchmark("pope").records(tmp_path)


def test_malformed_bytes_name_file_and_line(tmp_path):
    pope(tmp_path)
    with (tmp_path / "coco/coco_pope_random.json").open("ab") as file:
        file.write(b'{"text": "\xff"}\n')
    with pytest.raises(RowError, match=r"coco_pope_random.json, line 5: not UTF-8"):
        benchmark("pope").records(tmp_path)


def test_a_malformed_entry_of_an_object_has_a_line(tmp_path):
    gqa(tmp_path)
    path = tmp_path / "testdev_balanced_questions.json"
    table = json.loads(path.read_text())
    table["203"]["answer"] = 5
    path.write_text(json.dumps(table, indent=1))
    line = 1 + path.read_text()[: path.read_text().index('"203"')].count("\n")
    with pytest.raises(RowError, match=f"line {line}, entry '203': 'answer' must be text; got 5"):
        benchmark("gqa").records(tmp_path)
    path.write_text(path.read_text()[:-2])
    with pytest.raises(RowError, match=r"testdev_balanced_questions.json, line \d+: not JSON"):
        benchmark("gqa").records(tmp_path)


def test_duplicate_ids(tmp_path):
    """In rows, and as keys of a JSON object, of which Python would keep the last."""
    pope(tmp_path)
    path = tmp_path / "coco/coco_pope_random.json"
    path.write_text(path.read_text() * 2)
    with pytest.raises(DuplicateError, match=r"'random/1' stands twice: .*line 1 and .*line 5"):
        benchmark("pope").records(tmp_path)
    gqa(tmp_path)
    path = tmp_path / "testdev_balanced_questions.json"
    path.write_text(path.read_text().replace('"202"', '"201"'))
    with pytest.raises(DuplicateError, match=r"lines 2, .*key '201' stands twice"):
        benchmark("gqa").records(tmp_path)


def test_duplicates_behind_the_limit_are_found_too(tmp_path):
    pope(tmp_path)
    path = tmp_path / "coco/coco_pope_adversarial.json"
    path.write_text(path.read_text() * 2)
    with pytest.raises(DuplicateError):
        benchmark("pope").records(tmp_path, limit=1)


def test_missing_images_are_listed_before_any_work(tmp_path):
    pope(tmp_path, images=20)
    for i in range(12):
        (tmp_path / "val2014" / f"COCO_val2014_{i:012d}.jpg").unlink()
    with pytest.raises(MissingFilesError, match=r"^12 of 20 .*_000000000009.jpg and 2 more$") as e:
        benchmark("pope").records(tmp_path)
    assert len(e.value.paths) == 12
    assert len(benchmark("pope").records(tmp_path, check_media=False)) == 120


def again(path: Path, key: str = "") -> None:
    """The first entry a second time: of a list, or of the list under a key."""
    table = json.loads(path.read_text())
    rows = table[key] if key else table
    rows.append(rows[0])
    path.write_text(json.dumps(table))


def doubled(path: Path) -> None:
    """All lines a second time."""
    path.write_text(2 * path.read_text())


def renamed(path: Path, old: str, new: str) -> None:
    """Entry `old` of an object under the key of another: written as text, as JSON has one each."""
    text = path.read_text()
    assert f'"{old}": {{' in text
    path.write_text(text.replace(f'"{old}": {{', f'"{new}": {{'))


TWICE = {
    "gqa": lambda root: renamed(root / "testdev_balanced_questions.json", "202", "201"),
    "scienceqa": lambda root: renamed(root / "problems.json", "11", "4"),
    "textvqa": lambda root: again(root / "TextVQA_0.5.1_val.json", "data"),
    "textvqa_ocr": lambda root: again(root / "TextVQA_0.5.1_val.json", "data"),
    "mmvet": lambda root: renamed(root / "mm-vet.json", "v1_1", "v1_0"),
    "pope": lambda root: doubled(root / "coco/coco_pope_popular.json"),
    **dict.fromkeys(("tgif", "msvd", "msrvtt"), lambda root: again(root / "test_q.json")),
    "folder": lambda root: doubled(root / "questions.jsonl"),
}


@pytest.mark.parametrize("name", TWICE)
def test_what_stands_twice_is_refused_by_every_benchmark(name, tmp_path):
    """But for MME, whose ids are names of files and lines: there is one of each."""
    assert set(TWICE) == set(BENCHMARKS) - {"mme"}
    WRITERS[name](tmp_path)
    TWICE[name](tmp_path)
    with pytest.raises(DuplicateError, match="twice"):
        benchmark(name).records(tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_missing_image_or_video_is_named_by_every_benchmark(name, tmp_path):
    WRITERS[name](tmp_path)
    gone = benchmark(name).records(tmp_path)[0].media[0]
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(MissingFilesError, match=r"^1 of \d+") as error:
        benchmark(name).records(tmp_path)
    assert [Path(path).stem for path in error.value.paths] == [gone.stem]


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "mme"])
def test_a_blank_question_is_refused_by_every_benchmark(name, tmp_path):
    """In whatever file it stands; MME's two lines have tests of their own."""
    WRITERS[name](tmp_path)
    asked = benchmark(name).records(tmp_path)[0].question
    files = [p for p in tmp_path.rglob("*.json*") if json.dumps(asked) in p.read_text()]
    assert files
    for path in files:
        path.write_text(path.read_text().replace(json.dumps(asked), '"  "'))
    with pytest.raises(RowError, match="blank"):
        benchmark(name).records(tmp_path)


def test_missing_files_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(MissingFilesError, match=r"coco/coco_pope_random.json or .*output/coco"):
        benchmark("pope").records(tmp_path)
    with pytest.raises(MissingFilesError, match=r"mm-vet\.json"):
        benchmark("mmvet").records(tmp_path)


def test_rows_that_contradict_each_other(tmp_path):
    scienceqa(tmp_path)
    splits = tmp_path / "pid_splits.json"
    splits.write_text(json.dumps({"test": ["4", "77"]}))
    with pytest.raises(RowError, match=r"'77' is not in problems\.json"):
        benchmark("scienceqa").records(tmp_path)
    splits.write_text(json.dumps({"test": ["9"]}))
    with pytest.raises(DatasetError, match="has no question"):
        benchmark("scienceqa").records(tmp_path)
    WRITERS["tgif"](tmp_path)
    (tmp_path / "test_a.json").write_text('[{"question_id": "1", "answer": "x"}]')
    with pytest.raises(RowError, match="2 ids are in one of them only: 2, 3"):
        benchmark("tgif").records(tmp_path)


def test_a_right_choice_that_is_not_there(tmp_path):
    scienceqa(tmp_path)
    path = tmp_path / "problems.json"
    path.write_text(path.read_text().replace('"answer": 1', '"answer": 3'))
    with pytest.raises(RowError, match="entry '4': 'answer' must be the place of one of 3"):
        benchmark("scienceqa").records(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Is it?\tYes\n", "must have two questions; got 1"),
        ("Is it?\tYes\nIs it? No\n", r"existence/0000.txt, line 2: must be question, tab, answer"),
        ("Is it?\tYes\nIs it?\tperhaps\n", "line 2: 'answer' must be yes or no; got 'perhaps'"),
    ],
)
def test_malformed_files_of_mme(text, message, tmp_path):
    mme(tmp_path)
    (tmp_path / "MME_Benchmark_release_version/existence/0000.txt").write_text(text)
    with pytest.raises(RowError, match=message):
        benchmark("mme").records(tmp_path)


# --- images and videos ----------------------------------------------------------------------


def test_an_unreadable_image_is_of_one_record(tmp_path):
    """The others are read; the error names the file."""
    WRITERS["folder"](tmp_path)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    found = list(opened(benchmark("folder").records(tmp_path)))
    assert [isinstance(media, ImageError) for _, media in found] == [True, True, False]
    assert "a.png" in str(found[0][1])
    assert found[2][1][0].shape == (4, 6, 3)


def test_images_are_red_green_blue_and_not_turned(tmp_path):
    """An EXIF tag that says "turned" is not followed: LLaVA and lmms-eval do not either."""
    image = Image.new("L", (6, 4), 7)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / "gray.jpg", exif=exif)
    pixels = read_image(tmp_path / "gray.jpg")
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 7).all()


def test_benchmarks_stream_examples_as_the_fruit_fly_does(tmp_path):
    WRITERS["folder"](tmp_path)
    (tmp_path / "sub/b.png").write_text("no image")
    seen = []
    stream = DATASETS["folder"]("test", root=tmp_path, on_error=lambda r, e: seen.append(r))
    examples = list(stream)
    assert [e.sample_id for e in examples] == ["1", "many"]
    assert [r.sample_id for r in seen] == ["3"]
    assert examples[1].metadata["references"] == ["2", "two"]
    with pytest.raises(ImageError, match=r"b\.png"):
        list(DATASETS["folder"]("test", root=tmp_path))
    (one,) = DATASETS["fruitfly"]("test", limit=1, seed=0)
    assert one.image.dtype == examples[0].image.dtype
    with pytest.raises(ParameterError, match="has videos"):
        next(DATASETS["tgif"]("test", root=tmp_path))


def test_frames_of_gifs_and_folders(tmp_path):
    """15 frames give every second one, as linspace rounds down; 3 are repeated."""
    WRITERS["tgif"](tmp_path)
    gif, _, folder = benchmark("tgif").records(tmp_path)
    shades = [int(f.mean().round()) for f in read_frames(gif.media[0])]
    assert shades == [10 * i for i in frame_places(15)] == [0, 20, 40, 60, 80, 100, 120, 140]
    assert [int(f[0, 0, 0]) for f in read_frames(folder.media[0])] == [0, 0, 0, 0, 1, 1, 1, 2]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="has no frame"):
        read_frames(tmp_path / "empty")
    found = list(opened([gif, folder], is_video=True))
    assert [len(frames) for _, frames in found] == [8, 8]


def test_video_files(tmp_path):
    path = tmp_path / "v.mp4"
    if importlib.util.find_spec("av") is None:
        path.write_bytes(b"")
        with pytest.raises(MissingDependencyError, match=r"mitheory\[video\]"):
            read_frames(path)
        return
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(15):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 16 * i, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    shades = [float(f.mean()) for f in read_frames(path)]
    assert np.allclose(shades, [16 * i for i in frame_places(15)], atol=4)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ImageError, match="cannot be read as a video"):
        read_frames(path)


# --- the Hub --------------------------------------------------------------------------------


class Table:
    """As much of a `datasets.Dataset` as is used."""

    def __init__(self, rows: list[dict], columns: list[str] | None = None) -> None:
        self.rows, self.column_names = rows, columns or list(rows[0])

    def cast_column(self, name, feature):
        assert feature.decode is False
        return self

    def remove_columns(self, names):
        kept = [c for c in self.column_names if c not in names]
        return Table([{c: row[c] for c in kept} for row in self.rows], kept)

    def __iter__(self):
        return iter(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


@pytest.fixture
def hub(monkeypatch):
    """Tables by (path, configuration, split), in place of `datasets`."""
    tables: dict = {}
    module = ModuleType("datasets")

    def load_dataset(path, config=None, *, split):
        if (path, config, split) not in tables:
            raise ValueError(f"Unknown split {split!r}")
        return tables[path, config, split]

    module.load_dataset = load_dataset
    module.Image = lambda decode: SimpleNamespace(decode=decode)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return tables


def encoded(tmp_path, shade: int) -> dict:
    picture(tmp_path / "one.png", shade)
    return {"bytes": (tmp_path / "one.png").read_bytes(), "path": None}


def test_pope_from_the_hub(hub, tmp_path):
    for k, strategy in enumerate(("random", "popular", "adversarial")):
        rows = [
            {"question_id": str(i), "question": "Is there a dog?", "answer": answer,
             "image_source": "COCO_1", "image": encoded(tmp_path, k), "category": strategy}
            for i, answer in enumerate(["yes", "no"])
        ]  # fmt: skip
        hub["lmms-lab/POPE", "Full", strategy] = Table(rows)
    records = benchmark("pope").records()
    assert [r.sample_id for r in records[:3]] == ["random/0", "random/1", "popular/0"]
    assert [int(read_image(r.media[0])[0, 0, 0]) for r in records] == [0, 0, 1, 1, 2, 2]
    assert records[0].prompt == "Is there a dog?" + SHORT
    hub["lmms-lab/POPE", "Full", "popular"] = Table([{"question": "?"}])
    with pytest.raises(DatasetError, match="popular: no column 'image'; it has"):
        benchmark("pope").records()
    with pytest.raises(DatasetError, match=r"mine \(Full\), random: cannot be had"):
        benchmark("pope").records(hub_path="mine")


def test_gqa_from_the_hub_joins_images(hub, tmp_path):
    path = "lmms-lab/GQA"
    images = [{"id": "n1", "image": encoded(tmp_path, 9)}]
    hub[path, "testdev_balanced_images", "testdev"] = Table(images)
    question = {"id": "201", "imageId": "n1", "question": "Blue?", "answer": "yes"}
    rows = [question, question | {"id": "202", "imageId": "n7"}]
    hub[path, "testdev_balanced_instructions", "testdev"] = Table(rows)
    with pytest.raises(RowError, match="row 1: 'imageId' must be among the 1 images"):
        benchmark("gqa").records()
    hub[path, "testdev_balanced_instructions", "testdev"] = Table(rows[:1])
    (record,) = benchmark("gqa").records()
    assert int(read_image(record.media[0])[0, 0, 0]) == 9


def test_the_others_from_the_hub(hub, tmp_path):
    image = encoded(tmp_path, 3)
    hub["lmms-lab/ScienceQA", "ScienceQA-IMG", "test"] = Table(
        [{"question": "q", "choices": ["a", "b"], "answer": 1, "hint": "", "image": image}]
    )
    hub["lmms-lab/textvqa", None, "validation"] = Table(
        [{"question_id": 1, "image_id": "i", "question": "q", "answers": ["a"] * 10,
          "ocr_tokens": ["X", "Y"], "image": image}]
    )  # fmt: skip
    hub["lmms-lab/MMVet", None, "test"] = Table(
        [{"question_id": "v1_0", "question": "q", "answer": "a", "capability": "rec,ocr",
          "image": image}]
    )  # fmt: skip
    pair = {"question_id": "OCR/1.png", "category": "OCR", "image": image, "answer": "Yes"}
    rows = [pair | {"question": "a? Please answer yes or no."}, pair | {"question": "b?"}]
    hub["lmms-lab/MME", None, "test"] = Table(rows)
    assert benchmark("scienceqa").records()[0].references == ("B",)
    assert "token: X, Y\n" in benchmark("textvqa_ocr").records()[0].prompt
    assert benchmark("mmvet").records()[0].metadata["capabilities"] == ("rec", "ocr")
    assert [r.sample_id for r in benchmark("mme").records()] == ["OCR/1/1", "OCR/1/2"]
    hub["lmms-lab/MME", None, "test"] = Table([*rows, pair | {"question": "c?"}])
    with pytest.raises(RowError, match="row 2: 'question_id' must be that of an image with two"):
        benchmark("mme").records()


def test_without_a_folder_and_without_the_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"mitheory\[datasets\]"):
        benchmark("pope").records()
    with pytest.raises(ParameterError, match="not on the Hugging Face Hub"):
        benchmark("tgif").records()


def test_a_row_of_the_hub_without_an_image(hub):
    hub["lmms-lab/MMVet", None, "test"] = Table(
        [{"question_id": "v1_0", "question": "q", "answer": "a", "capability": "rec",
          "image": None}]
    )  # fmt: skip
    ((_, error),) = opened(benchmark("mmvet").records())
    assert isinstance(error, ImageError)


def test_folders_refuse_paths_of_one_machine(tmp_path):
    row = {"image": str(tmp_path / "a.png"), "question": "q", "answer": "a"}
    write_jsonl(tmp_path / "questions.jsonl", [row])
    with pytest.raises(RowError, match="'image' must be a path inside the folder"):
        benchmark("folder").records(tmp_path)
