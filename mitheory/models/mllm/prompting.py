"""From questions about images to what the model takes, and which columns of it are T."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ParameterError, ShapeError
from .spans import OFFSETS, by_offsets, take_offsets

FRAMES = "frames"
"""Key of the metadata of a sample that is about a video: how many frames its image holds."""


@dataclass(frozen=True)
class Asked:
    """A question as it is asked.

    Attributes
    ----------
    image : (h, w, 3) uint8
        For a video, its frames one below the other.
    user : str
        All that the user writes, without the placeholder of the image.
    question : str
        The question in it, without instructions for the form of the answer.
    frames : int
        Of a video; 0 for an image.
    """

    image: NDArray[np.uint8]
    user: str
    question: str
    frames: int = 0

    @property
    def modality(self) -> str:
        """ "image" or "video"."""
        return "video" if self.frames else "image"

    def media(self) -> NDArray[np.uint8]:
        """The image, or the frames (t, h, w, 3) of the video.

        Raises
        ------
        ShapeError
            If the height is no multiple of the number of frames.
        """
        if not self.frames:
            return self.image
        height, width = self.image.shape[:2]
        if height % self.frames:
            raise ShapeError(
                f"image: expected {self.frames} frames below one another, got height {height}"
            )
        return self.image.reshape(self.frames, height // self.frames, width, 3)


def template(processor: Any, asked: Asked) -> str:
    """The prompt up to where the model answers, one placeholder for the image, by the processor's
    chat template; by that of LLaVA-1.5 where it has none."""
    if getattr(processor, "chat_template", None) is None:
        return f"USER: <{asked.modality}>\n{asked.user} ASSISTANT:"
    content = [{"type": asked.modality}, {"type": "text", "text": asked.user}]
    prompt: str = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return prompt


def padded(image: NDArray[np.uint8], color: Sequence[int]) -> NDArray[np.uint8]:
    """An image in the middle of a square of one color, as LLaVA's own evaluation shows it.

    Source: liu2024llava15 (its public code).

    Parameters
    ----------
    image : (h, w, 3)
    color : of the margins, by channel

    Examples
    --------
    >>> padded(np.zeros((1, 3, 3), np.uint8), (7, 7, 7))[:, 0, 0].tolist()
    [7, 0, 7]
    """
    height, width = image.shape[:2]
    side = max(height, width)
    found = np.empty((side, side, 3), np.uint8)
    found[:] = np.array(color, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    found[top : top + height, left : left + width] = image
    return found


def prepared(
    processor: Any, asked: Sequence[Asked], scope: str, *, margin: Sequence[int] | None = None
) -> tuple[dict[str, Any], list[Tensor]]:
    """Inputs of the model, and the columns of T of every prompt.

    Parameters
    ----------
    scope : "question", or "user_turn"
    margin : color with which images are filled up to squares; without they are not

    Raises
    ------
    MissingInputError
        If a question is not in its prompt.
    ParameterError
        If the processor refuses a prompt or an image.
    ShapeError
        If a video's height is no multiple of the number of its frames.
    """
    prompts = [template(processor, one) for one in asked]
    media: dict[str, Any] = {}
    for one in asked:
        medium = one.media()
        if margin is not None and one.modality == "image":
            medium = padded(medium, margin)
        media.setdefault(f"{one.modality}s", []).append(medium)
    if "videos" in media:  # the frames are chosen already; Qwen3-VL's would choose among them again
        media["videos_kwargs"] = {"do_sample_frames": False}
    try:
        batch = processor(text=prompts, **media, return_tensors="pt", padding=True, **OFFSETS)
    except (ValueError, TypeError, IndexError) as error:  # also of questions that spell <image>
        raise ParameterError(f"prompt: the processor does not take it: {error}") from error
    inputs, offsets, replacements = take_offsets(batch)
    columns = [
        by_offsets(
            offsets[i],
            text=prompts[i],
            part=(one.question if scope == "question" else one.user).strip(),
            within=one.user.strip(),
            replacements=replacements[i],
        )
        for i, one in enumerate(asked)
    ]
    return inputs, columns
