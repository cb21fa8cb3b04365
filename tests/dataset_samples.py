"""Small files in the official formats of the benchmarks, written by code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, shade: int = 0) -> None:
    """A small image; JPEG or PNG by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), shade % 256, np.uint8)).save(path)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def gqa(root: Path) -> None:
    """Three questions about two images."""
    rows = {
        "201": ("n1", "Is the sky blue?", "yes", "verify"),
        "202": ("n1", "What is on the table?", "t-shirt", "query"),
        "203": ("n2", "Who is it?", "man", "query"),
    }
    write_json(
        root / "testdev_balanced_questions.json",
        {
            key: {"imageId": i, "question": q, "answer": a, "types": {"structural": s}}
            for key, (i, q, a, s) in rows.items()
        },
    )
    for image in ("n1", "n2"):
        picture(root / "images" / f"{image}.jpg")


def scienceqa(root: Path) -> None:
    """Two problems with an image, one without."""
    common = {"hint": "", "subject": "natural science", "split": "test"}
    problems = {
        "4": common
        | {"question": "Which is heavier?", "choices": ["a", "b", "c"], "answer": 1,
           "image": "image.png", "hint": "Look at both."},
        "9": common | {"question": "Text only?", "choices": ["x", "y"], "answer": 0, "image": None},
        "11": common
        | {"question": "Which state?", "choices": ["Ohio", "Iowa"], "answer": 0,
           "image": "choice.png", "subject": "social science"},
    }  # fmt: skip
    write_json(root / "problems.json", problems)
    write_json(root / "pid_splits.json", {"test": ["4", "9", "11"], "val": [], "train": []})
    picture(root / "images/test/4/image.png")
    picture(root / "images/test/11/choice.png")


def textvqa(root: Path, *, ocr: str = "") -> None:
    """Two questions about one image, one about another; OCR tokens as LLaVA's or Rosetta's."""
    rows = [
        (34602, "0054c91397f2fe05", "what is the brand of this camera?",
         ["nous les gosses"] + ["dakota"] * 8 + ["clos culombu"]),
        (34603, "0054c91397f2fe05", "what Number is shown?", ["3"] * 2 + ["three"] + ["4"] * 7),
        (34604, "2ec5bd6ff9f19ee7", "what does it say?", ["don't"] * 10),
    ]  # fmt: skip
    write_json(
        root / "TextVQA_0.5.1_val.json",
        {
            "dataset_type": "val",
            "data": [
                {"question_id": i, "image_id": image, "question": q, "answers": a}
                for i, image, q, a in rows
            ],
        },
    )
    for image in {row[1] for row in rows}:
        picture(root / "train_images" / f"{image}.jpg")
    if ocr == "rosetta":
        tokens = {"0054c91397f2fe05": ["DAKOTA", "DIGITAL"], "2ec5bd6ff9f19ee7": []}
        write_json(
            root / "TextVQA_Rosetta_OCR_v0.2_val.json",
            {"data": [{"image_id": k, "ocr_tokens": v} for k, v in tokens.items()]},
        )
    if ocr == "llava":
        suffix = "\nAnswer the question using a single word or phrase."
        write_jsonl(
            root / "llava_textvqa_val_v051_ocr.jsonl",
            [
                {"question_id": image, "image": f"{image}.jpg",
                 "text": f"{q}\nReference OCR token: {q[5:8]}, DIGITAL{suffix}"}
                for _, image, q, _ in rows
            ],
        )  # fmt: skip


def pope(root: Path, images: int = 2) -> None:
    """Two questions about each image for every strategy: the first yes, the second no."""
    for strategy in ("random", "popular", "adversarial"):
        rows = [
            {"question_id": 2 * i + j + 1, "image": f"COCO_val2014_{i:012d}.jpg",
             "text": f"Is there a {thing} in the image?", "label": label}
            for i in range(images)
            for j, (thing, label) in enumerate([("dog", "yes"), (strategy, "no")])
        ]  # fmt: skip
        write_jsonl(root / "coco" / f"coco_pope_{strategy}.json", rows)
    for i in range(images):
        picture(root / "val2014" / f"COCO_val2014_{i:012d}.jpg")


def mme(root: Path, categories: Mapping[str, int] | None = None) -> None:
    """Images with a yes and a no question each; half of the categories nested as released."""
    from analysis.datasets.mme import SPLITS

    base = root / "MME_Benchmark_release_version"
    counts = dict.fromkeys(SPLITS["all"], 2) if categories is None else categories
    for k, (category, images) in enumerate(counts.items()):
        nested = k % 2 == 1
        texts = base / category / ("questions_answers_YN" if nested else "")
        pictures = base / category / ("images" if nested else "")
        for i in range(images):
            texts.mkdir(parents=True, exist_ok=True)
            (texts / f"{i:04d}.txt").write_text(
                "Is it a cat? Please answer yes or no.\tYes\n"
                "Is it a dog?  Please answer yes or no.\tNo\n"
            )
            picture(pictures / f"{i:04d}.{'png' if nested else 'jpg'}")


def mmvet(root: Path) -> None:
    """Three questions, with one and with several capabilities."""
    rows = {
        "v1_0": ("What is x?", "-1<AND>-5", ["ocr", "math"]),
        "v1_1": ("What is it?", "cat<OR>kitten", ["rec"]),
        "v1_2": ("Explain.", "a joke", ["rec", "know", "gen"]),
    }
    write_json(
        root / "mm-vet.json",
        {
            key: {"imagename": f"{key}.png", "question": q, "answer": a, "capability": c}
            for key, (q, a, c) in rows.items()
        },
    )
    for key in rows:
        picture(root / "images" / f"{key}.png")


def videos(root: Path) -> None:
    """Two questions about a GIF, one about a folder of frames; answers in another order."""
    rows = [("v0", "1", "what is a man doing?", "sing"), ("v0", "2", "who sings?", "man"),
            ("v1", "3", "what color is it?", "light blue")]  # fmt: skip
    write_json(
        root / "test_q.json",
        [{"video_name": v, "question_id": i, "question": q} for v, i, q, _ in rows],
    )
    write_json(root / "test_a.json", [{"question_id": i, "answer": a} for _, i, _, a in rows[::-1]])
    frames = [Image.fromarray(np.full((4, 6, 3), 10 * i, np.uint8)) for i in range(15)]
    (root / "videos").mkdir(parents=True, exist_ok=True)
    frames[0].save(root / "videos/v0.gif", save_all=True, append_images=frames[1:])
    for i in range(3):
        picture(root / "videos/v1" / f"{i:03d}.png", shade=i)


def folder(root: Path) -> None:
    """Three questions about two images of one's own."""
    write_jsonl(
        root / "questions.jsonl",
        [
            {"image": "a.png", "question": "What color?", "answer": "red"},
            {"image": "a.png", "question": "How many?", "answer": ["2", "two"], "id": "many"},
            {"image": "sub/b.png", "question": "Yes?", "answer": "yes", "group": "binary"},
        ],
    )
    picture(root / "a.png")
    picture(root / "sub/b.png")


WRITERS = {
    "gqa": gqa, "scienceqa": scienceqa, "textvqa": textvqa,
    "textvqa_ocr": lambda root: textvqa(root, ocr="rosetta"), "mmvet": mmvet, "mme": mme,
    "pope": pope, "tgif": videos, "msvd": videos, "msrvtt": videos, "folder": folder,
}  # fmt: skip
"""name of a benchmark -> writer of its files into a folder."""
