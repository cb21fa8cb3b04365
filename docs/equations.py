"""Which function computes which equation of the paper, and which tests name it.

Reads the `Source:` lines of the docstrings and writes docs/equations.md (`make index`).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mitheory"
TARGET = ROOT / "docs" / "equations.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- equations: make index -->\n", "<!-- end of equations -->"

CORE: dict[str, tuple[str, ...]] = {
    "distributions.cosine.similarity": ("matrices",),
    "distributions.conditionals.softmax": ("matrices", "normalization"),
    "pmi.pointwise.log_marginal": ("prior_comparison",),
    "pmi.pointwise.pmi": ("matrices",),
    "aggregation.over_words.maximum": ("aggregation", "renyi"),
    "aggregation.over_words.kl": ("aggregation", "renyi"),
    "scores.lowest_redundancy": ("matrices", "relevance_weight"),
    "scores.weighted_score": ("relevance_weight",),
    "selection.search.eager.greedy": ("accuracy_budget", "search_cost"),
    "properties.check_path_independent": ("verdict_overview",),
    "properties.check_submodular": ("verdict_overview",),
    "aggregation.bounds.max_below_sum": ("verdict_overview",),
    "selection.attention.attention": ("accuracy_budget",),
    "selection.front_door.select": ("kept_patches", "all_methods"),
}
"""What the README shows: function -> figures (files of paper_figures) in which one sees it."""

SHOWN_TESTS = 2  # of a function in the README: the files that name it most

SOURCE = re.compile(r"Source:\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL)
EQUATIONS = re.compile(r"\bEqs?\.\s*((?:\(?\d+\)?(?:\s*(?:,|and|[-–]|to)\s*)?)+)")
# A sentence ends at a period before a capital, unless the period abbreviates ("App. A.4").
SENTENCE = re.compile(r"(?<!App)(?<!Alg)(?<!Sec)(?<!Tab)(?<!Fig)(?<!Eq)(?<!Eqs)\.\s+(?=[A-Z])")
BIB_KEY = re.compile(r"\b([a-z]{2,}(?:19|20)\d\d[a-z0-9]*)\b")

HEADER = """\
# From the equations to the code

Written by `make index` from the `Source:` lines of the docstrings; do not edit.
Equation numbers are those of the paper (`li2026mipruner` in references.bib).
The last column lists the test files that name the function, or the family of variants it is in.

