"""Write docs/mutants.md from a finished run of mutmut (`make mutants`).

mutmut changes one thing in a function of the theory and runs the tests that reach it; a change
that no test notices survives. Survivors are listed here with the reason why each is tolerated.
"""

from __future__ import annotations

import collections
import difflib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "mutants.md"
SURVIVED = 0  # exit status of the tests

Kind = Callable[[str, str, str], bool]  # of the line, what was there, what took its place

NUMBER = re.compile(r"^[-+]?[\d._]+$|^None$|^$")


def is_text(line: str, old: str, new: str) -> bool:
    """A name or a word in a message."""
    in_message = re.search(r"came =|raise |f\"|Error\(", line)
    is_name = re.search(r"check_|lookup|unit_rows|_need", line) and not re.search(r"mask|norm", old)
    return "XX" in new or old.upper() == new or bool(in_message or is_name)


def is_place(line: str, old: str, new: str) -> bool:
    """A device or precision that is the default where the tests run."""
    return bool(re.search(r"device|dtype|\.to\(", line)) and (new in ("None", "") or old == "")


def is_boundary(line: str, old: str, new: str) -> bool:
    """Less against at most."""
    return {old, new} <= {"<", "<=", ">", ">=", "", "="}


def is_axis(line: str, old: str, new: str) -> bool:
    """Another name of an axis."""
    reduces = re.search(
        r"sum\(|amax|any\(|softmax|logsumexp|shape\[|mean\(|unsqueeze|transpose", line
    )
    return bool(reduces) and bool(NUMBER.match(new) or new in ("+", "-"))


def is_fill(line: str, old: str, new: str) -> bool:
    """A number that does not matter."""
    return bool(re.search(r"masked_fill|where\(|clamp|eps|10_000", line)) and bool(
        NUMBER.match(new) or new in ("*", "/", "+", "-")
    )


KINDS: tuple[tuple[Kind, str], ...] = (
    (is_text, "A name or a word in a message: tests compare the messages users meet most, not all"),
    (is_place, "A device or precision that is the default where the tests run"),
    (is_boundary, "Less against at most, where equality of floating-point numbers decides nothing"),
    (is_axis, "An axis named in another way, the same for tensors of the ranks that occur"),
    (is_fill, "A number that is masked, multiplied by zero or normalized away, or a tolerance"),
)
REST = "Of no such kind"

NOTES: tuple[tuple[str, str], ...] = (
    (r"(maximum|lse)\(pmi, None\)", "the argument is not looked at"),
    (r"rpartition", "a name has one colon at most"),
    (r"\) and False else pmi.masked_fill", "without a mask every word is real"),
    (
        r"range\(0, rows\)|len\((sample|square)\), \)|len\(x\) (!=|==) "
        r"|SMALL / pairs|stack\(found\)",
        "another way to the same numbers: other blocks, or none",
    ),
    (r"^for .*(subsets\(|range\(|_paths\()", "the cases that are added have nothing to loop over"),
    (r"State\(column", "only whether something is selected is asked"),
    (r"(0\.0|1\.0) if i in state", "the gain of a selected element means nothing"),
    (r"strict=(False|None)\b|, \):$", "both are as long by construction"),
    (
        r"keep(_cosine)?\b|if \(?kept is None|, None$|, None\)$|\bcosine \)$"
        r"|buffer = |panel, right",
        "another way to the same numbers: time or memory differ",
    ),
    (r"here = |if bool\(None\)|if _is_plain", "another way to the same numbers: time differs"),
    (r"down = max", "a shift that is added again: it guards against overflow"),
    (r"limits\.(tiny|max)", "which rows take the careful way, which gives the same numbers"),
    (r"device|dtype|\.to\(", "the default where the tests run"),
    (r"totals: dict|totals\[path\[:-1\]\] -", "every total is shifted or reflected alike"),
    (r"column\[i\]", "the entry of a selected element is never read again"),
    (r"new_zeros\(1", "a row of zeros explains nothing"),
    (r"len\(matrix\)\) or True else 0\.0", "the empty matrix has determinant 1 by itself"),
    (r"empty_like|zeros_like\(unit", "of its values none, or only zeros, are read"),
    (
        r"norm=None|norm is|not norm|x\.is_cpu|norm = None|high and False|zero_norm=zero_norm, \)",
        "a norm that is known is computed again, or rows are scaled first: the same numbers",
    ),
    (
        r"is_half|_is_plain|plain = |cosine, \)|^TILE|None, is_half",
        "another way to the same numbers",
    ),
    (r"(row|column)_mask is", "which of two ways to the same numbers is taken"),
    (r"2 \* temperature|-2 / temperature", "which of two ways to the same numbers is taken"),
    (r"\.abs\(\) / p_t", "the tolerance is scaled by a probability"),
)
"""Explanations of single survivors, by what their new line looks like."""


