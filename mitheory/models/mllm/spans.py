"""Which columns of a prompt are its question: T of a real model.

Two ways. Where the processor is called by us, it says where every token and every placeholder came
from (`by_offsets`): exact, whatever the tokenizer. Where only token ids are seen, as inside
``generate``, the template's markers and the known instructions of the benchmarks are cut off
(`by_ids`). The question alone is never tokenized: behind an image its first token may be another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from ...checks import lookup
from ...errors import MissingInputError, ShapeError

OFFSETS = {"return_offsets_mapping": True, "return_text_replacement_offsets": True}
"""What a processor is to be called with for `by_offsets`."""

Span = tuple[int, int]


# --- by what the processor says ---------------------------------------------------------------


def take_offsets(batch: Any) -> tuple[dict[str, Any], Tensor, list[list[Mapping[str, Any]]]]:
    """What a processor gave, divided into the model's inputs and what `by_offsets` wants.

    Parameters
    ----------
    batch : of a processor called with `OFFSETS`

    Returns
    -------
    inputs : dict
    offsets : (b, s, 2) int64
    replacements : for every prompt, one mapping for every placeholder

    Raises
    ------
    MissingInputError
        If the processor was not asked for them, or cannot give them.
    """
    inputs = dict(batch)
    try:
        offsets, replacements = inputs.pop("offset_mapping"), inputs.pop("text_replacement_offsets")
    except KeyError as error:
        raise MissingInputError(
            f"{error.args[0]}: expected what a processor gives when it is called with {OFFSETS} "
            f"(transformers >= 5.23, a fast tokenizer), got {sorted(inputs)}"
        ) from error
    rows = torch.as_tensor(offsets)
    return inputs, rows, [list(own) for own in replacements] or [[] for _ in rows]


def by_offsets(
    offsets: Tensor,
    *,
    text: str,
    part: str,
    within: str | None = None,
    replacements: Sequence[Mapping[str, Any]] = (),
) -> Tensor:
    """Columns of the tokens of a part of a prompt, by where the processor says they came from.

    Tokens that share a character with the part count, a question mark merged with the line break
    behind it for instance. Placeholders and tokens of blanks alone do not.

    Parameters
    ----------
    offsets : (s, 2) int64, the characters of every token in the prompt with its placeholders
        written out; (0, 0) for padding
    text : the prompt as the chat template gives it, one placeholder per image
    part : what is looked for: the question, or all that the user wrote
    within : a longer piece of the prompt that holds the part; its last occurrence is meant, and
        the first of the part in it; the last of the part in the prompt without
    replacements : for every placeholder, ``span`` in `text`, ``new_span`` and ``replacement``

    Returns
    -------
    Tensor
        (n_t,) int64, ascending.

    Raises
    ------
    MissingInputError
        If the part is not in the prompt, or is blank.
    ShapeError
        If the tokens end before the part does: the prompt was truncated.

    Examples
    --------
    >>> offsets = torch.tensor([[0, 3], [3, 6], [6, 7], [7, 11], [11, 15], [15, 16]])
    >>> image = {"span": (0, 3), "new_span": (0, 6), "replacement": "<i><i>"}
    >>> text = "<i>" + chr(10) + "What now?"
    >>> by_offsets(offsets, text=text, part="What now?", replacements=[image]).tolist()
    [3, 4, 5]
    """
    if not part.strip():
        raise MissingInputError("part: expected a question, got blanks")
    start, end = _span(text, part, within)
    first = _moved(start, replacements)
    last = _moved(end - 1, replacements) + 1
    written = _written_out(text, replacements)
    spans = [(int(a), int(b)) for a, b in offsets.tolist()]
    if max(b for _, b in spans) < first + len(written[first:last].rstrip()):
        raise ShapeError(
            f"offsets: the tokens end at character {max(b for _, b in spans)}, before the part "
            f"does, {last}: the prompt was truncated"
        )
    hidden = [tuple(r["new_span"]) for r in replacements]
    return torch.tensor(
        [
            column
            for column, (a, b) in enumerate(spans)
            if written[max(a, first) : min(b, last)].strip()
            and not any(a < y and b > x for x, y in hidden)
        ],
        dtype=torch.long,
    )


def _span(text: str, part: str, within: str | None) -> Span:
    where, base = text, 0
    if within is not None:
        base = text.rfind(within)
        if base < 0:
            raise MissingInputError(f"within: not in the prompt as its template gives it: {text!r}")
        where = within
    start = where.rfind(part) if within is None else where.find(part)
    if start < 0:
        raise MissingInputError(f"part: {part!r} is not in the prompt: {where!r}")
    return base + start, base + start + len(part)


def _moved(character: int, replacements: Sequence[Mapping[str, Any]]) -> int:
    """Where a character of the template's text is once placeholders are written out."""
    before = [r for r in replacements if r["span"][1] <= character]
    return character + sum(len(r["replacement"]) - (r["span"][1] - r["span"][0]) for r in before)


def _written_out(text: str, replacements: Sequence[Mapping[str, Any]]) -> str:
    pieces, last = [], 0
    for r in sorted(replacements, key=lambda r: r["span"]):
        start, end = r["span"]
        pieces += [text[last:start], r["replacement"]]
        last = end
    return "".join([*pieces, text[last:]])


# --- by token ids alone ---------------------------------------------------------------------


