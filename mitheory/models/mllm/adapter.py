"""A checkpoint of `transformers` behind the protocol of all adapters: `encode` and `answer`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from ...budgets import Decoder
from ...bundle import Sample
from ...checks import check_count
from ...errors import MissingInputError, ParameterError, ShapeError
from ..base import Answer, Example, Order, PositionIds, Stage, StagedAnswer
from ..staging import check_stages
from . import answering
from .base import Family
from .cutting import Merges
from .loading import Loading, load_model, load_processor, revision_of
from .options import Options
from .prompting import FRAMES, Asked, prepared
from .records import Encoded
from .registry import family_of
from .selecting import of_encoder
from .staged import Staged, encoder_is_read

LOADING = ("device", "dtype", "device_map", "attn_implementation", "decoder")
"""Options of `from_pretrained` that are no part of the revision."""

MAX_NEW_TOKENS = 16
"""Enough for the short answers of GQA, ScienceQA, TextVQA, POPE and MME."""


class MllmAdapter:
    """A multimodal model of `transformers` as a `ModelAdapter`.

    A question is asked by the chat template of the processor. T is what `text_scope` says, V the
    candidates of `Encoded.visual`. A sample keeps its image, and `answer` encodes it again: what
    the decoder needs besides V (newline rows, class tokens, deepstack) is in no bundle.

    Parameters
    ----------
    model : loaded
    processor : its processor, padding on the left
    name : of the checkpoint
    revision : of the checkpoint
    options : how it is pruned; part of `revision`, so that no answer is reused under other ones
    generation : options of `generate`; greedy, `MAX_NEW_TOKENS` tokens at most, without
    batch_size : questions at a time
    pad_to_square : show images whole, in the middle of a square of the processor's mean color, as
        LLaVA's own evaluation does, and not the square in their middle, as its processor does; part
        of `revision`

    Attributes
    ----------
    n_layers, decoder : number and sizes of the decoder's layers
    dtype : of the weights
    can_merge : that `answer` takes `merges`
    """

    can_merge = True

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str = "",
        revision: str = "",
        options: Options | None = None,
        generation: Mapping[str, Any] | None = None,
        batch_size: int = 8,
        pad_to_square: bool = False,
    ) -> None:
        self.options = options or Options()
        self.family: Family = family_of(model, self.options)
        self.model, self.processor = model, processor
        self.name = name or type(model).__name__
        self.generation = {
            "do_sample": False, "max_new_tokens": MAX_NEW_TOKENS, **(generation or {})
        }  # fmt: skip
        self.pad_to_square = pad_to_square
        if pad_to_square and not self.family.crops:
            raise ParameterError(
                f"pad_to_square: the processor of {type(model).__name__} shows whole images as "
                "they are; expected False"
            )
        self.revision = revision_under(revision, self.options, generation, pad_to_square)
        self.batch_size = check_count("batch_size", batch_size, least=1)
        self.device, self.dtype = model.device, model.dtype
        text = model.config.get_text_config()
        self.n_layers = int(text.num_hidden_layers)
        self.decoder = _decoder(text)
        self._limit = getattr(text, "max_position_embeddings", None)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "auto",
        revision: str | None = None,
        device_map: str | None = None,
        attn_implementation: str = "sdpa",
        decoder: bool = True,
        generation: Mapping[str, Any] | None = None,
        batch_size: int = 8,
        pad_to_square: bool = False,
        **options: Any,
    ) -> MllmAdapter:
        """A checkpoint of the Hugging Face Hub, or of a folder; no code of its own is run.

        Parameters
        ----------
        checkpoint : such as "llava-hf/llava-1.5-7b-hf"
        device, dtype, revision, device_map, attn_implementation : as `Loading` has them; a device
            map goes before the device
        decoder : False for extraction only: encoder, projector and embeddings are loaded, of the
            files what they need is fetched, and `answer` is refused
        generation, batch_size, pad_to_square : as above
        options : those of `Options`

        Raises
        ------
        ParameterError
            If there is no such checkpoint, or an option does not exist, or the model's processor
            does not crop and is to pad.
        UnknownNameError
            If its architecture is not known.
        MissingDependencyError
            If `transformers`, or what the processor needs, is missing.
        """
        pruning = _pruning(options)
        source = str(checkpoint)
        how = Loading(
            dtype,
            "auto" if device_map is not None else device,
            device_map,
            revision,
            attn_implementation,
        )
        loaded = load_model(source, how, decoder=decoder)
        return cls(
            loaded.model,
            load_processor(loaded.folder),
            name=source,
            revision=loaded.revision,
            options=pruning,
            generation=generation,
            batch_size=batch_size,
            pad_to_square=pad_to_square,
        )

    @staticmethod
    def identity(
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        generation: Mapping[str, Any] | None = None,
        batch_size: int = 8,
        pad_to_square: bool = False,
        **others: Any,
    ) -> tuple[str, int]:
        """`revision` and `batch_size` of the adapter that `from_pretrained` would give; no weights
        are loaded for it.

        Raises
        ------
        ParameterError, UnknownNameError, MissingDependencyError
            As `from_pretrained`, for what can be known without loading.
        """
        pruning = _pruning({k: v for k, v in others.items() if k not in LOADING})
        found = revision_of(checkpoint, revision=revision)
        size = check_count("batch_size", batch_size, least=1)
        return revision_under(found, pruning, generation, pad_to_square), size

    # --- encoding -------------------------------------------------------------------------------

    def encode(self, examples: Sequence[Example]) -> list[Sample]:
        """Samples with V, T in float32, the attention of the vision encoder, and the image.

        Every image is encoded once, however many questions are asked about it. `metadata` of an
        example may hold "question", the question without instructions for the form of the answer,
        and "frames", of a video whose frames stand below one another.

        Raises
        ------
        ShapeError
            If an image is not (h, w, 3) uint8.
        ParameterError
            If a prompt is longer than the model takes, or the processor refuses an image.
        MissingInputError
            If a question is not in its prompt as the metadata has it.
        """
        views: dict[str, dict[str, Any]] = {}
        texts: dict[int, dict[str, Any]] = {}
        first = {e.image_id: i for i, e in reversed(list(enumerate(examples)))}
        leaders = sorted(first.values())
        others = sorted(set(range(len(examples))) - set(leaders))
        for members, look in ((leaders, True), (others, False)):
            for part in _chunks(members, self.batch_size):
                own = [examples[i] for i in part]
                asked = [_asked(e.image, e.question, e.metadata, e.sample_id) for e in own]
                inputs, columns = self._prepared(asked)
                if look:
                    encoded = self.family.encode(inputs, attention=True)
                    for row, example in enumerate(own):
                        views[example.image_id] = self._view(example, encoded, row)
                for row, i in enumerate(part):
                    texts[i] = self._text(inputs["input_ids"][row], columns[row])
        return [
            self._sample(example, texts[i], views[example.image_id])
            for i, example in enumerate(examples)
        ]

    def _prepared(self, asked: Sequence[Asked]) -> tuple[dict[str, Any], list[Tensor]]:
        """What the model takes, where it is, and the columns of T."""
        margin = None
        if self.pad_to_square:
            margin = [int(255 * mean) for mean in self.processor.image_processor.image_mean]
        inputs, columns = prepared(self.processor, asked, self.options.text_scope, margin=margin)
        longest = int(inputs["attention_mask"].sum(dim=1).max())
        if self._limit is not None and longest > self._limit:
            raise ParameterError(
                f"prompt: expected at most {self._limit} tokens, got {longest} with the image's"
            )
        moved = {
            name: x.to(self.device, self.dtype if x.is_floating_point() else x.dtype)
            for name, x in inputs.items()
        }
        return moved, columns

    def _view(self, example: Example, encoded: Encoded, row: int) -> dict[str, Any]:
        """What a sample holds of its image."""
        read = of_encoder(self.family, encoded, row)
        return {
            "visual": encoded.visual(row).float().cpu(),
            "grid": encoded.grid(row),
            "encoder": {name: x.cpu() for name, x in read.items() if bool(x.isfinite().all())},
            "image": torch.from_numpy(np.ascontiguousarray(example.image)),
            "views": _views(encoded.coords(row)),
        }

    def _text(self, ids: Tensor, columns: Tensor) -> dict[str, Any]:
        """T, and its tokens."""
        own = ids[columns.to(ids.device)]
        with torch.no_grad():
            text = self.model.get_input_embeddings()(own).float().cpu()
        tokens = self.processor.tokenizer.convert_ids_to_tokens(own.tolist())
        return {"text": text, "tokens": tuple(tokens)}

    def _sample(self, example: Example, text: Mapping[str, Any], view: Mapping[str, Any]) -> Sample:
        views = {
            "pruning": self.options.to_dict(),
            "pad_to_square": self.pad_to_square,
            "attention": self.family.statistic,  # from whom `received_attention` comes
            "views": view["views"],
        }
        return Sample(
            sample_id=example.sample_id,
            image_id=example.image_id,
            visual=view["visual"],
            grid=view["grid"],
            image=view["image"],
            question=example.question,
            answer=example.answer,
            question_type=example.question_type,
            negative=example.negative,
            options=example.options,
            metadata={**example.metadata, **views},
            **view["encoder"],
            **text,
        )

    def embed(self, words: Sequence[str]) -> Tensor:
        """Embeddings (n, d) of the tokens of words, as they enter the decoder; n may be larger than
        the number of words."""
        tokens = [t for word in words for t in self._tokens(word)]
        ids = torch.tensor(tokens, dtype=torch.long, device=self.device)
        with torch.no_grad():
            found: Tensor = self.model.get_input_embeddings()(ids)
        return found.float().cpu()

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    # --- answering ------------------------------------------------------------------------------

    def answer(
        self,
        samples: Sequence[Sample],
        keep: Sequence[Tensor] | None = None,
        *,
        words: Sequence[Tensor] | None = None,
        positions: PositionIds = "kept",
        order: Order = "raster",
        merges: Merges | None = None,
    ) -> list[Answer]:
        """What the model says when only the visual tokens `keep` are shown; all without.

        `log_prob` is that of the tokens that were said, `log_prob_truth` that of the true answer as
        the tokenizer splits it alone. Where `generation` samples, every question is asked alone,
        with a seed of its own. With `merges`, the `Selection.merge` of each sample, tokens that
        dropped ones are merged into are averages (`Family.averaged`).

        Raises
        ------
        MissingInputError
            If a sample holds no image.
        ShapeError
            If `keep` is not one set of distinct places per sample, or `merges` not one for each.
        ParameterError
            If what is merged into is not what is kept; for an order other than "raster", or words:
            neither can be had of these models.
        """
        if words is not None:
            raise ParameterError("words: expected None; prompts of these models are shown whole")
        if order != "raster":
            raise ParameterError(f"order: expected 'raster', got {order!r}")
        if keep is not None and len(keep) != len(samples):
            raise ShapeError(
                f"keep: expected one index tensor per sample ({len(samples)}), got {len(keep)}"
            )
        if merges is not None and (keep is None or len(merges) != len(samples)):
            raise ShapeError(
                f"merges: expected one per sample ({len(samples)}) beside keep, got {len(merges)}"
            )
        found: list[Answer] = []
        for start in range(0, len(samples), self._at_a_time):
            part = slice(start, start + self._at_a_time)
            own = None if keep is None else list(keep[part])
            averages = None if merges is None else list(merges[part])
            found += self._answered(samples[part], own, positions, averages)
        return found

    def answer_staged(
        self, samples: Sequence[Sample], stages: Sequence[Stage], *, seed: int | Sequence[int] = 0
    ) -> list[StagedAnswer]:
        """What the model says when visual tokens are dropped, or merged, inside its decoder.

        Every stage chooses among the tokens still there, what is kept stays at its position id, and
        dropped tokens are computed, cached and seen by no layer from there on. Methods that read
        the decoder are given every token after the last image as words, as in their public codes;
        all others T. Where `generation` samples, every question is asked alone.

        Parameters
        ----------
        samples : of `encode`
        stages : in the order of their layers, 1 and up: pruning before layer 0 is that of `answer`
        seed : of methods that draw, one for all or one per sample

        Raises
        ------
        MissingInputError
            If a sample holds no image, or a method needs what is not there.
        ParameterError
            If a layer is none of the decoder's, or the layers do not ascend; for attention other
            than "sdpa" and "eager", and for generation with prompts in chunks or a static cache.
        ShapeError
            If there are budgets or seeds for another number of samples.
        MitheoryError
            As `select` does, for a stage: a budget above what is left, ...
        """
        if not self.n_layers:
            raise MissingInputError(
                "answer_staged: this model was loaded for extraction, without its decoder; load it "
                "with decoder=True"
            )
        size = len(samples)
        budgets = check_stages(stages, size, self.n_layers, first=1)
        seeds = [seed] * size if isinstance(seed, int) else list(seed)
        if len(seeds) != size:
            raise ShapeError(f"seed: expected one or {size} of them, got {len(seeds)}")
        found: list[StagedAnswer] = []
        for part in _chunks(range(size), self._at_a_time):
            own = [
                replace(stage, budget=tuple(every[i] for i in part))
                for stage, every in zip(stages, budgets, strict=True)
            ]
            found += self._answered_staged(
                [samples[i] for i in part], own, [seeds[i] for i in part]
            )
        return found

    @property
    def _at_a_time(self) -> int:
        """Questions that are asked together: where answers are drawn, one, with its own seed."""
        return 1 if self.generation["do_sample"] else self.batch_size

    def _answered_staged(
        self, samples: Sequence[Sample], stages: Sequence[Stage], seeds: Sequence[int]
    ) -> list[StagedAnswer]:
        encoded, columns = self._shown(samples, attention=encoder_is_read(stages))
        staged = Staged(self.family, encoded, stages, seeds=seeds, columns=columns)
        with staged.running():
            answers = self._said(samples, lambda: self.family.prune(encoded, positions="kept"))
        return [
            StagedAnswer(answer, tuple(stage[i] for stage in staged.kept), counts)
            for i, (answer, counts) in enumerate(zip(answers, staged.tokens_per_layer, strict=True))
        ]

    def _answered(
        self,
        samples: Sequence[Sample],
        keep: Sequence[Tensor] | None,
        positions: PositionIds,
        merges: Merges | None = None,
    ) -> list[Answer]:
        merged = any(merge is not None for merge in merges or ())
        encoded, _ = self._shown(samples, attention=merged)
        return self._said(
            samples,
            lambda: self.family.prune(encoded, keep, positions=positions, merges=merges),
        )

    def _shown(
        self, samples: Sequence[Sample], *, attention: bool = False
    ) -> tuple[Encoded, list[Tensor]]:
        """The samples' images encoded again, with the columns of T."""
        asked = []
        for sample in samples:
            if sample.image is None:
                raise MissingInputError(f"answer: sample {sample.sample_id!r} holds no image")
            image = sample.image.cpu().numpy()
            asked.append(_asked(image, sample.question, sample.metadata, sample.sample_id))
        inputs, columns = self._prepared(asked)
        encoded = self.family.encode(inputs, attention=attention)
        for i, sample in enumerate(samples):
            total = len(encoded.columns(i))
            if total != sample.n_v:
                raise ShapeError(
                    f"sample {sample.sample_id!r}: expected {total} visual tokens under these "
                    f"options, got {sample.n_v}"
                )
        return encoded, columns

    def _said(
        self, samples: Sequence[Sample], pruned: Callable[[], dict[str, Any]]
    ) -> list[Answer]:
        """Answers to prompts that are made anew for every call of the model."""
        truths = [self._tokens(s.answer) if s.answer else [] for s in samples]
        log_truths = answering.log_prob_of(self.model, pruned(), truths)
        with torch.random.fork_rng(enabled=bool(self.generation["do_sample"])):
            if self.generation["do_sample"]:
                torch.manual_seed(crc32(samples[0].sample_id.encode()))
            tokens, log_probs = answering.said(self.model, pruned(), self.generation)
        texts = self.processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        triples = zip(texts, log_probs, log_truths, strict=True)
        return [Answer(text.strip(), said, truth) for text, said, truth in triples]


