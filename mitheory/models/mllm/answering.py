"""What a pruned model says, and how probable that and the true answer are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...errors import ParameterError


def refuse_flash_chunks(model: Any, pruned: Mapping[str, Any], chunk: int | None) -> None:
    """Refuse prompts in chunks where flash attention would see each chunk alone.

    Of one prompt without padding whose positions have gaps, flash attention takes every call for
    sequences that are packed one behind the other, and looks at the keys of that call only: right
    for a whole prompt, wrong from the second chunk on. Read in `transformers`, not run.

    Raises
    ------
    ParameterError
    """
    positions = pruned["position_ids"]
    is_flash = str(model.config.get_text_config()._attn_implementation).startswith("flash")
    rows = positions if positions.ndim == 2 else positions[0]  # what the decoder looks at
    has_gaps = bool((rows.diff(dim=-1) > 1).any())
    if chunk is not None and is_flash and has_gaps:
        raise ParameterError(
            f"prefill_chunk_size: expected None with flash attention and gaps in the positions, "
            f"got {chunk}; 'sdpa', or positions='compacted', take prompts in chunks"
        )


@torch.no_grad()
def said(
    model: Any, pruned: Mapping[str, Any], generation: Mapping[str, Any]
) -> tuple[list[list[int]], list[float]]:
    """New tokens of every prompt, and their log-probabilities (nats), summed up to the end token.

    Parameters
    ----------
    pruned : of `Family.prune`, made for this call
    generation : options of `generate`

    Raises
    ------
    ParameterError
        As `refuse_flash_chunks`.
    """
    refuse_flash_chunks(model, pruned, generation.get("prefill_chunk_size"))
    found = model.generate(**pruned, **generation, return_dict_in_generate=True, output_logits=True)
    new = found.sequences[:, pruned["input_ids"].shape[1] :]
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
    log_p = torch.stack(found.logits, dim=1).float().log_softmax(-1)  # (b, steps, vocabulary)
    each = log_p.gather(2, new[..., None].to(log_p.device))[..., 0]
    tokens, totals = [], []
    for row, own in zip(new.tolist(), each, strict=True):
        length = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
        tokens.append(row[:length])
        totals.append(float(own[:length].sum()))
    return tokens, totals


@torch.no_grad()
def log_prob_of(
    model: Any, pruned: Mapping[str, Any], answers: Sequence[Sequence[int]]
) -> list[float]:
    """Log-probability (nats) of given tokens behind every prompt; NaN where there are none.

    Answers stand behind the prompts, which are padded on the left, and are padded on the right.
    """
    if not any(answers):
        return [float("nan")] * len(answers)
    ids, mask, positions = (
        pruned[name] for name in ("input_ids", "attention_mask", "position_ids")
    )
    filler = next(token for answer in answers for token in answer)  # no placeholder
    tails = [torch.tensor(answer, dtype=ids.dtype) for answer in answers]
    tail = pad_sequence(tails, batch_first=True, padding_value=filler).to(ids.device)
    lengths = torch.tensor([len(answer) for answer in answers])
    there = (torch.arange(tail.shape[1]) < lengths[:, None]).to(mask)
    steps = torch.arange(1, tail.shape[1] + 1, device=positions.device)
    further = {k: v for k, v in pruned.items() if k == "mm_encoder_outputs"}
    logits = model(
        input_ids=torch.cat([ids, tail], dim=1),
        attention_mask=torch.cat([mask, there], dim=1),
        position_ids=torch.cat([positions, positions[..., -1:] + steps], dim=-1),
        logits_to_keep=tail.shape[1] + 1,
        **further,
    ).logits
    log_p: Tensor = logits[:, :-1].float().log_softmax(-1)
    each = log_p.gather(2, tail[..., None].to(log_p.device))[..., 0]
    return [
        float(own[:n].sum()) if n else float("nan")
        for own, n in zip(each, lengths.tolist(), strict=True)
    ]
