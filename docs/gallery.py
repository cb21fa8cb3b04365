"""The gallery: every figure of `paper_figures`, drawn from docs/results, with its code.

`make docs` draws what is out of date and writes docs/gallery/, which is not kept in the repository.
The result files are those of a whole `mitheory reproduce --out out`; where a figure asks for tables
that they lack, make them anew and bring them here: ``python docs/gallery.py out``.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from writing import hidden_toctree, plain, table

from mitheory.io import atomic_write, atomic_write_text
from paper_figures import registry, render
from paper_figures.claims import Comparison
from paper_figures.render import Rendered
from paper_figures.results import ALWAYS_READ, Results, load

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAPER = {module.FIGURE.name for module in registry.PAPER}
KINDS = {"png": "PNG", "pdf": "PDF", "csv": "CSV", "tex": "LaTeX"}


@dataclass(frozen=True)
class Other:
    """A picture of docs/images that is drawn from other tables than those of a run."""

    title: str
    caption: str
    code: str
    command: str
    page: str


OTHERS = {
    "training_curves": Other(
        "How the model was trained",
        "Validation accuracy along the stages of training, from the committed logs.",
        "paper_figures/training_curves.py",
        "python -m paper_figures.training_curves docs/images",
        "model_card",
    ),
    "precision": Other(
        "What precision changes in the kept sets",
        "Kept tokens that change when inputs are rounded or arithmetic is done in half precision.",
        "paper_figures/precision.py",
        "mitheory dtypes --out out/precision",
        "precision",
    ),
    "scaling": Other(
        "What selection costs",
        "Time of every method over the number of tokens and over the budget.",
        "paper_figures/scaling.py",
        "make bench",
        "speed",
    ),
    "calibration_bias": Other(
        "The bias of estimators of mutual information",
        "Error of every estimator where the truth is known, by sample size and dimension.",
        "analysis/calibration/figure.py",
        "mitheory calibrate --out out/calibration",
        "calibration",
    ),
}

INDEX = """\
# Gallery

Every figure and table that `mitheory reproduce` draws, each with its data and its code. The
pictures are drawn when this site is built, by the code that is shown, from the tables of a whole
`make reproduce` that lie in `docs/results`: {questions} questions about {scenes} scenes, and
studies and predictions on samples of their own.

