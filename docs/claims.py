"""The claims that `mitheory audit` tests, as a document.

Reads `analysis.claims.CLAIMS` and writes docs/claims.md (`make index`).
"""

from __future__ import annotations

from pathlib import Path

from analysis.claims import CLAIMS, Claim

TARGET = Path(__file__).resolve().parent / "claims.md"

HEADER = """\
# The claims, one by one

Written by `make index` from `analysis/claims/`; do not edit. `mitheory claims` lists them,
`mitheory audit BUNDLE --claims NAME` tests one.

An empirical claim names a region for its effect: *negligible* (inside ± the smallest effect of
interest), *at least* or *at most* that size, fixed before any data are seen. The interval of the
effect wholly inside the region: **holds**; wholly outside: **violated**; across: **inconclusive**;
not to be had: **unassessed**, with the reason. A theorem is **refuted** by a counter-example, else
**verified** on what was checked. The unit is the image; Holm's correction covers the claims of a
run.
"""
REGIONS = {
    "negligible": "inside ±{:g} {}",
    "at_least": "at least {:g} {}",
    "at_most": "below {:g} {}",
}


def document() -> str:
    """The whole page."""
    return HEADER + "".join(_section(claim) for claim in CLAIMS.values())


def _section(claim: Claim) -> str:
    smallest = claim.smallest_effect
    graded = (
        "A counter-example decides."
        if smallest is None
        else f"The claim: {REGIONS[smallest.region].format(smallest.value, smallest.unit)}. "
        f"Why this size: {smallest.reason}"
    )
    needs = ", ".join(f"`{name}`" for name in claim.needs) or "embeddings only"
    if not claim.needs_bundle:
        needs = "no bundle"
    most = f"; the first {claim.max_images} in order of a hash" if claim.max_images else ""
    images = f"; at least {claim.min_images} images{most}" if claim.needs_bundle else ""
    outcomes = "".join(f"- **{decision}**: {text}\n" for decision, text in claim.meaning.items())
    return (
        f"\n## {claim.name}\n\n> {claim.statement}\n\n{claim.source}. Kind: {claim.kind}. "
        f"Needs: {needs}{images}.\n\n{claim.how}\n\n{graded}\n\n{outcomes}"
    )


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
