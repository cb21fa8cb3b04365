"""`with mitheory.prune(model, ...)`: a stock model, pruned for the length of a block."""

from __future__ import annotations

import pytest
import torch
from mllm_cases import CASES, LLAVA, ONE_EACH, encoded_of, greedy_twin, model_of

import mitheory
from mitheory import select
from mitheory.errors import (
    BudgetError,
    MissingInputError,
    ParameterError,
    ShapeError,
    UnknownNameError,
)
from mitheory.models.base import Stage
from mitheory.models.mllm.options import Options
from mitheory.models.mllm.staged import Staged
from mitheory.testing import save_tiny, tiny_inputs, tiny_model

STEPS = 5
GREEDY = {"max_new_tokens": STEPS, "do_sample": False}
every_class = pytest.mark.parametrize("name", ONE_EACH.values())


def words(ids, mask):
    """The last three tokens are T."""
    return torch.arange(len(ids) - 3, len(ids))


@every_class
def test_generate_shows_what_the_selector_keeps(name):
    """Against selecting by hand and decoding step by step."""
    family, inputs, encoded = encoded_of(name)
    model = family.model
    with mitheory.prune(model, None, method="mi_pruner", budget=5, columns=words) as pruner:
        said = model.generate(**inputs, **GREEDY)
    keep = []
    for i in range(2):
        text = model.get_input_embeddings()(inputs["input_ids"][i, -3:]).detach()
        keep.append(select("mi_pruner", visual=encoded.visual(i), text=text, budget=5).indices)
    assert [k.tolist() for k in pruner.kept] == [k.tolist() for k in keep]
    assert said[:, -STEPS:].tolist() == greedy_twin(family, encoded, keep, STEPS).tolist()
    assert torch.equal(said[:, :-STEPS], inputs["input_ids"])


@every_class
def test_a_ratio_of_one_is_the_model_itself(name):
    """Also its beams: sequences, and scores in the record."""
    family, inputs, _ = encoded_of(name)
    model = family.model
    how = {"num_beams": 2, "num_return_sequences": 2, "return_dict_in_generate": True}
    own = model.generate(**inputs, **GREEDY, **how)
    with mitheory.prune(model, None, method="random", budget=1.0):
        ours = model.generate(**inputs, **GREEDY, **how)
    assert torch.equal(ours.sequences, own.sequences)
    assert len(ours.sequences) == 4


@every_class
def test_forward_is_pruned_alike(name):
    family, inputs, encoded = encoded_of(name)
    model = family.model
    with torch.no_grad(), mitheory.prune(model, None, method="divprune", budget=4) as pruner:
        logits = model(**inputs).logits
    expected = family.prune(encoded, pruner.kept)
    with torch.no_grad():
        assert torch.equal(logits, model(**expected).logits)
    assert logits.shape[1] < inputs["input_ids"].shape[1]


