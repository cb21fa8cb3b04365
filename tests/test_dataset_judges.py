"""Judges: what they are asked, what their replies are worth, what is asked again."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dataset_samples import WRITERS, write_jsonl

from analysis.datasets import BENCHMARKS, benchmark
from analysis.datasets.answers import Answered
from analysis.datasets.judging import FatalJudgeError, OpenAICompatible, judged
from analysis.datasets.mmvet import RUBRIC as MMVET_RUBRIC
from analysis.datasets.mmvet import read_score
from analysis.datasets.rubrics import with_template
from analysis.datasets.scoring import score
from analysis.datasets.videoqa import RUBRIC as VIDEO_RUBRIC
from analysis.datasets.videoqa import read_judgement
from mitheory.errors import DatasetError, JudgeError, MissingFilesError, RowError


@dataclass
class Script:
    """A judge that replies what a function of the last message says, and remembers its calls."""

    reply: object
    name: str = "script"
    calls: list = field(default_factory=list)

    def __call__(self, messages, *, temperature, max_tokens):
        self.calls.append((messages, temperature, max_tokens))
        said = self.reply(messages[-1]["content"])
        if isinstance(said, Exception):
            raise said
        return said


def by_prediction(table):
    """Replies by the prediction that stands in the prompt."""
    return lambda prompt: next(said for key, said in table.items() if key in prompt)


def scores_of(name, root, said, judge, **options):
    records = BENCHMARKS[name].records(root, convention=options.get("convention", ""))
    answers = {r.sample_id: Answered(a) for r, a in zip(records, said, strict=True)}
    return score(BENCHMARKS[name], records, answers, judge=judge, **options)


def cell(result, group="all", metric="score", resampled="image"):
    query = "group == @group and metric == @metric and resampled == @resampled"
    (row,) = result.table.query(query).itertuples()
    return row


# --- MM-Vet ---------------------------------------------------------------------------------


def test_mmvet_by_hand(tmp_path):
    """Scores 0.5, 1.0 and 0.2: 17/30 in all, per capability and per combination."""
    WRITERS["mmvet"](tmp_path)
    judge = Script(by_prediction({"x = -1": "0.5", "a tabby": "1.0", "no idea": "0.2 because"}))
    result = scores_of("mmvet", tmp_path, ["x = -1", "a tabby", "no idea"], judge)
    assert cell(result).value == pytest.approx(1.7 / 3)
    assert cell(result, resampled="sample").value == pytest.approx(1.7 / 3)
    assert cell(result, "rec").value == pytest.approx(0.6)
    assert cell(result, "math").value == 0.5
    assert cell(result, "rec+know+gen").value == 0.2
    assert "spat" not in set(result.table.group)  # nothing asks for it
    assert set(result.table.judge) == {"script, our prompt"}
    (messages, temperature, max_tokens), *_ = judge.calls
    assert messages[0]["content"].endswith("\nWhat is x? | -1 <AND> -5 | x = -1 | ")
    assert (temperature, max_tokens, len(judge.calls)) == (0.0, 3, 3)


def test_a_reply_without_a_score_is_asked_again_warmer_and_is_0_in_the_end(tmp_path):
    WRITERS["mmvet"](tmp_path)
    judge = Script(by_prediction({"wordy": "I would say", "fine": "0.5"}))
    result = scores_of("mmvet", tmp_path, ["wordy", "fine", "fine"], judge)
    assert cell(result).value == pytest.approx(1 / 3)
    assert cell(result).failed == 0
    assert cell(result).note.startswith("1 replies of the judge had no score and count as 0")
    asked = [(t, m[-1]["content"]) for m, t, _ in judge.calls if "wordy" in m[-1]["content"]]
    assert [t for t, _ in asked] == [0.0, 0.0, 0.5, 1.0, 1.5]
    assert ["digit" in text for _, text in asked] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("reply", "score"),
    [("1", 1.0), ("0.0", 0.0), ("0.7 | ok", 0.7), ("1.1", None), ("-0.1", None), ("nan", None),
     ("", None), ("Score: 1", None), (" 0.5", None)],
)  # fmt: skip
def test_scores_in_replies(reply, score):
    """Up to the first space, as the official evaluator splits: a leading space leaves nothing."""
    grade = read_score(reply)
    assert (grade and grade.score) == score


def test_a_question_cannot_smuggle_fields_into_the_prompt(tmp_path):
    """What is filled in is not filled again."""
    WRITERS["mmvet"](tmp_path)
    record = benchmark("mmvet").records(tmp_path)[1]
    (message,) = MMVET_RUBRIC.messages(record, "{answer} {question}")
    assert message["content"].endswith("| cat <OR> kitten | {answer} {question} | ")


# --- videos ---------------------------------------------------------------------------------


def test_videos_by_hand(tmp_path):
    """yes/(yes+no) over answers that are either; the mean score over all that were graded."""
    WRITERS["tgif"](tmp_path)
    table = {"one": "{'pred': 'yes', 'score': 4.8}", "two": "{'pred': 'no', 'score': 1}",
             "three": "{'pred': 'unsure', 'score': 2}"}  # fmt: skip
    judge = Script(by_prediction(table))
    result = scores_of("tgif", tmp_path, ["one", "two", "three"], judge)
    assert cell(result, metric="accuracy").value == 0.5
    assert cell(result, metric="judge_score").value == pytest.approx(7 / 3)
    assert cell(result, metric="judge_score").unit == "of 5"
    assert {t for _, t, _ in judge.calls} == {None}
    assert [m["role"] for m in judge.calls[0][0]] == ["system", "user"]


def test_an_answer_that_is_never_graded_is_counted_as_failed(tmp_path):
    WRITERS["tgif"](tmp_path)
    judge = Script(by_prediction({"odd": "yes", "good": "{'pred': 'yes', 'score': 5}"}))
    result = scores_of("tgif", tmp_path, ["odd", "good", "good"], judge)
    assert cell(result, metric="accuracy").value == 1
    assert cell(result, metric="accuracy").failed == 1
    assert result.samples.error[0] == "script: no grade in its reply: 'yes'"


@pytest.mark.parametrize(
    "reply",
    ["yes", "{'pred': 'yes'}", "{'pred': 1, 'score': 1}", "{'pred': 'no', 'score': 6}", "[]",
     "{'pred': 'no', 'score': '4.8'}", "__import__('os')"],
)  # fmt: skip
def test_judgements_that_are_none(reply):
    assert read_judgement(reply) is None


# --- the official prompts -------------------------------------------------------------------


def test_the_prompt_of_mmvets_evaluator(tmp_path):
    """The constant is taken; nothing in the file is run."""
    path = tmp_path / "mm-vet_evaluator.py"
    path.write_text('raise SystemExit\nprompt = """Grade.\n\nQ | G | P | C\n"""\n')
    WRITERS["mmvet"](tmp_path)
    judge = Script(lambda prompt: "1.0")
    result = scores_of("mmvet", tmp_path, ["a", "b", "c"], judge, judge_prompt=path)
    content = "Grade.\n\nQ | G | P | C\n\nWhat is it? | cat <OR> kitten | b | "
    assert [{"role": "user", "content": content}] in [call[0] for call in judge.calls]  # any order
    assert set(result.table.judge) == {"script, mm-vet_evaluator.py prompt"}


def test_the_prompt_of_video_llavas_evaluator(tmp_path):
    path = tmp_path / "eval_video_qa.py"
    path.write_text(
        "x = [1]\n"
        "ask(messages=[{'role': 'system', 'content': 'Be ' 'fair.'},\n"
        "  {'role': 'user', 'content': 'Look:\\n' f'Q: {question}\\nA: {answer}\\nP: {pred}'\n"
        "   ' like {\\'pred\\': 1}'}])\n"
    )
    rubric = with_template(VIDEO_RUBRIC, path)
    WRITERS["msvd"](tmp_path)
    record = benchmark("msvd").records(tmp_path)[2]
    assert rubric.messages(record, "blue") == [
        {"role": "system", "content": "Be fair."},
        {
            "role": "user",
            "content": "Look:\nQ: what color is it?\nA: light blue\nP: blue like {'pred': 1}",
        },
    ]


def test_a_prompt_of_ones_own(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("{question} - {answer} - {prediction}")
    WRITERS["msvd"](tmp_path)
    record = benchmark("msvd").records(tmp_path)[0]
    (message,) = with_template(VIDEO_RUBRIC, path).messages(record, "he sings")
    assert message["content"] == "what is a man doing? - sing - he sings"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "{question} {answer}", r"has no \{prediction\}"),
        ("a.py", "prompt = 1", "has no prompt of a judge"),
        ("a.py", "prompt = (", "not Python"),
    ],
)
def test_prompts_that_are_none(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        with_template(VIDEO_RUBRIC, tmp_path / name)
    with pytest.raises(MissingFilesError):
        with_template(VIDEO_RUBRIC, tmp_path / "none.txt")


# --- what was said is not asked again -------------------------------------------------------


def test_replies_are_remembered_by_model_and_messages(tmp_path):
    WRITERS["mmvet"](tmp_path)
    path = tmp_path / "out" / "judgements.jsonl"
    said = ["x", "y", "z"]
    first = Script(lambda prompt: "0.5")
    one = scores_of("mmvet", tmp_path, said, first, judgements=path)
    silent = Script(lambda prompt: JudgeError("asked again"))
    other = scores_of("mmvet", tmp_path, said, silent, judgements=path)
    assert len(first.calls) == 3
    assert silent.calls == []
    assert one.samples.equals(other.samples)
    again = Script(lambda prompt: "1.0", name="another")
    assert cell(scores_of("mmvet", tmp_path, said, again, judgements=path)).value == 1
    assert len(again.calls) == 3


def test_a_line_cut_off_is_asked_again(tmp_path):
    """A process killed while it wrote leaves half a line; a whole line that is broken is told."""
    WRITERS["mmvet"](tmp_path)
    path = tmp_path / "judgements.jsonl"
    said = ["x", "y", "z"]
    scores_of("mmvet", tmp_path, said, Script(lambda prompt: "0.5"), judgements=path)
    path.write_bytes(path.read_bytes()[:-10])
    judge = Script(lambda prompt: "0.5")
    scores_of("mmvet", tmp_path, said, judge, judgements=path)
    assert len(judge.calls) == 1
    assert len(path.read_text().splitlines()) == 3
    path.write_text("{broken}\n")
    with pytest.raises(RowError, match=r"judgements\.jsonl, line 1"):
        scores_of("mmvet", tmp_path, said, judge, judgements=path)


# --- an endpoint ----------------------------------------------------------------------------


@pytest.fixture
def endpoint():
    """A server that gives the replies of a list in turn: (status, body); and what it was sent."""
    replies, sent = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent.append((self.path, self.headers.get("Authorization"), json.loads(body)))
            status, content = replies.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", replies, sent
    server.shutdown()
    server.server_close()
    thread.join()


def completion(text):
    return 200, json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def test_an_openai_compatible_endpoint(endpoint, monkeypatch):
    """What is busy is asked again after 1, 2, ... seconds; the key comes from the environment."""
    url, replies, sent = endpoint
    waits: list[float] = []
    monkeypatch.setenv("JUDGE_KEY", "secret")
    judge = OpenAICompatible(url + "/", "gpt", "JUDGE_KEY", extra={"seed": 1}, wait=waits.append)
    replies += [(429, b"busy"), (503, b""), completion("0.5")]
    messages = [{"role": "user", "content": "hä?"}]
    assert judge(messages, temperature=0.5, max_tokens=3) == "0.5"
    assert waits == [1.0, 2.0]
    path, key, body = sent[-1]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert body == {
        "model": "gpt", "messages": messages, "max_tokens": 3, "temperature": 0.5, "seed": 1
    }  # fmt: skip
    monkeypatch.delenv("JUDGE_KEY")
    replies.append(completion("x"))
    judge(messages, temperature=None, max_tokens=3)
    assert sent[-1][1] is None
    assert "temperature" not in sent[-1][2]
    assert "secret" not in repr(judge)


def test_an_endpoint_that_does_not_work(endpoint):
    url, replies, _ = endpoint
    judge = OpenAICompatible(url, "gpt", attempts=2, wait=lambda seconds: None)
    options = {"temperature": None, "max_tokens": 3}
    replies += [(401, b"no key")]
    with pytest.raises(FatalJudgeError, match="gpt: HTTP 401"):
        judge([], **options)
    replies += [(500, b""), (500, b"")]
    with pytest.raises(JudgeError, match="no answer after 2 attempts: HTTP 500"):
        judge([], **options)
    replies += [(200, b"[]")]
    with pytest.raises(JudgeError, match="not a chat completion"):
        judge([], **options)
    replies += [completion(None)]
    with pytest.raises(JudgeError, match="without text"):
        judge([], **options)
    with pytest.raises(JudgeError, match="no answer after 2 attempts"):
        OpenAICompatible("http://127.0.0.1:9", "gpt", attempts=2, wait=lambda s: None)(
            [], **options
        )


def test_one_lost_answer_is_not_the_end_but_a_refusal_is(tmp_path):
    WRITERS["mmvet"](tmp_path)
    judge = Script(by_prediction({"lost": JudgeError("gone"), "good": "1.0"}))
    result = scores_of("mmvet", tmp_path, ["lost", "good", "good"], judge)
    assert cell(result).value == 1
    assert cell(result).failed == 1
    assert (cell(result, "rec").failed, result.samples.error[0]) == (0, "gone")
    records = benchmark("mmvet").records(tmp_path)
    refusing = Script(lambda prompt: FatalJudgeError("no key"))
    with pytest.raises(FatalJudgeError, match="no key"):
        judged([(r, "x") for r in records], MMVET_RUBRIC, refusing)


# --- the commands ---------------------------------------------------------------------------


def run(*arguments):
    from typer.testing import CliRunner

    from analysis.cli import app

    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_lists_every_benchmark():
    done = run("datasets")
    assert done.exit_code == 0
    for name, each in BENCHMARKS.items():
        assert f"{name}: {each.title}" in done.output
        assert all(text in done.output for text in (*each.needs, *each.sources))


def test_the_command_scores_a_file(tmp_path):
    """Questions alone suffice: no image is opened."""
    import pandas as pd

    WRITERS["gqa"](tmp_path)
    for image in (tmp_path / "images").iterdir():
        image.unlink()
    answers = tmp_path / "answers.jsonl"
    write_jsonl(answers, [{"question_id": i, "text": "Yes."} for i in ("201", "202", "203")])
    out = tmp_path / "out"
    done = run("score", "gqa", "--root", tmp_path, "--answers", answers, "--out", out)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out / "scores.csv")
    assert table.value.tolist() == pytest.approx([1 / 3, 1, 0])
    assert pd.read_parquet(out / "samples.parquet").score.tolist() == [1, 0, 0]
    pd.testing.assert_series_equal(pd.read_parquet(out / "scores.parquet").value, table.value)
    assert json.loads((out / "provenance.json").read_text())["seed"] == 0


def test_the_command_asks_a_judge(endpoint, tmp_path):
    url, replies, _ = endpoint
    WRITERS["mmvet"](tmp_path)
    answers = tmp_path / "answers.jsonl"
    write_jsonl(answers, [{"sample_id": f"v1_{i}", "answer": "x"} for i in range(3)])
    replies += [completion("0.5")] * 3
    arguments = ("score", "mmvet", "--root", tmp_path, "--answers", answers, "--out",
                 tmp_path / "out", "--judge-url", url, "--judge-model", "m")  # fmt: skip
    assert run(*arguments).exit_code == 0
    assert run(*arguments).exit_code == 0  # the server has nothing more to say
    assert replies == []


def test_the_command_refuses_what_it_cannot_do(tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text("")
    for arguments, message in [
        (("gqa",), "expected a folder (--root) or --hub, got neither"),
        (("gqa", "--root", tmp_path, "--hub"), "got both"),
        (("fruitfly", "--root", tmp_path), "unknown benchmark 'fruitfly'"),
    ]:
        done = run("score", *arguments, "--answers", answers, "--out", tmp_path / "out")
        assert message in str(done.exception)