@dataclass(frozen=True)
class Mutant:
    """A change to a function and what became of it."""

    name: str
    module: str
    survived: bool


def mutants(folder: Path) -> Iterator[Mutant]:
    """Every mutant that was run. mutmut keeps one file of exit statuses per module."""
    for path in sorted(folder.rglob("*.meta")):
        module = str(path.relative_to(folder)).removesuffix(".meta")
        for name, status in json.loads(path.read_text())["exit_code_by_key"].items():
            if status is not None:
                yield Mutant(name, module, status == SURVIVED)


def change(name: str) -> tuple[str, str]:
    """The line that was there and the line that took its place."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    lines = get_diff_for_mutant(name).splitlines()
    old = [line[1:].strip() for line in lines if re.match(r"-(?!--)", line)]
    new = [line[1:].strip() for line in lines if re.match(r"\+(?!\+\+)", line)]
    return " ".join(old), " ".join(new)


def kind_of(old: str, new: str) -> str:
    """Why a survivor is tolerated: the first kind that its change is of."""
    match = difflib.SequenceMatcher(None, old, new, autojunk=False)
    parts = [op for op in match.get_opcodes() if op[0] != "equal"]
    if not parts:
        return REST
    gone = old[parts[0][1] : parts[-1][2]].strip()
    came = new[parts[0][3] : parts[-1][4]].strip()
    return next((text for is_kind, text in KINDS if is_kind(old, gone, came)), REST)


def page(found: list[Mutant]) -> str:
    """The document."""
    total, left = len(found), [m for m in found if m.survived]
    lines = [
        "# Mutation testing of the theory",
        "",
        "`make mutants` changes one thing at a time in the modules of the theory (distributions,",
        "priors, PMI, aggregation, properties, scores, set functions) and runs the tests that",
        "reach it. Written by `docs/mutants.py` from the last such run.",
        "",
        f"**{total} mutants, {total - len(left)} killed: {1 - len(left) / total:.1%}.**",
        "",
        "| module | mutants | killed | share |",
        "|---|---:|---:|---:|",
    ]
    by_module = collections.defaultdict(list)
    for mutant in found:
        by_module[mutant.module].append(mutant)
    for module, own in sorted(by_module.items()):
        killed = sum(not m.survived for m in own)
        lines.append(f"| `{module}` | {len(own)} | {killed} | {killed / len(own):.0%} |")
    groups = collections.defaultdict(list)
    for mutant in left:
        old, new = change(mutant.name)
        groups[kind_of(old, new)].append((mutant.module, old, new))
    lines += ["", "## Survivors", ""]
    for text in [*(t for _, t in KINDS), REST]:
        if groups[text]:
            lines += [f"### {text}", "", "| module | was | became | note |", "|---|---|---|---|"]
            lines += [
                f"| `{m}` | {code(o)} | {code(n)} | {note(n) if text == REST else ''} |"
                for m, o, n in sorted(groups[text])
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def note(new: str) -> str:
    """Why a survivor of no kind is tolerated."""
    found = (text for pattern, text in NOTES if re.search(pattern, new))
    return next(found, "**not covered by a test**")


def code(line: str) -> str:
    """A line of code in a cell of a table."""
    return "`" + line.replace("|", "\\|") + "`" if line else "(nothing)"


if __name__ == "__main__":
    PAGE.write_text(page(list(mutants(ROOT / "mutants"))), encoding="utf-8")
