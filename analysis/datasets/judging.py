"""Judges: language models that grade answers, behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from analysis.progress import progress
from mitheory.errors import JudgeError, MissingInputError

from .base import Grade, Record
from .rows import read_jsonl
from .rubrics import Message, Rubric

RETRY_STATUS = {408, 409, 429, 500, 502, 503, 504}


class Judge(Protocol):
    """What grades: a name that goes into every result, and a reply to messages."""

    @property
    def name(self) -> str:
        """Which model, as the results say it."""
        ...

    def __call__(
        self, messages: Sequence[Message], *, temperature: float | None, max_tokens: int
    ) -> str:
        """The reply.

        Raises
        ------
        JudgeError
            If there is none; it is the answer that is not graded, unless `fatal` is set on it.
        """
        ...


class FatalJudgeError(JudgeError):
    """The judge refuses every request: a wrong address, key or model. The run ends."""


@dataclass(frozen=True)
class OpenAICompatible:
    """A model behind ``{url}/chat/completions``; transient failures are tried again.

    Parameters
    ----------
    url : up to and without ``/chat/completions``, such as ``https://api.openai.com/v1``
    model : its name there
    key_variable : environment variable with the key; no key is sent if it is not set
    timeout : seconds for one request
    attempts : of one request; waits of 1, 2, 4, ... seconds in between
    extra : further fields of every request
    wait : what waits; for tests
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 60.0
    attempts: int = 5
    extra: Mapping[str, Any] = field(default_factory=dict)
    wait: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    def __call__(
        self, messages: Sequence[Message], *, temperature: float | None, max_tokens: int
    ) -> str:
        """The reply of the model.

        Raises
        ------
        FatalJudgeError
            If the endpoint refuses the request for good.
        JudgeError
            If it did not answer, or not as OpenAI's does.
        """
        body = {"model": self.model, "messages": list(messages), "max_tokens": max_tokens}
        if temperature is not None:
            body["temperature"] = temperature
        data = json.dumps({**body, **self.extra}).encode("utf-8")
        problem = ""
        for attempt in range(self.attempts):
            if attempt:
                self.wait(2.0 ** (attempt - 1))
            try:
                return self._reply(data)
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code}"
                error.close()
                if error.code not in RETRY_STATUS:
                    raise FatalJudgeError(f"{self.url}: {self.model}: {problem}") from error
            except (OSError, http.client.HTTPException) as error:
                problem = str(error)
        raise JudgeError(f"{self.url}: no answer after {self.attempts} attempts: {problem}")

    def _reply(self, data: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions", data=data, headers=headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
            content = response.read()
        try:
            reply = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise JudgeError(f"{self.url}: not a chat completion: {content[:200]!r}") from error
        if not isinstance(reply, str):
            raise JudgeError(f"{self.url}: a chat completion without text: {content[:200]!r}")
        return reply


@dataclass(frozen=True)
class Judgements:
    """Replies that were already given, in a file that each new one is added to at once.

    A judge is asked the same thing once: replies are found by model and messages. A line that was
    cut off by a killed process is asked again.
    """

    path: Path | None = None
    known: dict[str, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, path: Path | None) -> Judgements:
        """Those of a file, if it is there.

        Raises
        ------
        RowError
            If a line but the last is malformed.
        """
        found = cls(path)
        if path is not None and path.exists():
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                path.write_bytes(whole)
            for row in read_jsonl(path):
                found.known[row.text("key")] = row.text("reply")
        return found

    def reply(
        self, judge: Judge, messages: Sequence[Message], temperature: float | None, tokens: int,
        attempt: int,
    ) -> str:  # fmt: skip
        """The reply, remembered or new."""
        asked = json.dumps([judge.name, messages, temperature, tokens, attempt], sort_keys=True)
        key = hashlib.sha256(asked.encode("utf-8")).hexdigest()
        if key not in self.known:
            said = judge(messages, temperature=temperature, max_tokens=tokens)
            with self.lock:
                self.known[key] = said
                if self.path is not None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    with self.path.open("a", encoding="utf-8") as file:
                        line = {"key": key, "judge": judge.name, "reply": said}
                        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return self.known[key]


def judged(
    pairs: Sequence[tuple[Record, str]],
    rubric: Rubric,
    judge: Judge | None,
    *,
    path: Path | None = None,
    workers: int = 4,
) -> list[Grade | JudgeError]:
    """The grade of each answer, or why there is none, in order; with a progress bar.

    Parameters
    ----------
    pairs : records and answers
    rubric : what is asked
    judge : of whom
    path : file that remembers the replies, so that an interrupted run goes on where it was
    workers : requests under way at once

    Raises
    ------
    MissingInputError
        If there is no judge.
    FatalJudgeError
        If the judge refuses every request.
    """
    if judge is None:
        raise MissingInputError("this benchmark is graded by a judge; none was given")
    replies = Judgements.open(path)
    with progress() as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task(f"ask {judge.name}", total=len(pairs))

        def one(pair: tuple[Record, str]) -> Grade | JudgeError:
            grade = _grade(*pair, rubric, judge, replies)
            bar.advance(task)
            return grade

        futures = [pool.submit(one, pair) for pair in pairs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _grade(
    record: Record, answer: str, rubric: Rubric, judge: Judge, replies: Judgements
) -> Grade | JudgeError:
    said = ""
    for attempt, temperature in enumerate(rubric.temperatures):
        messages = rubric.messages(record, answer, attempt)
        try:
            said = replies.reply(judge, messages, temperature, rubric.max_tokens, attempt)
        except FatalJudgeError:
            raise
        except JudgeError as error:
            return error
        grade = rubric.read(said)
        if grade is not None:
            return grade
    return rubric.failed or JudgeError(f"{judge.name}: no grade in its reply: {said[:80]!r}")
