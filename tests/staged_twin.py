"""Slow twin of pruning inside a stock decoder: nothing is cut, everything is masked.

One prompt at a time, all columns all the time, no cache, no padding: from a stage on, dropped
columns are hidden by a mask that is written out. What the stages read comes from the model's own
eager attention, whole matrices of it, and from the keys that a layer caches.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from mllm_cases import deepstack_twin
from torch import Tensor
from transformers import DynamicCache

from mitheory import select
from mitheory.models.mllm.cutting import kept_columns, shown
from mitheory.testing import tiny_model


def eager(architecture):
    """The same weights as `model_of`, computing attention as matrices."""
    model = tiny_model(architecture)
    model.set_attn_implementation("eager")
    return model


@dataclass
class Twin:
    """One prompt. `kept` by stage: places among the projector's, once they are chosen."""

    family: object
    encoded: object
    sample: int
    stages: list
    seed: int = 0
    words: Tensor | None = None
    kept: list = field(default_factory=list)
    merges: list = field(default_factory=list)

    def shown_columns(self, places: Tensor) -> Tensor:
        keep = [torch.empty(0, dtype=torch.long)] * len(self.encoded)
        keep[self.sample] = places
        return kept_columns(self.encoded, shown(self.encoded, keep))[self.sample]

    @torch.no_grad()
    def states(self, tokens: list[int]) -> tuple[Tensor, Tensor]:
        """Final states (s, d) of the prompt and the tokens behind it, and what of them is left."""
        model, encoded, i = self.family.model, self.encoded, self.sample
        decoder = model.model.language_model
        places = torch.arange(len(encoded.columns(i)))
        base = self.shown_columns(places)
        embedded = model.get_input_embeddings()(encoded.input_ids[i])
        for block in encoded.blocks[i]:
            embedded[block.columns] = block.features
        is_visual, deep = deepstack_twin(encoded, i, base)
        new = model.get_input_embeddings()(torch.tensor(tokens, dtype=torch.long))
        h = torch.cat([embedded[base], new])
        positions = encoded.position_ids[..., i, :][..., base]
        more = positions[..., -1:] + torch.arange(1, len(tokens) + 1)
        positions = torch.cat([positions, more], -1)
        text = positions[0] if positions.ndim == 2 else positions
        angles = decoder.rotary_emb(
            h[None], (positions[1:] if positions.ndim == 2 else positions)[..., None, :]
        )
        names = base.nonzero()[:, 0].tolist()
        seat = {column: at for at, column in enumerate(names)}
        candidates = encoded.columns(i).tolist()
        there = torch.ones(len(h), dtype=torch.bool)
        last = max(int(block.columns.max()) for block in encoded.blocks[i])
        after = torch.tensor([seat[c] for c in names if c > last])
        prompt = torch.tensor(names)
        rated = h[: len(names)].clone()  # input embeddings, merged as the states are
        added = []
        for rows in deep:
            added.append(torch.zeros_like(h))
            added[-1][: len(names)][is_visual] = rows
        cache, weights = DynamicCache(), None
        for number, layer in enumerate(decoder.layers):
            for j, stage in enumerate(self.stages):
                if stage.layer != number:
                    continue
                members = torch.tensor([seat[candidates[p]] for p in places.tolist()])
                if len(self.kept) == j:
                    self.choose(stage, places, members, after, h, rated, weights, cache, number)
                merge = self.merges[j]
                if merge is not None:
                    for center in merge.centers.tolist():
                        own = members[merge.into == center]
                        for x in (h, rated, *added):
                            x[members[center]] = x[own].mean(0)
                places = self.kept[j]
                left = self.shown_columns(places) & base
                there = there.clone()
                there[: len(names)] = left[prompt]
            mask = torch.where(torch.ones(len(h), len(h)).tril().bool() & there, 0.0, -1e30)
            caught = []
            hook = layer.self_attn.register_forward_hook(
                lambda m, a, out, c=caught: c.append(out[1])
            )
            h = layer(
                h[None],
                attention_mask=mask[None, None],
                position_ids=text[None],
                position_embeddings=angles,
                past_key_values=cache,
            )[0]
            hook.remove()
            (weights,) = caught
            h = h + added[number] if number < len(added) else h.clone()
        return decoder.norm(h), there

    def choose(self, stage, places, members, after, h, rated, weights, cache, number):
        keys = cache.layers[number - 1].keys[0]
        decoder = self.family.model.model.language_model
        states = decoder.norm(h) if stage.method == "dart" else h
        given = {
            "visual": rated[members],
            "text": rated[after] if self.words is None else rated[self.words],
            "text_attention": weights[0][:, after][:, :, members],
            "llm_visual_states": states[members],
            "llm_text_states": states[after],
            "llm_visual_keys": keys[:, members],
            "llm_text_keys": keys[:, after],
        }
        from mitheory import SELECTORS

        wanted = {
            k: x for k, x in given.items() if k in SELECTORS[stage.method].inputs or k == "visual"
        }
        budget = stage.budget[self.sample] if isinstance(stage.budget, tuple) else stage.budget
        found = select(
            stage.method, budget=budget, seed=self.seed, mode=stage.mode, **wanted, **stage.options
        )
        index = found.sorted if found.merge is None else found.merge.centers
        self.kept.append(places[index])
        self.merges.append(found.merge)

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Of what is left of the prompt."""
        states, there = self.states([])
        return self.family.model.lm_head(states[there])

    @torch.no_grad()
    def greedy(self, steps: int) -> list[int]:
        """Everything computed anew for every token, with the choice of the first time."""
        tokens: list[int] = []
        for _ in range(steps):
            states, _ = self.states(tokens)
            tokens.append(int(self.family.model.lm_head(states[-1]).argmax()))
        return tokens
