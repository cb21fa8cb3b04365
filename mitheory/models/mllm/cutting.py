"""From what a selector chose to what the decoder is shown: rows, columns, position ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...errors import DTypeError, ParameterError, ShapeError
from ...selection import Merge
from .options import Options
from .records import CLS, NEWLINE, PATCH, Encoded, Features, Layout

Masks = list[list[Tensor]]
"""By sample and block, (n,) bool."""


def shown(encoded: Encoded, keep: Sequence[Tensor] | None) -> Masks:
    """Which visual tokens are shown when the candidates `keep` are; all of them without.

    Parameters
    ----------
    keep : per sample, distinct places (k,) among its candidates, `Encoded.visual`; k may be 0

    Raises
    ------
    ShapeError
        If there are not as many index tensors as samples, or an index is out of range or repeated.
    DTypeError
        If they are no integers.
    """
    if keep is not None and len(keep) != len(encoded):
        raise ShapeError(f"keep: expected one index tensor per sample, {len(encoded)}, got {keep}")
    masks: Masks = []
    for sample, blocks in enumerate(encoded.blocks):
        candidates = encoded.candidates(sample)
        total = sum(int(scored.sum()) for scored in candidates)
        places = torch.arange(total) if keep is None else _checked(sample, keep[sample], total)
        chosen = torch.zeros(total, dtype=torch.bool)
        chosen[places] = True
        own: list[Tensor] = []
        for block, scored in zip(blocks, candidates, strict=True):
            mask = scored.clone()
            mask[scored], chosen = chosen[: int(scored.sum())], chosen[int(scored.sum()) :]
            own.append(mask | _followers(block.layout, mask, encoded.options))
        masks.append(own)
    return masks


Merges = Sequence[Merge | None]
"""By sample, which candidates are averaged into kept ones; None where none are."""


def check_merges(
    encoded: Encoded, keep: Sequence[Tensor] | None, merges: Merges | None
) -> list[tuple[int, Merge]]:
    """The samples in which something is merged.

    Raises
    ------
    ShapeError
        If there is not one merge per sample.
    ParameterError
        If what is merged into is not what is kept.
    """
    given = list(merges) if merges is not None else [None] * len(encoded)
    if len(given) != len(encoded):
        raise ShapeError(f"merges: expected one per sample, {len(encoded)}, got {len(given)}")
    found = [(sample, merge) for sample, merge in enumerate(given) if merge is not None]
    for sample, merge in found:
        kept = sorted(keep[sample].tolist()) if keep is not None else "all"
        if merge.centers.tolist() != kept:
            raise ParameterError(
                f"merges: expected the kept tokens of sample {sample} as centers, {kept}, got "
                f"{merge.centers.tolist()}"
            )
    return found


def replaced(encoded: Encoded, rows: Mapping[int, tuple[Tensor, Tensor]]) -> dict[str, Features]:
    """The features with other rows in the place of some candidates.

    Parameters
    ----------
    rows : by sample, places (m,) among its candidates, and what stands there instead (m, d)
    """
    own = {name: [x.clone() for x in found.rows] for name, found in encoded.features.items()}
    for sample, (places, instead) in rows.items():
        visual = encoded.visual(sample).clone()
        visual[places.to(visual.device)] = instead.to(visual)
        candidates = encoded.candidates(sample)
        parts = visual.split([int(scored.sum()) for scored in candidates])
        for block, scored, part in zip(encoded.blocks[sample], candidates, parts, strict=True):
            there = own[block.modality][block.index]
            there[scored.to(there.device)] = part
    return {name: replace(found, rows=tuple(own[name])) for name, found in encoded.features.items()}


def _checked(sample: int, places: object, total: int) -> Tensor:
    index = torch.as_tensor(places)
    if index.numel() == 0:
        return torch.empty(0, dtype=torch.long)
    if index.is_floating_point() or index.dtype == torch.bool:
        raise DTypeError(f"keep of sample {sample}: expected integers, got {index.dtype}")
    index = index.long().cpu()
    in_range = int(index.min()) >= 0 and int(index.max()) < total
    if index.ndim != 1 or not in_range or len(index.unique()) != len(index):
        raise ShapeError(
            f"keep of sample {sample}: expected distinct indices in [0, {total}), "
            f"got {index.tolist()}"
        )
    return index


def _followers(layout: Layout, chosen: Tensor, options: Options) -> Tensor:
    """(n,) bool: newline and class rows that are shown beside the chosen patches."""
    patches = chosen & (layout.kind == PATCH)
    added = torch.zeros_like(chosen)
    for kind, policy in ((NEWLINE, options.newline), (CLS, options.cls)):
        special = layout.kind == kind
        if policy == "always":
            added |= special
        elif policy == "follow":
            for i in special.nonzero()[:, 0].tolist():
                # what the row does not name (-1), such as a class token's row, it does not ask for
                named = layout.coords[i, :3] >= 0
                same = (layout.coords[:, :3] == layout.coords[i, :3])[:, named].all(dim=1)
                added[i] = bool((patches & same).any())
    return added


def kept_columns(encoded: Encoded, masks: Masks) -> Tensor:
    """(b, s) bool: columns of the prompt that are shown, padding not among them."""
    columns = encoded.attention_mask.bool().cpu().clone()
    for sample, (blocks, own) in enumerate(zip(encoded.blocks, masks, strict=True)):
        for block, mask in zip(blocks, own, strict=True):
            columns[sample, block.columns[~mask]] = False
    return columns


def left_padded(rows: Tensor, columns: Tensor, fill: int) -> Tensor:
    """What (b, s) or (a, b, s) holds at `columns`, (b, s) bool; rows filled up on the left.

    Examples
    --------
    >>> columns = torch.tensor([[True, False, True], [False, False, True]])
    >>> left_padded(torch.tensor([[1, 2, 3], [4, 5, 6]]), columns, 0)
    tensor([[1, 3],
            [0, 6]])
    """
    lengths = columns.sum(dim=1)
    longest = int(lengths.max())
    out = rows.new_full((*rows.shape[:-1], longest), fill)
    there = torch.arange(longest) >= (longest - lengths)[:, None]
    device = rows.device
    out[..., there.to(device)] = rows[..., columns.to(device)]
    return out
