"""After a build: no link inside the site is broken, nothing is loaded from elsewhere.

Links that lead elsewhere are listed in external_links.txt; `make links` visits them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = {"canonical", "prev", "next", "search", "index", "author", "license"}


@dataclass
class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        is_loaded = not NOT_LOADED & set(values.get("rel", "").split())
        if LOADED.get(tag) in values and is_loaded:
            self.loads.add(values[LOADED[tag]])


def parsed(html: str) -> Page:
    """Read a page.

    >>> page = parsed('<a id="x" href="b.html#y"></a><script src="https://cdn/x.js"></script>')
    >>> page.links, page.loads, page.places
    ({'b.html#y'}, {'https://cdn/x.js'}, {'x'})
    """
    page = Page()
    page.feed(html)
    return page


def problems(pages: Mapping[Path, Page]) -> Iterator[str]:
    """Links to nothing, and whatever a page would fetch from the network."""
    for path, page in pages.items():
        for link in sorted(page.loads):
            if is_external(link):
                yield f"{path}: loads {link}"
        for link in sorted(page.links):
            if urlsplit(link).scheme == "file":
                yield f"{path}: {link}: a file of the machine that built it"
        for link in sorted(page.links | page.loads):
            if not is_external(link) and (why := _broken(path, link, pages)):
                yield f"{path}: {link}: {why}"


def is_external(link: str) -> bool:
    """Whether it leads out of the site.

    >>> is_external("https://arxiv.org"), is_external("//cdn/x.js"), is_external("../a.html#b")
    (True, True, False)
    """
    parts = urlsplit(link)
    return bool(parts.netloc or parts.scheme)


def _broken(path: Path, link: str, pages: Mapping[Path, Page]) -> str:
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    place = unquote(parts.fragment)
    if place and target in pages and place not in pages[target].places:
        return f"no #{place} there"
    return ""


def read(folder: Path) -> dict[Path, Page]:
    """Every page below a folder."""
    files = sorted(folder.resolve().rglob("*.html"))
    return {path: parsed(path.read_text(encoding="utf-8")) for path in files}


def after_build(app, exception) -> None:
    """Refuse a site with broken links; list those that lead out of it."""
    from sphinx.errors import SphinxError

    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    pages = read(out)
    found = list(problems(pages))
    if found:
        raise SphinxError("broken links:\n" + "\n".join(found))
    external = sorted({link for page in pages.values() for link in page.links if is_external(link)})
    (out / "external_links.txt").write_text("\n".join(external) + "\n", encoding="utf-8")
