"""The fruit-fly behind the same protocol as the Hugging Face models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from ...budgets import Decoder
from ...bundle import Sample
from ...errors import MissingInputError, ParameterError, ShapeError
from ...selection.inputs import SHAPES
from ..base import Answer, Example, Order, PositionIds, Stage, StagedAnswer
from ..staging import check_stages
from . import staged
from .checkpoint import default_device, load, revision
from .network import EXPANSION, Block
from .scenes import GRID, N_PATCHES, SIDE
from .vocabulary import MAX_WORDS, WORDS, encode

POSITIONS = ("kept", "compacted")
ORDERS = ("raster", "pick")


class FruitFlyAdapter:
    """A fruit-fly checkpoint as a `ModelAdapter`.

    Parameters
    ----------
    checkpoint : str or Path
        "fruitfly" (aligned by the language-model loss alone), "fruitfly-contrastive", or a file.
    device : str
        "cpu", "cuda", "cuda:1", or "auto".
    batch_size : int
        Questions answered, or images encoded, at a time.

    Examples
    --------
    >>> from mitheory.models.fruitfly import FruitFlyAdapter, examples
    >>> fly = FruitFlyAdapter()
    >>> samples = fly.encode(list(examples("test", limit=2)))
    >>> samples[0].visual.shape
    torch.Size([144, 96])
    """

    def __init__(
        self, checkpoint: str | Path = "fruitfly", *, device: str = "cpu", batch_size: int = 128
    ) -> None:
        self.device = default_device(device)
        model, self.card = load(checkpoint)
        self.model = model.to(self.device)
        self.name = str(checkpoint)
        self.revision = revision(checkpoint)
        self.batch_size = batch_size
        config = model.config
        self.n_layers = config.layers
        self.decoder = Decoder(config.width, EXPANSION * config.width, is_gated=False)

    @torch.no_grad()
    def encode(self, examples: Sequence[Example]) -> list[Sample]:
        """Samples with V, T, the encoder's features and its last layer's attention and keys.

        Every image is encoded once, however many questions are asked about it.

        Raises
        ------
        ShapeError
            If an image is not (48, 48, 3) uint8.
        ParameterError
            If a question has words outside the vocabulary or is too long.
        """
        first = {example.image_id: example for example in examples}
        views: dict[str, dict[str, Tensor]] = {}
        for chunk in _chunks(list(first.values()), self.batch_size):
            for example, view in zip(chunk, self._encode_images(chunk), strict=True):
                views[example.image_id] = view
        return [self._sample(example, views[example.image_id]) for example in examples]

    def _encode_images(self, examples: Sequence[Example]) -> Iterator[dict[str, Tensor]]:
        images = torch.stack([_pixels(example) for example in examples]).to(self.device)
        features, attention, keys = self.model.encoder.with_attention(images)
        visual = self.model.projector(features[:, 1:])
        views = (visual.cpu(), features.cpu(), attention.cpu(), keys.cpu())
        for v, f, a, k in zip(*views, strict=True):
            yield {
                "visual": v,
                "encoder_features": f[1:],
                "encoder_keys": k[1:],
                "cls_attention": a[:, 0, 1:],
                "patch_attention": a[:, 1:, 1:],
            }

    def _sample(self, example: Example, view: dict[str, Tensor]) -> Sample:
        words = tuple(example.question.split())
        ids = encode(words)
        if len(ids) > MAX_WORDS:
            raise ParameterError(
                f"question: expected at most {MAX_WORDS} words, "
                f"got {len(ids)}: {example.question!r}"
            )
        text = self.model.decoder.words.weight[torch.tensor(ids, device=self.device)].cpu()
        relevant = None if example.relevant is None else torch.from_numpy(example.relevant)
        return Sample(
            sample_id=example.sample_id,
            image_id=example.image_id,
            text=text,
            grid=(GRID, GRID),
            tokens=words,
            question=example.question,
            answer=example.answer,
            question_type=example.question_type,
            negative=example.negative,
            options=example.options,
            image=torch.from_numpy(example.image),
            relevant=relevant,
            metadata=example.metadata,
            **view,
        )

    @torch.no_grad()
    def embed(self, words: Sequence[str]) -> Tensor:
        """Embeddings (n, d) of words of the vocabulary, as they enter the decoder.

        Raises
        ------
        ParameterError
            If a word is not in the vocabulary.
        """
        ids = torch.tensor(encode(words), device=self.device)
        return self.model.decoder.words.weight[ids].cpu()

    @torch.no_grad()
    def answer(
        self,
        samples: Sequence[Sample],
        keep: Sequence[Tensor] | None = None,
        *,
        words: Sequence[Tensor] | None = None,
        positions: PositionIds = "kept",
        order: Order = "raster",
    ) -> list[Answer]:
        """Answers with the kept visual tokens only; ``keep=None`` shows all of them.

        Kept sets may differ in size, and may be empty (the question alone). Half-precision samples
        are answered in float32.

        ``words`` are the places of the words that the decoder is shown, one tensor per sample; all
        without. The last word must be among them: the answer is read behind it. Words stand in
        their order, and have the position ids that ``positions`` says, as patches do.

        Raises
        ------
        ShapeError
            If `keep` or `words` and `samples` differ in length, or an index is out of range or
            repeated.
        ParameterError
            If a last word is dropped, `positions` is neither "kept" nor "compacted", or `order`
            neither "raster" nor "pick".
        """
        for name, value, known in (("positions", positions, POSITIONS), ("order", order, ORDERS)):
            if value not in known:
                raise ParameterError(f"{name}: expected one of {list(known)}, got {value!r}")
        kept = _check_keep(samples, keep)
        if order == "pick" and keep is not None:
            kept = [torch.as_tensor(index, dtype=torch.long) for index in keep]
        shown = _check_words(samples, words)
        answers: list[Answer] = []
        for i in range(0, len(samples), self.batch_size):
            part = slice(i, i + self.batch_size)
            answers += self._answer(samples[part], kept[part], shown[part], positions)
        return answers

    @torch.no_grad()
    def attention(self, samples: Sequence[Sample]) -> list[Tensor]:
        """What every word of the question looks at among all visual tokens, layer by layer.

        Returns one (layers, heads, n_t, n_v) tensor per sample; the rest of a row of 1 is on words.
        """
        found: list[Tensor] = []
        for part in _chunks(samples, self.batch_size):
            visual = torch.stack([s.visual.float() for s in part]).to(self.device)
            n = visual.shape[1]
            tokens = torch.zeros(len(part), 1, MAX_WORDS, dtype=torch.long)
            for i, sample in enumerate(part):
                tokens[i, 0, : len(sample.tokens)] = torch.tensor(encode(sample.tokens))
            ids = torch.arange(n + MAX_WORDS).expand(len(part), -1)
            seen = self.model.decoder.attentions(
                visual, ids.to(self.device), tokens.to(self.device)
            ).cpu()
            found += [a[:, :, : s.n_t, :n] for a, s in zip(seen, part, strict=True)]
        return found

    @torch.no_grad()
    def stages(self, samples: Sequence[Sample]) -> list[dict[str, Tensor]]:
        """What the patches are at each stage on the way to the decoder, from the stored image.

        Returns per sample (n_v, d) tensors by stage: "before_last_layer", "encoder", "projected".

        Raises
        ------
        MissingInputError
            If a sample holds no image.
        """
        images: dict[str, Tensor] = {}
        for sample in samples:
            if sample.image is None:
                raise MissingInputError(f"stages: sample {sample.sample_id!r} holds no image")
            images.setdefault(sample.image_id, sample.image)
        views: dict[str, dict[str, Tensor]] = {}
        for names in _chunks(list(images), self.batch_size):
            pixels = torch.stack([images[name].permute(2, 0, 1).float() / 255 for name in names])
            before = self.model.encoder.before_last(pixels.to(self.device))
            after = self.model.encoder.norm(self.model.encoder.blocks[-1](before))
            projected = self.model.projector(after[:, 1:])
            for name, *view in zip(names, before.cpu(), after.cpu(), projected.cpu(), strict=True):
                views[name] = {
                    "before_last_layer": view[0][1:],
                    "encoder": view[1][1:],
                    "projected": view[2],
                }
        return [views[sample.image_id] for sample in samples]

    @torch.no_grad()
    def internals(
        self, samples: Sequence[Sample], layer: int, *, final_norm: bool = False
    ) -> list[dict[str, Tensor]]:
        """What a selector may ask of the decoder right before block `layer` (1 and up).

        Per sample, by the names of `select`: ``text_attention`` (heads, n_t, n_v) and the keys
        ``llm_visual_keys``, ``llm_text_keys`` (heads, n, d_head), after rotary angles, of block
        ``layer - 1``; ``llm_visual_states``, ``llm_text_states`` (n, d), the residual stream behind
        it, as it is or, as DART reads it, behind the model's final norm.

        Source: wen2025dart; chen2024fastv.

        Raises
        ------
        ParameterError
            If there is no block before that layer.
        """
        decoder = self.model.decoder
        if not 1 <= layer <= len(decoder.blocks):
            raise ParameterError(f"layer: expected within 1..{len(decoder.blocks)}, got {layer}")
        blocks = [cast(Block, block) for block in decoder.blocks][:layer]
        found: list[dict[str, Tensor]] = []
        for part in _chunks(samples, self.batch_size):
            after = staged.begin(decoder, part, self.device)
            for block in blocks:
                before, after = after, staged.forward(block, after, decoder.rotary)
            seen = staged.observed(decoder, blocks[-1], before, after, final_norm=final_norm)
            for i, sample in enumerate(part):
                found.append({k: _of_words(k, x[i], sample.n_t) for k, x in seen.items()})
        return found

    @torch.no_grad()
    def answer_staged(
        self, samples: Sequence[Sample], stages: Sequence[Stage], *, seed: int | Sequence[int] = 0
    ) -> list[StagedAnswer]:
        """Answers when tokens are dropped, or merged, right before some blocks of the decoder.

        Every stage chooses among the tokens still there. Kept tokens keep their position ids;
        dropped ones are seen by no block from there on. The words of SparseVLM's raters and the
        like are those of the input embeddings: `visual` and `text` are V and T at every stage,
        `visual` of a merged token being merged alike.

        Parameters
        ----------
        samples : of `encode`, all with equally many visual tokens
        stages : in the order of their layers, one at most before each block
        seed : of methods that draw, one for all or one per sample

        Raises
        ------
        ParameterError
            If a layer is none of the decoder's, or the layers do not ascend.
        ShapeError
            If there are budgets or seeds for another number of samples.
        MitheoryError
            As `select` does, for a stage: a budget above what is left, a missing input, ...

        Examples
        --------
        >>> from mitheory.models.base import Stage
        >>> from mitheory.models.fruitfly import examples
        >>> fly = FruitFlyAdapter()
        >>> samples = fly.encode(list(examples("test", limit=1)))
        >>> (found,) = fly.answer_staged(samples, [Stage(1, "divprune", 72), Stage(2, "random", 9)])
        >>> found.tokens_per_layer, [len(places) for places in found.kept]
        ((144, 72, 9, 9), [72, 9])
        """
        size = len(samples)
        budgets = check_stages(stages, size, len(self.model.decoder.blocks))
        seeds = [seed] * size if isinstance(seed, int) else list(seed)
        if len(seeds) != size:
            raise ShapeError(f"seed: expected one or {size} of them, got {len(seeds)}")
        answers: list[StagedAnswer] = []
        for i in range(0, size, self.batch_size):
            part = slice(i, i + self.batch_size)
            own = [b[part] for b in budgets]
            done = staged.run(
                self.model.decoder, samples[part], stages, own, seeds[part], self.device
            )
            for j, sample in enumerate(samples[part]):
                kept = tuple(stage[j] for stage in done.kept)
                counts = tuple(layer[j] for layer in done.counts)
                answers.append(StagedAnswer(_read(done.log_p[j], sample), kept, counts))
        return answers

    def _answer(
        self,
        samples: Sequence[Sample],
        kept: Sequence[Tensor],
        shown: Sequence[Tensor],
        positions: PositionIds,
    ) -> list[Answer]:
        batch, n = len(samples), max(len(k) for k in kept)
        length = max(len(words) for words in shown)
        visual = torch.zeros(batch, n, self.model.config.width)
        ids = torch.zeros(batch, n + length, dtype=torch.long)
        mask = torch.zeros(batch, n, dtype=torch.bool)
        tokens = torch.zeros(batch, length, dtype=torch.long)
        for i, (sample, index, words) in enumerate(zip(samples, kept, shown, strict=True)):
            k, m = len(index), len(words)
            visual[i, :k] = sample.visual[index].float()
            mask[i, :k] = True
            ids[i, :k] = index if positions == "kept" else torch.arange(k)
            start = N_PATCHES if positions == "kept" else k
            ids[i, n:] = start + torch.arange(length)
            if positions == "kept":  # padding behind them is seen by nobody
                ids[i, n : n + m] = start + words
            tokens[i, :m] = torch.tensor(encode(sample.tokens[j] for j in words.tolist()))
        visual_mask = None if bool(mask.all()) else mask.to(self.device)
        last = torch.tensor([len(words) - 1 for words in shown])
        logits = self.model.decoder.after(
            visual.to(self.device), ids.to(self.device), tokens.to(self.device),
            last.to(self.device), visual_mask,
        )  # fmt: skip
        log_p = logits.cpu().log_softmax(-1)
        return [_read(row, sample) for row, sample in zip(log_p, samples, strict=True)]


def _of_words(name: str, x: Tensor, n_t: int) -> Tensor:
    """One sample's tensor without the padding of its words."""
    axes = SHAPES[name]
    return x.narrow(axes.index("n_t"), 0, n_t).cpu() if "n_t" in axes else x.cpu()


