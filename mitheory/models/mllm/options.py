"""What the paper leaves open about pruning a real model, as options that results are kept with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...errors import ParameterError
from ..base import PositionIds

Rows = Literal["follow", "always", "never", "scored"]

POSITIONS = ("kept", "compacted")
TEXT_SCOPES = ("question", "user_turn")
ROWS = ("follow", "always", "never", "scored")


@dataclass(frozen=True)
class Options:
    """How a model is pruned. Every one moves results, and none is fixed by the paper.

    Attributes
    ----------
    positions : {"kept", "compacted"}
        Position ids: every token keeps the one it had in the full prompt (also called original),
        or has the one of a prompt that never had more (also called compact): numbered one by one,
        or on three axes as the model numbers an image of what is left (`Family.compacted`).
    text_scope : {"question", "user_turn"}
        What counts as T: the question alone, or all that the user wrote, with the instruction for
        the form of the answer, options and text read in the image.
    newline, cls : {"follow", "always", "never", "scored"}
        Rows among the visual tokens that are no patch: the embedding that ends a row of patches
        (LLaVA-NeXT), and the class token of a frame (Video-LLaVA). "follow": shown if a patch of
        that row, or of that frame, is; "always" and "never"; "scored": candidates like any patch,
        that the budget counts. Only "never" changes what is shown when everything is kept.
    attention_layer : int or None
        Layer of the vision encoder whose attention is read; None is the family's own choice.

    Raises
    ------
    ParameterError
        For another value.

    Examples
    --------
    >>> Options(newline="never").to_dict()["newline"]
    'never'
    """

    positions: PositionIds = "kept"
    text_scope: Literal["question", "user_turn"] = "question"
    newline: Rows = "follow"
    cls: Rows = "follow"
    attention_layer: int | None = None

    def __post_init__(self) -> None:
        allowed = {
            "positions": POSITIONS,
            "text_scope": TEXT_SCOPES,
            "newline": ROWS,
            "cls": ROWS,
        }
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"{name}: expected one of {list(known)}, got {getattr(self, name)!r}"
                )
        if self.attention_layer is not None and type(self.attention_layer) is not int:
            raise ParameterError(
                f"attention_layer: expected an int or None, got {self.attention_layer!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As a dict of what JSON can hold, for provenance and metadata."""
        return asdict(self)
