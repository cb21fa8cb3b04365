"""Rules of the repository as functions from source text to the list of their violations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mitheory", "analysis", "paper_figures")

# The flow is the layout: a module may import from layers strictly before its own.
THEORY_LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("names", "notebook", "faces"),
    ("checks",),
    ("distributions",),
    ("priors",),
    ("pmi",),
    ("aggregation",),
    ("properties",),
    ("scores", "setfunctions"),
    ("selection",),
    ("budgets",),
    ("sklearn",),
)
# These may import errors, names, notebook, faces, checks and one another.
BESIDE = (
    "io", "provenance", "bundle", "statistics", "estimators", "independence", "ground_truth",
    "verdict", "plot",
)  # fmt: skip
# These may import anything, and nothing of the theory imports them.
ABOVE = ("models", "testing")
PACKAGE_LAYERS = ("mitheory", "analysis", "paper_figures")

# What can execute the file it reads, by module; "*" is all of a module.
EXECUTING = {
    "pickle": "*", "_pickle": "*", "cPickle": "*", "marshal": "*", "shelve": "*", "dill": "*",
    "cloudpickle": "*", "jsonpickle": "*",
    "torch": {"load", "save"}, "torch.jit": {"load", "save"}, "torch.serialization": "*",
    "torch.hub": "*", "torch.package": "*",
    "joblib": {"load", "dump"}, "joblib.numpy_pickle": "*",
    "pandas": {"read_pickle", "to_pickle"}, "pd": {"read_pickle", "to_pickle"},
    "yaml": {
        "load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all",
        "Loader", "FullLoader", "UnsafeLoader",
    },
}  # fmt: skip
COMPARISONS = {"allclose", "isclose", "array_equal", "equal", "equals", "array_equiv"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Absolute names of everything the source imports, at any depth.

    >>> imported_modules("from .errors import ShapeError", "mitheory.checks")
    ['mitheory.errors.ShapeError']
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = node.level - is_package
            parents = module.split(".")
            base = parents[: len(parents) - up] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            names += [".".join([*stem, alias.name]) for alias in node.names]
    return names


def _layer(name: str) -> int | None:
    for rank, layer in enumerate(THEORY_LAYERS):
        if name in layer:
            return rank
    return None


def _may_import(component: str, target: str) -> bool:
    if component == target or component in ABOVE:
        return True
    if component == "__init__":
        return target not in ABOVE
    if component in BESIDE:
        return target in (*BESIDE, "errors", "names", "notebook", "faces", "checks")
    own, other = _layer(component), _layer(target)
    return own is not None and other is not None and other < own


def layering_violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Imports that run against the flow, as readable sentences."""
    package, _, rest = module.partition(".")
    component = rest.split(".")[0] if rest else "__init__"
    violations = []
    for name in imported_modules(source, module, is_package=is_package):
        target_package, _, target_rest = name.partition(".")
        if target_package not in PACKAGES:
            continue
        if PACKAGE_LAYERS.index(target_package) > PACKAGE_LAYERS.index(package):
            violations.append(f"{module} imports {name}: against {' <- '.join(PACKAGE_LAYERS)}")
        elif package == target_package == "mitheory":
            target = target_rest.split(".")[0]
            known = target in ABOVE or target in BESIDE or _layer(target) is not None
            if known and not _may_import(component, target):
                violations.append(f"{module} imports {name}: {target} is not before {component}")
            elif not known and component != "__init__":
                violations.append(f"{module} imports {name}: take it from where it is defined")
    return violations


