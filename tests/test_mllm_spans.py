"""The question's columns, by the processor's offsets and by ids alone, against the characters."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mitheory.errors import MissingInputError, ShapeError, UnknownNameError
from mitheory.models.mllm.spans import OFFSETS, by_ids, by_offsets, special_ids, take_offsets

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CHATML = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
TEMPLATES = {
    "chatml": (
        "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
        "<|image_pad|><|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "vicuna": "USER: <image>\n{} ASSISTANT:",
    "inst": "[INST] <image>\n{} [/INST]",
}
SHORT = "\nAnswer the question using a single word or phrase."
CORPUS = ["What color is the shirt of the man?\nAnswer the question using a single word." * 3]


@cache
def tokenizer(kind):
    """Byte pairs on bytes, as Qwen's, or on words that carry their space, as LLaMA's."""
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers

    core = tokenizers.Tokenizer(models.BPE())
    if kind == "chatml":
        merged_marks = Regex(r" ?[^\s\w]+[\r\n]*| ?\w+|\s+")  # "?\n" is one piece, as in Qwen's
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(merged_marks, "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split("\n", "isolated"),
                pre_tokenizers.Metaspace(prepend_scheme="first"),
            ]
        )
        core.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet = ["▁"]
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(CORPUS, trainer)
    if kind != "chatml":  # what was never seen is written in bytes
        trained = json.loads(core.to_str())["model"]
        vocab = {**trained["vocab"]}
        vocab |= {f"<0x{i:02X}>": len(vocab) + i for i in range(256)}
        merges = [tuple(pair) for pair in trained["merges"]]
        core.model = models.BPE(vocab=vocab, merges=merges, byte_fallback=True)
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=core)
    marks = CHATML if kind == "chatml" else ("<image>", "</s>")
    wrapped.add_tokens([AddedToken(mark, special=True) for mark in marks], special_tokens=False)
    return wrapped


def processed(kind, user, n_image=5, n_pad=2):
    """Text of the template, and ids, offsets and replacements as a processor gives them."""
    text = TEMPLATES[kind].format(user)
    mark = "<|image_pad|>" if kind == "chatml" else "<image>"

    class Processor(transformers.ProcessorMixin):
        def __init__(self):
            self.image_token, self.tokenizer = mark, tokenizer(kind)

        all_special_multimodal_tokens = (mark,)

    (written,), (replacements,) = Processor().get_text_with_replacements([text], [mark * n_image])
    found = tokenizer(kind)(written, return_offsets_mapping=True)
    ids = torch.tensor([0] * n_pad + found["input_ids"])
    offsets = torch.tensor([(0, 0)] * n_pad + found["offset_mapping"])
    mask = torch.tensor([0] * n_pad + [1] * len(found["input_ids"]))
    image = tokenizer(kind).convert_tokens_to_ids(mark)
    return text, ids, offsets, mask, replacements, image


def dense(text):
    """Without blanks: tokens of blanks alone do not count."""
    return "".join(text.split())


def both(kind, user, question, scope, **kwargs):
    text, ids, offsets, mask, replacements, image = processed(kind, user, **kwargs)
    part = question if scope == "question" else user
    exact = by_offsets(offsets, text=text, part=part, within=user, replacements=replacements)
    rule = by_ids(
        ids, tokenizer(kind), placeholders={image}, scope=scope, attention_mask=mask
    )  # fmt: skip
    return exact, rule, tokenizer(kind).decode(ids[exact])


# --- both ways, every template ---------------------------------------------------------------

USERS = {
    "plain": ("{}", "What color is the shirt?"),
    "gqa": ("{}" + SHORT, "Is the man's shirt red?"),
    "choice": (
        "Context: Look.\nIt is red.\n{}\nA. red\nB. blue\n"
        "Answer with the option's letter from the given choices directly.",
        "Which of these is it?",
    ),
    "ocr": ("{}\nReference OCR token: STOP, ALL WAY" + SHORT, "What does the sign say?"),
    "mme": ("{} Please answer yes or no.", "Is there a dog in the picture?"),
    "mmvet": (
        "First please perform reasoning, and think step by step to provide best answer to the "
        "following question: \n\n{}",
        "Why?",
    ),
    "unicode": ("{}", "Où est le café ☕🙂?"),
}


@pytest.mark.parametrize("scope", ["question", "user_turn"])
@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("kind", TEMPLATES)
def test_offsets_and_ids_find_the_same_words(kind, name, scope):
    form, question = USERS[name]
    user = form.format(question)
    exact, rule, decoded = both(kind, user, question, scope)
    assert exact.tolist() == rule.tolist()
    wanted = question if scope == "question" else user
    assert dense(decoded) == dense(wanted)


words = st.lists(
    st.text(
        st.characters(codec="utf-8", categories=["Ll", "Lu", "Nd", "So"], exclude_characters="▁"),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=6,
).map(" ".join)  # without the sign that stands for a blank in LLaMA's tokens


@given(question=words, kind=st.sampled_from(sorted(TEMPLATES)), n_image=st.integers(1, 40))
def test_the_columns_spell_the_question(question, kind, n_image):
    """Of any words behind any number of placeholders, both ways give exactly their tokens."""
    question += "?"
    exact, rule, decoded = both(kind, question + SHORT, question, "question", n_image=n_image)
    assert exact.tolist() == rule.tolist()
    assert dense(decoded) == dense(question)


def test_words_of_the_prompt_and_words_alone_are_other_tokens():
    """Why the question is never tokenized by itself."""
    _, ids, *_ = processed("vicuna", "What color?", n_pad=0)
    alone = tokenizer("vicuna")("What color?")["input_ids"]
    rows = ids.tolist()
    assert all(rows[i : i + len(alone)] != alone for i in range(len(rows)))


# --- by offsets ----------------------------------------------------------------------------


def test_of_a_question_that_stands_twice_the_users_is_meant():
    text = "red? USER: red? red? END"
    offsets = torch.tensor([[i, i + 1] for i in range(len(text))])
    last = by_offsets(offsets, text=text, part="red?")
    first_of_user = by_offsets(offsets, text=text, part="red?", within="red? red?")
    assert last.tolist() == [16, 17, 18, 19]
    assert first_of_user.tolist() == [11, 12, 13, 14]


def test_images_inside_the_turn_are_no_words():
    """Two images, of 3 and 1 tokens, before and between the words of one turn."""
    text = "a#b#c"
    replacements = [
        {"span": (1, 2), "new_span": (1, 4), "replacement": "###"},
        {"span": (3, 4), "new_span": (5, 6), "replacement": "#"},
    ]
    offsets = torch.tensor([[i, i + 1] for i in range(7)])
    found = by_offsets(offsets, text=text, part="a#b#c", replacements=replacements)
    assert found.tolist() == [0, 4, 6]
    behind = by_offsets(offsets, text=text, part="c", replacements=replacements)
    assert behind.tolist() == [6]


def test_what_offsets_cannot_answer_is_refused():
    offsets = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(MissingInputError, match="'z' is not in the prompt: 'ab'"):
        by_offsets(offsets, text="ab", part="z")
    with pytest.raises(MissingInputError, match="within"):
        by_offsets(offsets, text="ab", part="a", within="z")
    with pytest.raises(MissingInputError, match="blanks"):
        by_offsets(offsets, text="a ", part=" ")
    with pytest.raises(ShapeError, match="truncated"):
        by_offsets(offsets, text="abc", part="bc")


def test_a_real_processor_gives_what_is_needed():
    """LLaVA's processor over a batch of unequal prompts, padded on the left."""
    pytest.importorskip("PIL")
    import numpy as np

    tok = tokenizer("vicuna")
    tok.pad_token, tok.padding_side = "<0x00>", "left"
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessorPil(
            size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}
        ),
        tok, patch_size=4, vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip
    questions = ["What color?", "Is there a dog behind the man?"]
    texts = [TEMPLATES["vicuna"].format(question + SHORT) for question in questions]
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    batch = processor(images=images, text=texts, padding=True, return_tensors="pt", **OFFSETS)
    inputs, offsets, replacements = take_offsets(batch)
    assert not set(inputs) & {"offset_mapping", "text_replacement_offsets"}
    for row, question in enumerate(questions):
        columns = by_offsets(
            offsets[row], text=texts[row], part=question, replacements=replacements[row]
        )
        assert dense(tok.decode(inputs["input_ids"][row, columns])) == dense(question)
        rule = by_ids(
            inputs["input_ids"][row], tok, placeholders={processor.image_token_id},
            attention_mask=inputs["attention_mask"][row],
        )  # fmt: skip
        assert rule.tolist() == columns.tolist()
    with pytest.raises(MissingInputError, match="offset_mapping"):
        take_offsets(inputs)


