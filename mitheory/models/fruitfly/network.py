"""The network: vision encoder with [CLS] -> two-layer projector -> causal decoder.

The decoder's embedding table gives T; the projector gives V. Positions enter the decoder only as
rotary angles on half of each head, so position ids (kept or compacted after pruning) are a real
choice, while content matching stays free of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .scenes import N_PATCHES
from .vocabulary import WORDS

EXPANSION = 4
"""Width of the decoder's feed-forward layers, in widths of its residual stream."""


@dataclass(frozen=True)
class FruitFlyConfig:
    """Widths and depths; `rotary` is the number of rotated dimensions of each decoder head."""

    encoder_width: int = 96
    encoder_layers: int = 4
    encoder_heads: int = 4
    width: int = 96
    layers: int = 4
    heads: int = 4
    rotary: int = 12
    vocabulary: int = len(WORDS)


def rotary_angles(positions: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (..., T, n) of the angles of `positions` (..., T), as `rotate`
    takes them: the same n / 2 twice, sines negative first."""
    frequency = 10_000.0 ** (-torch.arange(0, n, 2, device=positions.device) / n)
    angle = positions[..., None].float() * frequency
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first n dimensions of `x` (..., B, heads, T, d_head) pairwise; the rest pass.

    Dimension i turns with i + n / 2. Both halves in one go: four times as fast as half by half.
    """
    cos, sin = (a.unsqueeze(-3) for a in angles)  # (B or 1, 1, T, n)
    n = cos.shape[-1]
    turned, rest = x[..., :n], x[..., n:]
    return torch.cat([torch.addcmul(turned * cos, turned.roll(n // 2, -1), sin), rest], -1)


class Block(nn.Module):
    """Pre-norm transformer block; attention in float32 whatever the linear layers run in."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.norm_mlp = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)

    def _qkv(self, x: Tensor, angles: tuple[Tensor, Tensor] | None) -> tuple[Tensor, ...]:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).float()
        parts = qkv.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = parts[:2] if angles is None else rotate(parts[:2], angles)
        return q, k, parts[2]

    def forward(
        self, x: Tensor, mask: Tensor | None = None, angles: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """x (B, T, width); mask broadcastable to (B, heads, T, T), True where a query may look."""
        q, k, v = self._qkv(x, angles)
        with torch.autocast(x.device.type, enabled=False):
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_mlp(x)), approximate="tanh"))

    def at(self, x: Tensor, place: Tensor, mask: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Row `place` (B,) of every output (B, width) of `forward`, without computing the others.

        mask (B or 1, 1, T, T). Keys and values are of all rows, the query of one.
        """
        batch, length, width = x.shape
        rows, size = torch.arange(batch, device=x.device), width // self.heads
        own, seen = x[rows, place], self.norm_attention(x)
        parts = (slice(width), slice(width, None))
        queries, others = (self.qkv.weight[part] for part in parts)
        query_bias, bias = (self.qkv.bias[part] for part in parts)
        q = F.linear(seen[rows, place], queries, query_bias).view(batch, self.heads, 1, size)
        k, v = F.linear(seen, others, bias).view(batch, length, 2, self.heads, size).permute(
            2, 0, 3, 1, 4
        )  # fmt: skip
        cos, sin = (a.expand(batch, -1, -1) for a in angles)
        q = rotate(q, (cos[rows, place][:, None], sin[rows, place][:, None]))
        allowed = mask.expand(batch, -1, -1, -1)[rows, :, place][:, :, None]
        mixed = F.scaled_dot_product_attention(q, rotate(k, angles), v, attn_mask=allowed)
        own = own + self.out(mixed.flatten(1))
        return own + self.down(F.gelu(self.up(self.norm_mlp(own)), approximate="tanh"))

    def keys(self, x: Tensor, angles: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Keys (B, heads, T, width / heads) of this block on its input `x`."""
        return self._qkv(x, angles)[1]

    def attention(
        self, x: Tensor, mask: Tensor | None = None, angles: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Attention probabilities (B, heads, T, T) of this block on its input `x`."""
        q, k, _ = self._qkv(x, angles)
        logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        return (
            logits.masked_fill(~mask, -torch.inf).softmax(-1)
            if mask is not None
            else logits.softmax(-1)
        )


class Encoder(nn.Module):
    """Convolutional stem at patch resolution, then a vision transformer with [CLS].

    A plain patchify stem stayed at chance for as many steps as this one needs to converge.
    """

    def __init__(self, config: FruitFlyConfig) -> None:
        super().__init__()
        width = config.encoder_width
        self.pixels = nn.Conv2d(3, 24, 3, padding=1)
        self.patchify = nn.Conv2d(24, width, 6, stride=4, padding=1)
        self.mix1 = nn.Conv2d(width, width, 3, padding=1)
        self.mix2 = nn.Conv2d(width, width, 3, padding=1)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, N_PATCHES + 1, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(width, config.encoder_heads, 3) for _ in range(config.encoder_layers)
        )
        self.norm = nn.LayerNorm(width)

    def stem(self, images: Tensor) -> Tensor:
        """images (B, 3, 48, 48) in [0, 1] -> (B, 1 + 144, width)."""
        x = self.patchify(F.gelu(self.pixels((images - 0.35) / 0.3)))
        x = x + self.mix2(F.gelu(self.mix1(F.gelu(x))))
        x = x.flatten(2).transpose(1, 2)  # (B, width, 12, 12) -> (B, 144, width)
        return torch.cat([self.cls.expand(len(x), -1, -1).to(x.dtype), x], 1) + self.position

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 1 + 144, width), [CLS] first."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def with_attention(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features as `forward`, the last block's attention (B, heads, 145, 145) and its keys
        (B, 145, width / heads), mean over heads."""
        x = self.before_last(images)
        last = cast(Block, self.blocks[-1])
        return self.norm(last(x)), last.attention(x), last.keys(x).mean(1)

    def before_last(self, images: Tensor) -> Tensor:
        """What the last block is given: (B, 1 + 144, width), [CLS] first, not normalized."""
        x = self.stem(images)
        for block in list(self.blocks)[:-1]:
            x = block(x)
        return x


class Decoder(nn.Module):
    """Causal decoder over [visual tokens, question words]."""

    def __init__(self, config: FruitFlyConfig) -> None:
        super().__init__()
        self.rotary = config.rotary
        self.words = nn.Embedding(config.vocabulary, config.width)
        nn.init.normal_(self.words.weight, std=0.3)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, EXPANSION) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)

    def inputs(
        self, visual: Tensor, positions: Tensor, tokens: Tensor, visual_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Embeddings, attention mask and rotary angles of packed questions.

        visual (B, N, width); positions (B or 1, N + L) ids of visual and question tokens;
        tokens (B, K, L): K questions that each see the visual tokens and themselves only;
        visual_mask (B, N), True where a visual token exists.
        """
        _, k, length = tokens.shape
        n = visual.shape[1]
        text = self.words(tokens).flatten(1, 2)
        x = torch.cat([visual.to(text.dtype), text], 1)  # (B, N + K L, width)
        packed = torch.cat([positions[:, :n], positions[:, n:].repeat(1, k)], 1)
        return x, visible(n, k, length, x.device, visual_mask), rotary_angles(packed, self.rotary)

    def forward(
        self, visual: Tensor, positions: Tensor, tokens: Tensor, visual_mask: Tensor | None = None
    ) -> Tensor:
        """Next-word logits (B, K, L, vocabulary) after every question word."""
        x, mask, angles = self.inputs(visual, positions, tokens, visual_mask)
        for block in self.blocks:
            x = block(x, mask, angles)
        batch, k, length = tokens.shape
        return self.head(self.norm(x[:, visual.shape[1] :])).view(batch, k, length, -1)

    def after(
        self,
        visual: Tensor,
        positions: Tensor,
        tokens: Tensor,
        last: Tensor,
        visual_mask: Tensor | None = None,
    ) -> Tensor:
        """Next-word logits (B, vocabulary) after word `last` (B,) of one question each.

        What `forward` gives there, without the last block's output at other places. Other
        arguments as in `forward`, with tokens (B, L).
        """
        x, mask, angles = self.inputs(visual, positions, tokens[:, None], visual_mask)
        *blocks, final = (cast(Block, block) for block in self.blocks)
        for block in blocks:
            x = block(x, mask, angles)
        logits: Tensor = self.head(self.norm(final.at(x, visual.shape[1] + last, mask, angles)))
        return logits

    def attentions(self, visual: Tensor, positions: Tensor, tokens: Tensor) -> Tensor:
        """What the words of one question each look at: (B, layers, heads, L, N + L), rows sum to 1.

        Arguments as in `forward`, with K = 1 and every visual token there.
        """
        x, mask, angles = self.inputs(visual, positions, tokens)
        found = []
        for block in self.blocks:
            seen = cast(Block, block).attention(x, mask, angles)
            found.append(seen[:, :, visual.shape[1] :])
            x = block(x, mask, angles)
        return torch.stack(found, 1)


def visible(
    n: int, k: int, length: int, device: torch.device, visual_mask: Tensor | None = None
) -> Tensor:
    """What may look at what, (B or 1, 1, T, T): `packed_mask` without the masked visual tokens.

    A masked token sees itself, so that its softmax is not empty; nobody else sees it.
    """
    mask = packed_mask(n, k, length, device)
    if visual_mask is None:
        return mask[None, None]
    keys = F.pad(visual_mask, (0, k * length), value=True)[:, None]  # (B, 1, T)
    own = torch.eye(n + k * length, dtype=torch.bool, device=device)
    return ((mask & keys) | own)[:, None]


def packed_mask(n: int, k: int, length: int, device: torch.device) -> Tensor:
    """(T, T) boolean, T = n + k length: causal over the visual prefix and within each question."""
    total = n + k * length
    position = torch.arange(total, device=device)
    segment = torch.where(position < n, -1, (position - n) // length)
    same = (segment[:, None] == segment[None]) | (segment[None] == -1)
    return same & (position[:, None] >= position[None])


class FruitFly(nn.Module):
    """Encoder, projector and decoder; `visual_tokens` gives V, `decoder.words` gives T."""

    def __init__(self, config: FruitFlyConfig = FruitFlyConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.projector = nn.Sequential(
            nn.Linear(config.encoder_width, config.width),
            nn.GELU(),
            nn.Linear(config.width, config.width),
        )
        self.decoder = Decoder(config)

    def visual_tokens(self, images: Tensor) -> Tensor:
        """V (B, 144, width) of images (B, 3, 48, 48)."""
        visual: Tensor = self.projector(self.encoder(images)[:, 1:])
        return visual

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Next-word logits (B, K, L, vocabulary) with all visual tokens."""
        positions = torch.arange(N_PATCHES + tokens.shape[-1], device=images.device)[None]
        logits: Tensor = self.decoder(self.visual_tokens(images), positions, tokens)
        return logits
