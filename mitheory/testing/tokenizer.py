"""A small tokenizer that splits text as LLaMA's does: words carry the space before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..models.mllm.requirements import transformers

CORPUS = (
    "USER: What color is the shirt of the man? Is there a dog in the picture? ASSISTANT: yes no",
    "Answer the question using a single word or phrase. Answer with the option's letter from the "
    "given choices directly. How many zebras are behind the fence? Which of these is red?",
    "A. B. C. D. left right behind under above one two three red green blue white black",
)
PADDING, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
SIZE = 384


def tiny_tokenizer(special: Sequence[str] = ("<image>",)) -> Any:
    """A `PreTrainedTokenizerFast` of byte pairs, trained on a few sentences.

    Every printable ASCII character is a token, so that any English text can be written.

    Parameters
    ----------
    special : further special tokens, after those of padding, unknown, start and end

    Raises
    ------
    MissingDependencyError
        If `transformers` is missing or of another version.
    """
    library = transformers()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=SIZE,
            special_tokens=[PADDING, UNKNOWN, START, END],
            initial_alphabet=[chr(code) for code in range(33, 127)] + ["\n", "▁"],
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A",
        pair=f"{START} $A {START} $B",
        special_tokens=[(START, tokenizer.token_to_id(START))],
    )
    return library.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        additional_special_tokens=list(special),
        padding_side="left",
    )