def undeclared_components(modules: Iterable[str]) -> list[str]:
    """Modules of mitheory that no layer names."""
    components = {m.split(".")[1] for m in modules if m.startswith("mitheory.")}
    return sorted(c for c in components if _layer(c) is None and c not in (*BESIDE, *ABOVE))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dropped_comparisons(source: str) -> list[int]:
    """Lines whose whole statement is a comparison, so that nothing is asserted.

    >>> dropped_comparisons("x == 1" + chr(10) + "assert x == 1" + chr(10) + "np.allclose(a, b)")
    [1, 3]
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Expr):
            continue
        value = node.value
        compared = isinstance(value, ast.Compare | ast.BoolOp)
        called = isinstance(value, ast.Call) and _dotted(value.func).split(".")[-1] in COMPARISONS
        if compared or called:
            lines.append(node.lineno)
    return lines


def _asserts(function: ast.AST, helpers: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.Call):
            last = _dotted(node.func).split(".")[-1]
            if last in helpers or "assert" in last or last in {"raises", "warns", "fail"}:
                return True
    return False


def assertionless_tests(source: str, helpers: Iterable[str] = ()) -> list[str]:
    """Test functions that cannot fail: no assertion, not even through a helper beside them.

    >>> assertionless_tests("def test_a():" + chr(10) + "    f()")
    ['test_a']
    """
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    known = set(helpers)
    while True:  # a helper may assert through another helper
        grown = known | {f.name for f in functions if _asserts(f, known)}
        if grown == known:
            break
        known = grown
    return [f.name for f in functions if f.name.startswith("test") and f.name not in known]


def _executes(module: str, name: str) -> bool:
    """Whether a name of a module can execute what it reads."""
    names = EXECUTING.get(module, ())
    return names == "*" or name in names


def _is_executing(module: str) -> bool:
    """Whether all of a module can execute what it reads."""
    return "*" in (EXECUTING.get(module), EXECUTING.get(module.split(".")[0]))


def pickling(source: str) -> list[str]:
    """Every way in which the source would execute a file that it reads.

    >>> pickling("import yaml as y; y.load(text)"), pickling("from joblib import load as read")
    (['yaml.load'], ['joblib.load'])
    """
    tree = ast.parse(source)
    found = []
    aliases = {}  # import torch as t: t -> torch
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name: alias.name for alias in node.names}
            found += [a.name for a in node.names if _is_executing(a.name)]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            aliases |= inner
            found += [
                f"{node.module}.{a.name}"
                for a in node.names
                if _executes(node.module, a.name) or _is_executing(f"{node.module}.{a.name}")
            ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            base, _, rest = _dotted(node.value).partition(".")
            module = ".".join(part for part in (aliases.get(base, base), rest) if part)
            if _executes(module, node.attr):
                found.append(f"{module}.{node.attr}")
            elif node.attr in {"to_pickle", "read_pickle"}:
                found.append(f"{_dotted(node)}")
        elif isinstance(node, ast.Call):
            found += [
                f"{_dotted(node.func)}(allow_pickle=...)"
                for k in node.keywords
                if k.arg == "allow_pickle"
                and not (isinstance(k.value, ast.Constant) and k.value.value is False)
            ]
    return found


def public_definitions(source: str) -> Iterator[tuple[str, str | None]]:
    """Name and docstring of each public top-level function and class."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node)


# A path that only exists on somebody's machine. Split so that this line is not itself a match.
_MACHINE = "|".join(("home", "root", "work", "Users", "tmp", "mnt", "opt"))
MACHINE_PATH = re.compile(rf"(?<![\w.:/~*$}}\)-])/(?:{_MACHINE})/\w")
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)")


def machine_paths(text: str) -> list[str]:
    """Absolute paths that a reader's machine will not have.

    >>> machine_paths("see " + "/" + "home/me/x") == ["/" + "home/m"]
    True
    """
    return MACHINE_PATH.findall(text)


def escaping_links(text: str, folder: Path) -> list[str]:
    """Relative Markdown links that leave the repository or lead to nothing."""
    broken = []
    for target in LINK.findall(text):
        path = (folder / target.split("#")[0]).resolve()
        if not path.is_relative_to(ROOT) or not path.exists():
            broken.append(target)
    return broken