```console
mitheory reproduce --out out                      # all of them, and out/index.html
python -m paper_figures fig4 tab1 --results out   # some, by number in the paper or by name
python -m paper_figures --list
```
"""


def write(folder: Path) -> None:
    """Draw what is out of date and write the pages below `folder`/gallery.

    Raises
    ------
    RuntimeError
        If a figure cannot be drawn from docs/results.
    """
    out = folder / "gallery"
    rendered = render.render_all(RESULTS, out)
    missing = [f"{r.spec.name}: {r.reason}" for r in rendered if not r.is_drawn]
    if missing:
        raise RuntimeError(f"docs/results must hold the tables of every figure: {missing}")
    (out / "index.html").unlink()  # the run's own page; this is another one
    for name in OTHERS:
        shutil.copyfile(HERE / "images" / f"{name}.png", out / render.FOLDER / f"{name}.png")
    for name, text in pages(rendered, load(RESULTS)).items():
        path = out / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            atomic_write_text(path, text)  # untouched pages are not read again


def bring(run: Path, target: Path = RESULTS) -> None:
    """Copy the tables of a run, all that the site is made from, in place of those that are there.

    Raises
    ------
    FileNotFoundError
        If the run lacks one of them; then nothing is changed.
    """
    wanted = [run / name for name in (*ALWAYS_READ, "audit/verdicts.json")]
    studies = [p for p in sorted((run / "studies").glob("*.*")) if p.is_file()]
    content = {p.relative_to(run): p.read_bytes() for p in [*wanted, *studies]}
    shutil.rmtree(target, ignore_errors=True)
    for name, data in content.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target / name, data)


def pages(rendered: Sequence[Rendered], results: Results) -> dict[str, str]:
    """Name -> text of every page of the gallery."""
    made = {r.spec.name: figure_page(r) for r in rendered}
    made |= {name: other_page(name, other) for name, other in OTHERS.items()}
    return {"index": index_page(rendered, results), **made}


def index_page(rendered: Sequence[Rendered], results: Results) -> str:
    """The page with all thumbnails."""
    figures = {r.spec.name: r.spec for r in rendered}
    drawn = {r.spec.name for r in rendered if r.is_drawn} | set(OTHERS)
    rows = results.table
    header = INDEX.format(questions=rows["sample_id"].nunique(), scenes=rows["image_id"].nunique())
    redrawn = {name: spec for name, spec in figures.items() if name in PAPER}
    own = {name: spec for name, spec in figures.items() if name not in PAPER}
    return "\n".join(
        [
            header,
            "## The paper's figures and tables, beside ours\n",
            _grid({n: (s.title, ", ".join(s.ids)) for n, s in redrawn.items()}, drawn),
            "## Ours\n",
            _grid({n: (s.title, s.source) for n, s in own.items()}, drawn),
            "## Drawn from other tables\n",
            _grid({n: (o.title, "") for n, o in OTHERS.items()}, drawn),
            hidden_toctree([*figures, *OTHERS]),
        ]
    )


def _grid(cards: Mapping[str, tuple[str, str]], drawn: Collection[str]) -> str:
    made = [_card(name, *card, has_picture=name in drawn) for name, card in cards.items()]
    return "::::{grid} 1 2 2 3\n:gutter: 3\n\n" + "".join(made) + "::::\n"


def _card(name: str, title: str, note: str, *, has_picture: bool) -> str:
    picture = f":img-top: {render.FOLDER}/{name}.png\n:img-alt: {title}\n" if has_picture else ""
    return (
        f":::{{grid-item-card}} {plain(title)}\n{picture}"
        f":link: {name}\n:link-type: doc\n:class-card: figure-card\n\n"
        f"`{name}`{f' · {plain(note)}' if note else ''}\n:::\n"
    )


def figure_page(rendered: Rendered) -> str:
    """The page of one figure: picture, caption, files, comparisons, command, code."""
    spec = rendered.spec
    files = ", ".join(
        f"{{download}}`{KINDS[kind]} <{render.FOLDER}/{spec.name}.{kind}>`" for kind in spec.kinds
    )
    asked = spec.ids[0] if spec.ids else spec.name
    parts = [
        f"# {plain(spec.title)}\n",
        f"{plain(spec.source)}. {plain(spec.printed)}\n",
        _picture(spec.name, spec.title, rendered.caption) + f"\nAs {files}.\n"
        if rendered.is_drawn
        else f"Not drawn: {plain(rendered.reason)}.\n",
        _compared(rendered.comparisons),
        f"## Draw it\n\n```console\npython -m paper_figures {asked} --results out\n```\n",
        f"## Its code\n\n{_code(module_file(spec.name))}",
    ]
    return "\n".join(part for part in parts if part)


def other_page(name: str, other: Other) -> str:
    """The page of a picture that is drawn from other tables."""
    return "\n".join(
        [
            f"# {other.title}\n",
            f"It stands in [its document](../{other.page}.md).\n",
            _picture(name, other.title, other.caption),
            f"## Draw it\n\n```console\n{other.command}\n```\n",
            f"## Its code\n\n{_code(HERE.parent / other.code)}",
        ]
    )


def module_file(name: str) -> Path:
    """The file of a figure's module.

    >>> module_file("renyi").name
    'renyi.py'
    """
    (module,) = (m for m in registry.PAPER + registry.OURS if m.FIGURE.name == name)
    return Path(str(sys.modules[module.__name__].__file__))


def points(share: float) -> float:
    """A share in points, to a decimal; no negative zero.

    >>> points(-0.1234), points(-0.0001)
    (-12.3, 0.0)
    """
    return round(100 * share, 1) + 0.0


def _picture(name: str, title: str, caption: str) -> str:
    picture = f"{render.FOLDER}/{name}.png"
    return f"```{{figure}} {picture}\n:alt: {title}\n\n{plain(caption)}\n```\n"


def _code(path: Path) -> str:
    relative = path.relative_to(HERE.parent).as_posix()
    return f"```{{literalinclude}} ../../{relative}\n:caption: {relative}\n```\n"


def _compared(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    rows = [
        [
            plain(f"{c.first} − {c.second}"),
            plain(c.scope or "all"),
            f"{c.budget}",
            f"{points(c.estimate):+} \\[{points(c.low)}, {points(c.high)}\\]".replace("-", "−"),
            c.verdict,
        ]
        for c in comparisons
    ]
    header = ["the paper favors the first", "questions", "tokens", "points", "ours"]
    return f"## What the paper says of it\n\n{table(header, rows)}"


if __name__ == "__main__":
    bring(Path(sys.argv[1]))