# --- by ids ----------------------------------------------------------------------------------


def test_markers_that_are_not_in_the_list_of_special_tokens_are_special():
    tok = tokenizer("chatml")
    marks = set(tok.convert_tokens_to_ids(list(CHATML)))
    assert not marks & set(tok.all_special_ids), "or this tests nothing"
    assert marks <= special_ids(tok)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_of_several_turns_the_last_counts(kind):
    turns = {
        "chatml": "first?<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nWhy?",
        "vicuna": "first? ASSISTANT: yes</s>USER: Why?",
        "inst": "first? [/INST] yes</s>[INST] Why?",
    }
    _, ids, _, mask, _, image = processed(kind, turns[kind])
    found = by_ids(ids, tokenizer(kind), placeholders={image}, attention_mask=mask)
    assert dense(tokenizer(kind).decode(ids[found])) == "Why?"


def test_an_option_in_a_sentence_is_no_choice():
    exact, rule, _ = both("chatml", "Is it grade A. or B.?", "Is it grade A. or B.?", "question")
    assert exact.tolist() == rule.tolist()


def test_nothing_behind_the_image_is_an_error_and_not_an_empty_question():
    _, ids, _, mask, _, image = processed("chatml", "")
    with pytest.raises(MissingInputError, match="found none behind the last image"):
        by_ids(ids, tokenizer("chatml"), placeholders={image}, attention_mask=mask)
    with pytest.raises(UnknownNameError, match="question, user_turn"):
        by_ids(ids, tokenizer("chatml"), placeholders={image}, scope="prompt")


def test_text_only_prompts_have_a_question_too():
    tok = tokenizer("vicuna")
    ids = torch.tensor(tok("USER: What now? ASSISTANT:")["input_ids"])
    found = by_ids(ids, tok, placeholders={tok.convert_tokens_to_ids("<image>")})
    assert dense(tok.decode(ids[found])) == "Whatnow?"