def test_everything_is_undone_also_after_an_error():
    model = model_of(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    own = model.generate(**inputs, **GREEDY)
    with mitheory.prune(model, None, method="divprune", budget=2):
        assert not torch.equal(model.generate(**inputs, **GREEDY), own)
    with (
        pytest.raises(ZeroDivisionError),
        mitheory.prune(model, None, method="divprune", budget=2),
    ):
        raise ZeroDivisionError
    assert "generate" not in vars(model)
    assert "forward" not in vars(model)
    assert torch.equal(model.generate(**inputs, **GREEDY), own)


def test_what_others_had_put_in_place_is_there_again():
    """Libraries such as accelerate hang their own `forward` on an instance."""
    model = tiny_model(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    stock, calls = model.forward, []

    def counted(*args, **kwargs):
        calls.append(1)
        return stock(*args, **kwargs)

    model.forward = counted
    with mitheory.prune(model, None, method="divprune", budget=2):
        model.generate(**inputs, **GREEDY)
    assert vars(model)["forward"] is counted
    assert len(calls) == STEPS


def test_prompts_without_an_image_pass():
    model = model_of(LLAVA)
    ids = torch.tensor([[5, 6, 7]])
    own = model.generate(input_ids=ids, **GREEDY)
    with mitheory.prune(model, None, method="divprune", budget=2) as pruner:
        assert torch.equal(model.generate(ids, **GREEDY), own)
        both = tiny_inputs(model, [(3,), (2, "image", 4)])
        model.generate(**both, **GREEDY)
    assert [len(k) for k in pruner.kept] == [0, 2]
    assert pruner.selections[0] is None


def test_lengths_count_the_full_prompt():
    """`max_length` includes the prompt, as the caller knows it."""
    model = model_of(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    width = inputs["input_ids"].shape[1]
    with mitheory.prune(model, None, method="divprune", budget=2):
        said = model.generate(**inputs, max_length=width + 3, do_sample=False)
    assert said.shape[1] == width + 3


def test_gaps_without_a_cache_are_refused():
    """`generate` drops a mask of ones there, and gaps in the positions are then taken for borders
    between prompts; the stock call shows that it is wrong."""
    family, inputs, encoded = encoded_of("llava")
    keep = [torch.tensor([1, 7, 12])]
    right = greedy_twin(family, encoded, keep, STEPS)
    wrong = family.model.generate(**family.prune(encoded, keep), **GREEDY, use_cache=False)
    assert wrong[:, -STEPS:].tolist() != right.tolist()
    model = family.model
    with mitheory.prune(model, None, method="divprune", budget=3):
        with pytest.raises(ParameterError, match="use_cache: expected True"):
            model.generate(**inputs, **GREEDY, use_cache=False)
        from transformers import GenerationConfig

        with pytest.raises(ParameterError, match="use_cache: expected True"):
            model.generate(**inputs, generation_config=GenerationConfig(use_cache=False))


def test_compacted_positions_need_no_cache():
    """Without gaps there is nothing to be mistaken."""
    model = model_of(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    compacted = Options(positions="compacted")
    with mitheory.prune(model, None, method="divprune", budget=3, pruning=compacted):
        cached = model.generate(**inputs, **GREEDY)
        assert torch.equal(model.generate(**inputs, **GREEDY, use_cache=False), cached)
    with mitheory.prune(model, None, method="divprune", budget=3):
        assert not torch.equal(model.generate(**inputs, **GREEDY), cached)


def test_what_cannot_be_right_is_refused():
    model = model_of(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    with mitheory.prune(model, None, method="divprune", budget=3):
        with pytest.raises(ParameterError, match="takes no position_ids beside pixels"):
            model.generate(**inputs, position_ids=inputs["input_ids"], **GREEDY)
        with pytest.raises(ParameterError, match="takes no labels beside pixels"):
            model(**inputs, labels=inputs["input_ids"])
        with pytest.raises(ParameterError, match="decodes without prompt_lookup_num_tokens"):
            model.generate(**inputs, prompt_lookup_num_tokens=2, **GREEDY)
        with pytest.raises(ParameterError, match="inputs and input_ids are one"):
            model.generate(inputs["input_ids"], **inputs)
        with pytest.raises(ParameterError, match="being pruned already"):
            mitheory.prune(model, None, method="divprune", budget=3).__enter__()
        fewer = inputs | {"input_ids": inputs["input_ids"][:, :-9]}
        with pytest.raises(ShapeError):
            model.generate(**fewer, **GREEDY)
    with (
        mitheory.prune(model, None, method="divprune", budget=17),
        pytest.raises(BudgetError, match="prompt 0 has 16 visual tokens, fewer than 17"),
    ):
        model.generate(**inputs, **GREEDY)


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ("mi_prunner", UnknownNameError, "did you mean 'mi_pruner'"),
        ("oracle", MissingInputError, "oracle: needs relevant; between projector and decoder"),
        ("autoprune", ParameterError, r"needs layers=.* those of \['dart', 'fastv', 'sparsevlm'\]"),
        ("sparsevlm", ParameterError, r"within 1\.\.2, got \[3, 7, 16\]"),
        ("log_mass_attention", MissingInputError, "needs patch_attention"),
        ("attention", MissingInputError, "needs patch_attention"),
    ],
)
def test_methods_that_cannot_run_here(method, error, message):
    options = {"include_diagonal": True} if method == "attention" else {}
    with (
        pytest.raises(error, match=message),
        mitheory.prune(model_of(LLAVA), None, method=method, budget=3, **options),
    ):
        pass


@pytest.mark.parametrize("budget", [0, -3, True])
def test_budgets_that_are_none(budget):
    with (
        pytest.raises((BudgetError, ParameterError)),
        mitheory.prune(model_of(LLAVA), None, method="divprune", budget=budget),
    ):
        pass


def test_three_lines_with_a_real_processor(tmp_path):
    """The checkpoint from disk; T is the question as the tokenizer splits it in the prompt."""
    import numpy as np
    import transformers

    folder = save_tiny(LLAVA, tmp_path)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(folder)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    question = "What color is the shirt?"
    text = f"USER: <image>\n{question} ASSISTANT:"
    inputs = processor(images=[image], text=[text], return_tensors="pt")
    with mitheory.prune(model, processor, method="mi_pruner", budget=5) as pruner:
        model.generate(**inputs, max_new_tokens=1, do_sample=False)
    ids = inputs["input_ids"][0]
    spelled = processor.tokenizer.convert_ids_to_tokens(ids)
    pieces = ["W", "hat", "▁color", "▁is", "▁the", "▁shirt", "?"]  # not "▁What", as it is alone
    first = spelled.index("W")
    assert spelled[first : first + len(pieces)] == pieces
    words_of_it = ids[first : first + len(pieces)]
    embedded = model.get_input_embeddings()(words_of_it).detach()
    visual = pruner.encoded.visual(0)
    assert (
        pruner.kept[0].tolist()
        == select("mi_pruner", visual=visual, text=embedded, budget=5).indices.tolist()
    )


def test_the_example_of_the_page_runs():
    """docs/adapters.md: three lines, and three more inside the decoder."""
    import re
    from pathlib import Path

    page = Path(__file__).resolve().parents[1] / "docs" / "adapters.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    for block, counts in zip(blocks, [None, [(16, 8, 4)]], strict=True):
        exec(compile(block, page.name, "exec"), namespace)
        assert "generate" not in vars(namespace["model"])
        if counts is None:
            assert len(namespace["pruner"].kept[0]) == 5
        else:
            assert namespace["pruner"].staged.tokens_per_layer == counts


# --- inside the decoder -----------------------------------------------------------------------


def test_fastv_prunes_where_its_public_code_does():
    """Before layer 2, by the last word; full prompts come back, and the model is stock again."""
    family, inputs, encoded = encoded_of("llava, batch")
    model = family.model
    own = model.generate(**inputs, **GREEDY)
    with mitheory.prune(model, None, method="fastv", budget=5) as pruner:
        said = model.generate(**inputs, **GREEDY)
        with torch.no_grad():
            logits = model(**inputs).logits
        again = model.generate(**inputs, **GREEDY)
    staged = Staged(family, encoded, [Stage(2, "fastv", 5)], seeds=[0, 0])
    with staged.running():
        expected = model.generate(**family.prune(encoded), **GREEDY)
    assert torch.equal(said, expected)
    assert torch.equal(said, again)
    assert torch.equal(said[:, :-STEPS], inputs["input_ids"])
    assert [k.tolist() for k in pruner.kept] == [k.tolist() for k in staged.kept[0]]
    assert pruner.staged.tokens_per_layer == [(16, 16, 5)] * 2
    longest = int(inputs["attention_mask"].sum(1).max())
    assert logits.shape[1] == longest - 16 + 5
    assert torch.equal(model.generate(**inputs, **GREEDY), own)


def test_any_method_prunes_inside_where_it_is_told():
    """In two stages of the same share: of 16 tokens 8, then 4; MI-Pruner is given T."""
    family, inputs, encoded = encoded_of("llava, batch")
    how = {"method": "mi_pruner", "budget": 0.25, "layers": (1, 2), "columns": words}
    with mitheory.prune(family.model, None, **how) as pruner:
        family.model.generate(**inputs, **GREEDY)
    assert pruner.staged.tokens_per_layer == [(16, 8, 4)] * 2
    text = family.model.get_input_embeddings()(inputs["input_ids"][0, -3:]).detach()
    first = select("mi_pruner", visual=encoded.visual(0), text=text, budget=8)
    assert pruner.staged.kept[0][0].tolist() == first.sorted.tolist()
    assert set(pruner.kept[0].tolist()) < set(first.indices.tolist())


def test_prompts_without_images_pass_inside_too():
    model = model_of(LLAVA)
    ids = torch.tensor([[5, 6, 7, 8]])
    own = model.generate(ids, **GREEDY)
    with mitheory.prune(model, None, method="dart", budget=2) as pruner:
        assert torch.equal(model.generate(ids, **GREEDY), own)
        model.generate(**tiny_inputs(model, [(9,), (2, "image", 4)]), **GREEDY)
    assert [len(k) for k in pruner.kept] == [0, 2]
    asked = []

    def alone(ids, mask):
        asked.append(len(ids))
        return words(ids, mask)

    how = {"method": "mi_pruner", "budget": 2, "layers": (1,), "columns": alone}
    with mitheory.prune(model, None, **how) as pruner:
        model.generate(**tiny_inputs(model, [(9,), (2, "image", 4)]), **GREEDY)
    assert [len(k) for k in pruner.kept] == [0, 2]
    assert len(asked) == 1  # no question is looked for beside no image


def test_what_cannot_be_right_inside_is_refused():
    model = model_of(LLAVA)
    inputs = tiny_inputs(model, CASES["llava"].prompts)
    with mitheory.prune(model, None, method="fastv", budget=3):
        cache = model(**inputs, use_cache=True).past_key_values
        with pytest.raises(ParameterError, match="goes on with generate"):
            model(input_ids=inputs["input_ids"][:, -1:], past_key_values=cache)
    with (
        mitheory.prune(model, None, method="fastv", budget=17),
        pytest.raises(BudgetError, match="prompt 0 has 16 visual tokens, fewer than 17"),
    ):
        model.generate(**inputs, **GREEDY)
    for how, words_ in (
        ({"pruning": Options(positions="compacted")}, "expected 'kept' inside the decoder"),
        ({"layers": ()}, "layers: expected at least one"),
        ({"layers": (0,)}, r"within 1\.\.2, got \[0\]"),
    ):
        with (
            pytest.raises(ParameterError, match=words_),
            mitheory.prune(model, None, method="fastv", budget=3, **how),
        ):
            pass
