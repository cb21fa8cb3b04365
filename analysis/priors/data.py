"""What a prior is fitted on: scenes, and which of their patches questions are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mitheory.bundle import Sample
from mitheory.errors import EmptyInputError, MissingInputError, ShapeError

from .features import features


@dataclass(frozen=True, eq=False)
class Labeled:
    """Scenes with the patches that questions about them are about.

    Parameters
    ----------
    scenes : ids of the m scenes
    visual : (m, n_v, d)
    features : (m, n_v, f)
    target : (m, n_v), the distribution of a patch asked about: a question drawn uniformly, then one
        of its patches
    grid : (rows, cols)
    scene_of : (q,) int64, of each question the row of its scene
    relevant : (q, n_v) bool
    text : (q, n_t, d), padded
    text_mask : (q, n_t) bool
    """

    scenes: tuple[str, ...]
    visual: Tensor
    features: Tensor
    target: Tensor
    grid: tuple[int, ...]
    scene_of: Tensor
    relevant: Tensor
    text: Tensor
    text_mask: Tensor

    def part(self, rows: Tensor) -> Labeled:
        """Only these scenes (k,) int64, with the questions about them."""
        place = torch.full((len(self.scenes),), -1)
        place[rows] = torch.arange(len(rows))
        asked = place[self.scene_of] >= 0
        return replace(
            self,
            scenes=tuple(self.scenes[int(i)] for i in rows),
            visual=self.visual[rows],
            features=self.features[rows],
            target=self.target[rows],
            scene_of=place[self.scene_of[asked]],
            relevant=self.relevant[asked],
            text=self.text[asked],
            text_mask=self.text_mask[asked],
        )


def labeled(samples: Sequence[Sample]) -> Labeled:
    """The questions that are about some patch, with their scenes.

    Raises
    ------
    MissingInputError
        If a sample has no relevance mask or no grid.
    EmptyInputError
        If no question is about any patch.
    ShapeError
        If grids differ.
    """
    for sample in samples:
        if sample.relevant is None or sample.grid is None:
            raise MissingInputError(f"{sample.sample_id}: expected 'relevant' and 'grid'")
    asked = [s for s in samples if s.relevant is not None and bool(s.relevant.any())]
    if not asked:
        raise EmptyInputError("samples: expected a question about some patch, got none")
    grids = {s.grid for s in asked}
    if len(grids) > 1:
        raise ShapeError(f"grid: expected one for all samples, got {sorted(map(str, grids))}")
    first = {s.image_id: s for s in reversed(asked)}
    scenes = tuple(dict.fromkeys(s.image_id for s in asked))
    row = {scene: i for i, scene in enumerate(scenes)}
    visual = torch.stack([first[scene].visual for scene in scenes])
    scene_of = torch.tensor([row[s.image_id] for s in asked])
    relevant = torch.stack([s.relevant for s in asked if s.relevant is not None])
    lengths = torch.tensor([s.n_t for s in asked])
    grid = asked[0].grid
    assert grid is not None
    return Labeled(
        scenes=scenes,
        visual=visual,
        features=features(visual, grid),
        target=target_of(relevant, scene_of, len(scenes)),
        grid=grid,
        scene_of=scene_of,
        relevant=relevant,
        text=pad_sequence([s.text for s in asked], batch_first=True),
        text_mask=torch.arange(int(lengths.max())) < lengths[:, None],
    )


def target_of(relevant: Tensor, scene_of: Tensor, n_scenes: int) -> Tensor:
    """Distribution (m, n_v) of a patch asked about in each scene.

    Parameters
    ----------
    relevant : (q, n_v) bool, no row empty
    scene_of : (q,) int64
    n_scenes : m

    Examples
    --------
    >>> relevant = torch.tensor([[True, False], [True, True]])
    >>> target_of(relevant, torch.tensor([0, 0]), 1)
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    each = relevant.double() / relevant.sum(1, keepdim=True)
    total = torch.zeros(n_scenes, relevant.shape[1], dtype=torch.float64)
    total.index_add_(0, scene_of, each)
    return total / total.sum(1, keepdim=True)


def shuffled(data: Labeled, *, seed: int) -> Labeled:
    """The same scenes with the patches of every scene permuted in its labels: the null.

    Every question keeps its number of patches, and two questions about a scene their overlap; where
    the patches are, and what they look like, says nothing any more.
    """
    rng = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(data.target.shape[1], generator=rng) for _ in data.scenes])
    relevant = data.relevant.gather(1, order[data.scene_of])
    return replace(data, relevant=relevant, target=data.target.gather(1, order))
