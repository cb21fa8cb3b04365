"""The page: header, ledger, sections, provenance, in one file that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from mitheory.errors import ParameterError
from mitheory.io import replacing

from .formatting import plain
from .html import Markup, tag, text
from .ledger import ledger
from .section import section
from .values import value
from .verdicts import DECISIONS, badge, decision, summary

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).with_name("schema.json")  # of verdicts.json
TEMPLATE = Path(__file__).with_name("template.html")
PAGE = "index.html"


def write(out: Path) -> Path:
    """Write ``index.html`` from the files of an audit.

    Parameters
    ----------
    out : folder with ``verdicts.json``, figures beside it and, if there, ``timings.json``

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    ParameterError
        If ``verdicts.json`` is missing or of another schema version.
    """
    out = Path(out)
    page = out / PAGE
    html = render(_read(out / "verdicts.json"), out)
    with replacing(page) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return page


def render(document: Mapping[str, Any], out: Path) -> str:
    """The page as text; `out` is where figures and timings are."""
    timings_file = out / "timings.json"
    timings = json.loads(timings_file.read_text("utf-8")) if timings_file.is_file() else {}
    about, records = document["audit"], document["verdicts"]
    body = [
        _header(about, records),
        tag("main",
            _ledger(records),
            [section(record, out, timings.get(record["claim"])) for record in records],
            _provenance(document)),
    ]  # fmt: skip
    template = Template(TEMPLATE.read_text("utf-8"))
    return template.substitute(title=text(_title(about)), body=text(body))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ParameterError(f"expected {path.name} in the folder of an audit; found none")
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if (found := document.get("schema_version")) != SCHEMA_VERSION:
        raise ParameterError(f"expected schema version {SCHEMA_VERSION}; {path.name} has {found}")
    return document


def _title(about: Mapping[str, Any]) -> str:
    return f"Audit of {Path(about['bundle']).name}" if about["bundle"] else "Audit"


def _header(about: Mapping[str, Any], records: list[dict[str, Any]]) -> Markup:
    facts = []
    if about["n_samples"]:
        facts.append(
            f"{plain(about['n_samples'])} questions about {plain(about['n_images'])} images"
        )
        facts.append(f"embeddings of {plain(about['d'])} dimensions")
    if about["model"]:
        facts.append(f"model {about['model']}")
    facts.append(f"seed {about['seed']}")
    return tag(
        "header",
        tag("p", "mitheory audit", class_="kicker"),
        tag("h1", _title(about)),
        tag("p", "; ".join(facts), class_="facts"),
        tag("p", summary(records), class_="summary"),
        tag("p", _chips(records), class_="chips"),
    )


def _chips(records: list[dict[str, Any]]) -> list[Markup]:
    counts = {name: sum(decision(r) == name for r in records) for name in DECISIONS}
    return [
        tag("span", badge(name), f" {count}", class_="chip")
        for name, count in counts.items()
        if count
    ]


def _ledger(records: list[dict[str, Any]]) -> Markup:
    return tag("section", tag("h2", "Ledger"), ledger(records), _reading(), class_="overview")


def _reading() -> Markup:
    """How the ledger is to be read."""
    marks = [(tag("dt", badge(name)), tag("dd", words)) for name, (_, words) in DECISIONS.items()]
    return tag(
        "details",
        tag("summary", "How to read this"),
        tag("p",
            "Each effect is drawn in multiples of its own smallest effect of interest, which was "
            "fixed before any data were seen. The shaded region is what the claim says. The dot is "
            "the estimate, the thick line its 95% interval over images, the thin line the interval "
            "after Holm's correction over all claims of this run; the thin one decides. The axis "
            "is logarithmic beyond a few multiples, and an arrow marks an interval that leaves it. "
            "A large p-value is never taken as evidence for a claim."),
        tag("dl", marks),
    )  # fmt: skip


def _provenance(document: Mapping[str, Any]) -> Markup:
    about = dict(document["audit"])
    command = about.pop("command")
    bundle = document["provenance"]
    return tag(
        "section",
        tag("h2", "Provenance"),
        tag("h3", "Of this audit"),
        command and tag("pre", tag("code", command), tabindex=0),
        value(about),
        bundle and (tag("h3", "Of the bundle"), value(bundle)),
        class_="provenance",
    )
