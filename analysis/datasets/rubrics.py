"""What a judge is asked about an answer, and how its reply is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mitheory.errors import DatasetError, MissingFilesError

from .base import Grade, Record

Message = dict[str, str]  # "role" and "content"

FIELD = re.compile(r"\{(question|answer|prediction)\}")
NAMES = {
    "question": "question",
    "answer": "answer",
    "pred": "prediction",
    "prediction": "prediction",
}


@dataclass(frozen=True)
class Rubric:
    """How a judge grades one answer.

    Parameters
    ----------
    template : messages with the fields {question}, {answer} and {prediction}
    reference : the right answer as the judge is shown it
    read : from a reply to a grade; None if the reply is not in the form that was asked for
    temperatures : of the first try and of each further one after such a reply; None for the
        judge's own
    max_tokens : of a reply
    insist : added to the last message from the second try on
    failed : the grade after the last try; None to count the answer as not graded
    """

    template: tuple[Message, ...]
    reference: Callable[[Record], str]
    read: Callable[[str], Grade | None]
    temperatures: tuple[float | None, ...]
    max_tokens: int
    insist: str = ""
    failed: Grade | None = None

    def messages(self, record: Record, answer: str, attempt: int = 0) -> list[Message]:
        """What the judge is told."""
        values = {
            "question": record.question,
            "answer": self.reference(record),
            "prediction": answer,
        }
        filled = [
            {"role": m["role"], "content": FIELD.sub(lambda hit: values[hit[1]], m["content"])}
            for m in self.template
        ]
        if attempt:
            filled[-1]["content"] += self.insist
        return filled


def with_template(rubric: Rubric, path: Path) -> Rubric:
    """The rubric with a prompt from a file.

    A ``.py`` file is the benchmark's official evaluator, of which the prompt is taken and nothing
    is run: MM-Vet's ``prompt = "..."``, or a list of messages whose text names ``question``,
    ``answer`` and ``pred``, as Video-LLaVA's. Any other file is the text of one message with the
    fields {question}, {answer} and {prediction}.

    Raises
    ------
    MissingFilesError
        If there is no such file.
    DatasetError
        If no prompt is found in it, or it lacks a field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingFilesError(f"not found: {path}", (str(path),)) from error
    messages = _from_source(text, path.name) if path.suffix == ".py" else [_user(text)]
    content = "".join(m["content"] for m in messages)
    lacking = {"question", "answer", "prediction"} - set(FIELD.findall(content))
    if lacking:
        raise DatasetError(
            f"{path.name}: the judge's prompt has no {{{'}, {'.join(sorted(lacking))}}}"
        )
    return replace(rubric, template=tuple(messages))


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _from_source(source: str, name: str) -> list[Message]:
    """The prompt in the source of an evaluator."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise DatasetError(f"{name}: not Python: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.List) and node.elts:
            messages = [_message(element) for element in node.elts]
            if all(messages) and FIELD.search("".join(m["content"] for m in messages if m)):
                return [m for m in messages if m]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["prompt"]
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            return [_user(f"{node.value.value}\n{{question}} | {{answer}} | {{prediction}} | ")]
    raise DatasetError(f"{name}: has no prompt of a judge")


def _message(node: ast.expr) -> Message | None:
    """A message from the source of a dict with a role and a text, or None."""
    if not isinstance(node, ast.Dict):
        return None
    fields: Mapping[str, ast.expr] = {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    role, content = fields.get("role"), fields.get("content")
    if not isinstance(role, ast.Constant) or content is None:
        return None
    text = _text(content)
    return None if text is None else {"role": str(role.value), "content": text}


def _text(node: ast.expr) -> str | None:
    """A constant text or an f-string of known names, the names as fields."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    parts: list[str] = []
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
        elif isinstance(value, ast.FormattedValue) and isinstance(value.value, ast.Name):
            field = NAMES.get(value.value.id)
            if field is None:
                return None
            parts.append(f"{{{field}}}")
        else:
            return None
    return "".join(parts)


def one_message(*lines: str) -> tuple[Message, ...]:
    """A template of one message by the user."""
    return (_user("\n".join(lines)),)


def joined(references: Sequence[str]) -> str:
    """Right answers as one text."""
    return " or ".join(references)