def _read(log_p: Tensor, sample: Sample) -> Answer:
    """The most probable word, its log-probability and that of the true answer."""
    best = int(log_p.argmax())
    truth = float(log_p[encode([sample.answer])[0]]) if sample.answer else float("nan")
    return Answer(WORDS[best], float(log_p[best]), truth)


T = TypeVar("T")


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]


def _pixels(example: Example) -> Tensor:
    """(3, 48, 48) float32 in [0, 1]."""
    image = example.image
    if image.shape != (SIDE, SIDE, 3) or image.dtype != np.uint8:
        raise ShapeError(
            f"image of {example.sample_id!r}: expected ({SIDE}, {SIDE}, 3) uint8, "
            f"got {image.shape} {image.dtype}"
        )
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


def _check_keep(samples: Sequence[Sample], keep: Sequence[Tensor] | None) -> list[Tensor]:
    """Kept indices of every sample in raster order, checked."""
    return _ordered("keep", samples, keep, [len(sample.visual) for sample in samples])


def _check_words(samples: Sequence[Sample], words: Sequence[Tensor] | None) -> list[Tensor]:
    """Places of the words shown of every sample, ascending, checked."""
    ordered = _ordered("words", samples, words, [len(sample.tokens) for sample in samples])
    for sample, index in zip(samples, ordered, strict=True):
        if not len(index) or int(index[-1]) != len(sample.tokens) - 1:
            raise ParameterError(
                f"words of {sample.sample_id!r}: expected the last one, "
                f"{len(sample.tokens) - 1}, behind which the answer is read, got {index.tolist()}"
            )
    return ordered


def _ordered(
    name: str, samples: Sequence[Sample], given: Sequence[Tensor] | None, sizes: Sequence[int]
) -> list[Tensor]:
    """One ascending tensor of distinct indices per sample; all indices without."""
    if given is None:
        return [torch.arange(size) for size in sizes]
    if len(given) != len(samples):
        raise ShapeError(
            f"{name}: expected one index tensor per sample ({len(samples)}), got {len(given)}"
        )
    ordered = [torch.as_tensor(index, dtype=torch.long).sort().values for index in given]
    for sample, index, n in zip(samples, ordered, sizes, strict=True):
        if len(index) and (
            int(index[0]) < 0 or int(index[-1]) >= n or bool((index.diff() == 0).any())
        ):
            raise ShapeError(
                f"{name} of {sample.sample_id!r}: expected distinct indices in [0, {n}), "
                f"got {index.tolist()}"
            )
    return ordered