| source | function | tests |
|---|---|---|
"""


@dataclass(frozen=True)
class Entry:
    """A documented definition and what it says it comes from."""

    module: str
    name: str
    source: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """Equations of the paper that the source names, ranges written out.

        An equation beside a bibliography key is that work's own and does not count.

        >>> Entry("pmi", "f", "Eqs. (17), (50) and Eqs. (52)-(54).").numbers
        (17, 50, 52, 53, 54)
        >>> Entry("setfunctions", "f", "chow1968; Eq. (20); chen2018, Eq. 9.").numbers
        (20,)
        """
        found: list[int] = []
        own = ";".join(part for part in self.source.split(";") if not BIB_KEY.search(part))
        for group in EQUATIONS.findall(own):
            for low, high in re.findall(r"(\d+)\)?(?:\s*(?:[-–]|to)\s*\(?(\d+))?", group):
                found += range(int(low), int(high or low) + 1)
        return tuple(found)

    @property
    def bib_keys(self) -> tuple[str, ...]:
        """Bibliography keys the source names.

        >>> Entry("aggregation", "f", "vanerven2014renyi, Theorem 3.").bib_keys
        ('vanerven2014renyi',)
        """
        return tuple(BIB_KEY.findall(self.source))


def source_of(docstring: str) -> str | None:
    """The sentence behind `Source:`, on one line.

    >>> source_of("Sum.\\n\\nSource: Eq. (18),\\nand App. A.4. It holds.\\n\\nMore.")
    'Eq. (18), and App. A.4.'
    """
    match = SOURCE.search(docstring)
    if not match:
        return None
    return SENTENCE.split(" ".join(match.group(1).split()))[0].removesuffix(".") + "."


def entries(package: Path) -> list[Entry]:
    """Every definition below `package` whose docstring names a source."""
    found = []
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                source = source_of(ast.get_docstring(node) or "")
                if source:
                    found.append(Entry(module.removesuffix(".__init__"), node.name, source))
    return found


def names_used(path: Path) -> set[str]:
    """Identifiers that a test file mentions, and its strings in double quotes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {f'"{node.value}"' for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return names | {
        a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names
    }


def families(package: Path) -> dict[str, set[str]]:
    """Function -> the dicts of variants that hold it: a test over the dict is a test of each."""
    holding: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(
                node.value, ast.Dict
            ):
                continue
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            for held in (n for value in node.value.values for n in ast.walk(value)):
                if isinstance(held, ast.Name) and isinstance(target, ast.Name):
                    holding.setdefault(held.id, set()).add(target.id)
    return holding


def table() -> str:
    """The whole document."""
    tests = {path.name: names_used(path) for path in sorted((ROOT / "tests").glob("test_*.py"))}
    holding = families(PACKAGE)
    rows = []
    for entry in entries(PACKAGE):
        handles = {entry.name} | holding.get(entry.name, set())
        if entry.module.endswith(f".{entry.name}"):  # a method of selection goes by its name
            handles.add(f'"{entry.name}"')
        using = [f"`{name}`" for name, names in tests.items() if handles & names]
        order = (min(entry.numbers, default=10_000), entry.module, entry.name)
        cell = entry.source.replace("|", "\\|")
        function = f"`{entry.module}.{entry.name}`"
        rows.append((order, f"| {cell} | {function} | {', '.join(using) or '—'} |\n"))
    return HEADER + "".join(row for _, row in sorted(rows))


def uses(entry: Entry, test: Path) -> int:
    """How often a test file calls a function, by itself or of its module, or names a method."""
    text = test.read_text(encoding="utf-8")
    imports = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]
    holders = {
        alias.asname or alias.name
        for node in imports
        for alias in node.names
        if f"{node.module}.{alias.name}" in entry.module
    }
    is_imported = entry.name in {alias.name for node in imports for alias in node.names}
    ways = [rf"\b{holder}\.{entry.name}\(" for holder in holders]
    ways += [rf"(?<![.\w]){entry.name}\("] if is_imported else []
    calls = sum(len(re.findall(way, text)) for way in ways)
    is_method = entry.module.endswith(f".{entry.name}")
    return calls + (text.count(f'"{entry.name}"') if is_method else 0)


def core_table() -> str:
    """The rows of the README: equations, function, tests that use it most, figures.

    Raises
    ------
    ValueError
        If a figure does not exist, or no test uses a function.
    """
    documented = {f"{e.module}.{e.name}".removeprefix("mitheory."): e for e in entries(PACKAGE)}
    files = sorted((ROOT / "tests").glob("test_*.py"))
    rows = ["| equation | function | tests | figures |\n|---|---|---|---|\n"]
    for name, figures in CORE.items():
        entry = documented[name]
        counts = {test: uses(entry, test) for test in files}
        most = sorted((t for t in files if counts[t]), key=lambda t: (-counts[t], t.name))
        missing = [f for f in figures if not (ROOT / "paper_figures" / f"{f}.py").is_file()]
        if missing or not most:
            raise ValueError(f"{name}: tests {most}; figures that do not exist: {missing}")
        tests = ", ".join(f"[{t.stem[5:]}](tests/{t.name})" for t in most[:SHOWN_TESTS])
        drawn = ", ".join(f"[{f}](paper_figures/{f}.py)" for f in figures)
        path = "mitheory/" + name.rpartition(".")[0].replace(".", "/") + ".py"
        numbers = ", ".join(f"({n})" for n in entry.numbers)
        rows.append(f"| {numbers} | [`{name}`]({path}) | {tests} | {drawn} |\n")
    return "".join(rows)


def readme() -> str:
    """The README with the table as it should be."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{core_table()}{END}{after}"


def main() -> None:
    """Write the document, and the table of the README."""
    TARGET.write_text(table(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {table().count(chr(10)) - HEADER.count(chr(10))} rows")


if __name__ == "__main__":
    main()
