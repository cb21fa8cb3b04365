"""Which part of the picture a model sees, where its processor cuts the rest off."""

from __future__ import annotations

from typing import Any

from mitheory.plot.views import WHOLE

Box = tuple[float, float, float, float]


def seen(adapter: Any, height: int, width: int, *, is_video: bool = False) -> Box:
    """The part of a picture that is left by a resize of the shorter side and a crop of the center.

    That is what CLIP's processor does, and so those of LLaVA-1.5 and Video-LLaVA by default; every
    other processor is taken to show the whole picture, as is an adapter without one, and one that
    was told to pad.

    Parameters
    ----------
    adapter : whatever `load_adapter` gives
    height, width : of the picture, or of one frame
    is_video : whether the processor of videos is asked

    Returns
    -------
    (left, top, right, bottom), in shares of width and height

    Examples
    --------
    >>> seen(object(), 300, 400)
    (0.0, 0.0, 1.0, 1.0)
    """
    if getattr(adapter, "pad_to_square", False):
        return WHOLE
    processor = getattr(adapter, "processor", None)
    own = getattr(processor, "video_processor" if is_video else "image_processor", None)
    if own is None or not getattr(own, "do_center_crop", False) or getattr(own, "do_pad", False):
        return WHOLE
    size, crop = _sizes(own.size), _sizes(own.crop_size)
    shortest = size.get("shortest_edge")
    if not shortest or not {"height", "width"} <= set(crop):
        return WHOLE
    scale = shortest / min(height, width)
    return crop_box(height * scale, width * scale, crop["height"], crop["width"])


def crop_box(height: float, width: float, crop_height: float, crop_width: float) -> Box:
    """The center of a picture, in shares; a crop larger than the picture takes all of it.

    Examples
    --------
    >>> crop_box(300, 400, 300, 300)
    (0.125, 0.0, 0.875, 1.0)
    """
    across, down = min(1.0, crop_width / width), min(1.0, crop_height / height)
    return ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)


def _sizes(size: Any) -> dict[str, int]:
    """The named sides of a size that are set."""
    return {key: value for key, value in dict(size or {}).items() if value}
