"""Figures as SVG that can live inside a page: they follow its colors and share no ids.

Shades of gray become the page's own ink at a matching opacity, white becomes its paper, the
background is left out; colors stay. Text stays text.
"""

from __future__ import annotations

import io
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mitheory.errors import ParameterError
from mitheory.io import replacing

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
PAPER = "var(--paper, #ffffff)"
FONTS = "'DejaVu Sans', Verdana, sans-serif"  # Verdana has almost the same widths
KEPT = "own-color"  # text on a colored cell: light or dark for that cell, not for the page
_GRAY = re.compile(r"#([0-9a-f]{2})\1\1")
_SALT = "mitheory"  # ids that do not change from run to run
INK = 0x30  # shades up to this one are ink, fully opaque

ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)


def save_svg(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as an SVG whose text, axes and grid take the color of the text around it.

    The same figure gives the same bytes. Opened alone, the file shows black on nothing.

    Parameters
    ----------
    figure : Figure
    path : path of the file, made or replaced as a whole

    Returns
    -------
    Path

    Examples
    --------
    >>> import tempfile
    >>> from analysis.style import new_figure
    >>> path = save_svg(new_figure(2, 1), Path(tempfile.mkdtemp()) / "empty.svg")
    >>> path.read_text().count("<svg")
    1
    """
    for axes in figure.axes:
        if any(isinstance(child, QuadMesh | AxesImage) for child in axes.get_children()):
            for i, text in enumerate(axes.texts):
                text.set_gid(f"{KEPT}-{i}")
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": _SALT}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(buffer.getvalue())
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    root.set("fill", "currentColor")  # what is black has no color of its own in the file
    _recolor(root)
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return path


def inline(path: str | os.PathLike[str], *, label: str) -> str:
    """The SVG as an element for a page: ids prefixed with the file's name, described by `label`.

    Raises
    ------
    ParameterError
        If the file would load or run something: it must be drawing alone.
    """
    path = Path(path)
    root = ET.fromstring(path.read_bytes())
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", path.stem)
    for node in root.iter():
        _refuse_active(node, path)
        _prefix(node, prefix)
    width = float(root.get("viewBox", "0 0 480 0").split()[2])  # points
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("style", f"--width: {width * 4 / 3:.0f}px")
    root.set("role", "img")
    root.set("aria-label", label)
    return ET.tostring(root, encoding="unicode")


def _recolor(node: ET.Element) -> None:
    if node.get("id", "").startswith(KEPT):
        return
    if (style := node.get("style")) is not None:
        pairs = (part.partition(":")[::2] for part in style.split(";") if part.strip())
        found = {name.strip(): setting.strip() for name, setting in pairs}
        _lend(found, is_text=node.tag.endswith("text"))
        joined = "; ".join(f"{name}: {setting}" for name, setting in found.items())
        node.set("style", joined.replace("'DejaVu Sans'", FONTS))
    _lend(node.attrib, is_text=False)  # hatches have attributes, no style
    for child in node:
        _recolor(child)


def _lend(settings: dict[str, str], *, is_text: bool) -> None:
    """Grays become ink, at an opacity that multiplies the one that is there already."""
    for part in ("fill", "stroke"):
        gray = _GRAY.fullmatch(settings.get(part, "").lower())
        if gray is None or (is_text and gray[1] == "ff"):
            continue
        shade = int(gray[1], 16)
        settings[part] = PAPER if shade == 255 else "currentColor"
        if INK < shade < 255:
            opacity = float(settings.get(f"{part}-opacity", "1")) * (1 - shade / 255)
            settings[f"{part}-opacity"] = f"{opacity:.3f}"


def _prefix(node: ET.Element, prefix: str) -> None:
    """Ids, and all that points at them, of one element."""
    if (own := node.get("id")) is not None:
        node.set("id", f"{prefix}-{own}")
    if (target := node.attrib.pop(f"{{{XLINK}}}href", None)) is not None:
        node.set("href", target)
    for name, value in node.attrib.items():
        if name == "href" and value.startswith("#"):
            node.set(name, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            node.set(name, value.replace("url(#", f"url(#{prefix}-"))


def _refuse_active(node: ET.Element, path: Path) -> None:
    target = node.get("href", node.get(f"{{{XLINK}}}href", "#"))
    handlers = [name for name in node.attrib if name.lower().startswith("on")]
    tag = node.tag.split("}")[-1]
    if tag in {"script", "foreignObject"} or handlers or not target.startswith(("#", "data:image")):
        raise ParameterError(f"{path.name} must be drawing alone; got <{tag}> {handlers} {target}")