def _asked(image: Any, user: str, metadata: Mapping[str, Any], name: str) -> Asked:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(
            f"image of {name!r}: expected (h, w, 3) uint8, got {image.shape} {image.dtype}"
        )
    question = str(metadata.get("question", user))
    return Asked(image, user, question, int(metadata.get(FRAMES, 0)))


def _views(coords: Tensor) -> list[dict[str, int]]:
    """What the visual tokens are, one behind the other: the views of every image, with their grid.

    Examples
    --------
    >>> _views(torch.tensor([[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 1]]))[1]
    {'block': 0, 'view': 1, 'frames': 1, 'rows': 1, 'cols': 2, 'tokens': 2}
    """
    found = []
    for block, view in coords[:, :2].unique_consecutive(dim=0).tolist():
        own = coords[(coords[:, 0] == block) & (coords[:, 1] == view)]
        frames, rows, cols = (own[:, 2:].amax(dim=0) + 1).tolist()
        sizes = {"frames": frames, "rows": rows, "cols": cols, "tokens": len(own)}
        found.append({"block": block, "view": view, **sizes})
    return found


def revision_under(
    revision: str,
    options: Options,
    generation: Mapping[str, Any] | None = None,
    pad_to_square: bool = False,
) -> str:
    """A checkpoint's revision and what of the options is no default.

    Examples
    --------
    >>> revision_under("1a2b", Options(newline="never"), {"num_beams": 2})
    '1a2b newline=never num_beams=2'
    """
    padding = ["pad_to_square=True"] if pad_to_square else []
    return " ".join([revision, *_words(options, generation or {}), *padding]).strip()


def _pruning(options: Mapping[str, Any]) -> Options:
    known = {entry.name for entry in fields(Options)}
    if unknown := sorted(set(options) - known):
        raise ParameterError(
            f"options of a checkpoint: expected some of {sorted(known)}, got {unknown}"
        )
    return Options(**options)


def _words(options: Options, generation: Mapping[str, Any]) -> Iterator[str]:
    """What differs from the defaults, for the revision."""
    plain = Options().to_dict()
    for name, value in options.to_dict().items():
        if name != "positions" and value != plain[name]:  # positions are said at every answer
            yield f"{name}={value}"
    for name in sorted(generation):
        yield f"{name}={generation[name]}"


def _decoder(text: Any) -> Decoder:
    """Sizes of the decoder; of a mixture of experts, what one token goes through."""
    heads = text.num_attention_heads
    experts = getattr(text, "num_experts_per_tok", None)
    width = text.moe_intermediate_size * experts if experts else text.intermediate_size
    return Decoder(
        text.hidden_size,
        width,
        key_value_share=(getattr(text, "num_key_value_heads", None) or heads) / heads,
    )


T = TypeVar("T")


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]