@dataclass(frozen=True)
class Template:
    """What stands before and behind what a user writes."""

    starts: tuple[str, ...]
    ends: tuple[str, ...]


TEMPLATES: dict[str, Template] = {
    "chatml": Template(("<|im_start|>user\n",), ("<|im_end|>",)),
    "inst": Template(("[INST]",), ("[/INST]",)),
    "vicuna": Template(("USER:",), ("ASSISTANT:", "</s>")),
}
"""Chat templates: Qwen and LLaVA-NeXT on Qwen; on Mistral; LLaVA, LLaVA-NeXT and Video-LLaVA."""

PREFIXES = re.compile(
    r"^\s*First please perform reasoning, and think step by step to provide best answer to the "
    r"following question:\s*"
)
"""What benchmarks write before the question (MM-Vet of lmms-eval)."""

SUFFIXES = re.compile(
    r"\s+(?:"
    r"Answer the question using a single word or phrase"
    r"|Answer with the option's letter from the given choices directly"
    r"|Reference OCR token"
    r"|Please answer yes or no"
    r")|\n\s*\(?A[.):] "
)
"""What benchmarks write behind it; a choice begins with the line of its option A."""


def by_ids(
    ids: Tensor,
    tokenizer: Any,
    *,
    placeholders: Collection[int],
    scope: str = "question",
    attention_mask: Tensor | None = None,
) -> Tensor:
    """Columns of the last user turn behind the last image, or of the question in it.

    A rule of thumb, for where nothing but token ids is at hand: the turn is found by the template's
    markers, and the question in it by the instructions of the benchmarks (`PREFIXES`, `SUFFIXES`,
    a "Context:" before the last line). Special tokens and tokens of blanks alone never count.

    Parameters
    ----------
    ids : (s,) int64, of one prompt, placeholders written out
    tokenizer : of the model; decodes, and says which tokens are special
    placeholders : tokens that stand for visual tokens
    scope : "question", or "user_turn" with everything that the user wrote behind the image
    attention_mask : (s,), zero for padding

    Returns
    -------
    Tensor
        (n_t,) int64, ascending.

    Raises
    ------
    MissingInputError
        If there is nothing, because the user wrote before the image for instance.
    UnknownNameError
        If there is no such scope.
    """
    cut = lookup(scope, _SCOPES, "text_scope")
    special = special_ids(tokenizer) | set(placeholders)
    tokens = ids.tolist()
    seen = [True] * len(tokens) if attention_mask is None else attention_mask.bool().tolist()
    after = max((i for i, token in enumerate(tokens) if token in set(placeholders)), default=-1) + 1
    while after < len(tokens) and tokens[after] in special and not _ends(tokens[after], tokenizer):
        after += 1  # what closes the image
    columns = [i for i in range(after, len(tokens)) if seen[i]]
    spans, text = _decoded([tokens[i] for i in columns], tokenizer)
    start, end = cut(text, *_turn(text, tokenizer))
    kept = [
        column
        for column, (a, b) in zip(columns, spans, strict=True)
        if tokens[column] not in special and text[max(a, start) : min(b, end)].strip()
    ]
    if not kept:
        raise MissingInputError(
            f"question: found none behind the last image of the prompt, in {text!r}; say where it "
            f"stands by the columns of its tokens"
        )
    return torch.tensor(kept, dtype=torch.long)


def special_ids(tokenizer: Any) -> set[int]:
    """Tokens that are no text, also those that the tokenizer's own list leaves out.

    Some markers of turns and images are added tokens without being among ``all_special_ids``.
    """
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def _decoded(tokens: Sequence[int], tokenizer: Any) -> tuple[list[Span], str]:
    """Text of the tokens and the characters of each; bytes of one character all have it."""
    text, ends = "", []
    for n in range(1, len(tokens) + 1):
        text = tokenizer.decode(
            tokens[:n], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        ends.append(len(text))
    ends = list(accumulate(reversed(ends), min))[::-1]  # bytes without the rest are signs of doubt
    spans = [(max(0, min(a, b - 1)), b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return spans, text


def _ends(token: int, tokenizer: Any) -> bool:
    mark = tokenizer.decode([token], skip_special_tokens=False)
    return any(mark == end for template in TEMPLATES.values() for end in template.ends)


def _template(text: str, tokenizer: Any) -> Template:
    known = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    if "<|im_start|>" in known:
        return TEMPLATES["chatml"]
    return TEMPLATES["inst" if "[/INST]" in text else "vicuna"]


def _turn(text: str, tokenizer: Any) -> Span:
    """The last turn of the user in a text that begins inside one."""
    template = _template(text, tokenizer)
    start = max(
        (at + len(mark) for mark in template.starts if (at := text.rfind(mark)) >= 0), default=0
    )
    end = min((at for mark in template.ends if (at := text.find(mark, start)) >= 0), default=None)
    return start, len(text) if end is None else end


def _whole(text: str, start: int, end: int) -> Span:
    return start, end


def _question(text: str, start: int, end: int) -> Span:
    if found := PREFIXES.match(text[start:end]):
        start += found.end()
    blank = len(text[start:end]) - len(text[start:end].lstrip())
    if found := SUFFIXES.search(text, start + blank, end):
        end = found.start()
    if text[start:end].lstrip().startswith("Context: "):  # the question is the last line
        line = text[start:end].rstrip().rfind("\n")
        start += line + 1 if line >= 0 else 0
    return start, end


_SCOPES = {"question": _question, "user_turn": _whole}
