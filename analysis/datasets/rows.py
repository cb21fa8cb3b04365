"""Rows of JSON, JSON Lines and text files that know where they stand, with fields of known type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitheory.errors import DuplicateError, MissingFilesError, RowError

SEPARATORS = re.compile(r"[\s,:]*")
"""What stands between the tokens of JSON; matches everywhere, if only nothing."""


@dataclass(frozen=True)
class Row:
    """A row of a file: its fields, and where it stands.

    Examples
    --------
    >>> Row({"label": 1}, "pope.json, line 3").text("label")
    Traceback (most recent call last):
    ...
    mitheory.errors.RowError: pope.json, line 3: 'label' must be text; got 1
    """

    fields: Mapping[str, Any]
    origin: str

    def get(self, name: str) -> Any:
        """The field, whatever it is; RowError if it is not there."""
        if name not in self.fields:
            known = ", ".join(self.fields) or "nothing"
            raise RowError(f"{self.origin}: no field {name!r}; it has {known}")
        return self.fields[name]

    def error(self, name: str, expected: str) -> RowError:
        """That a field is not what it must be."""
        return RowError(f"{self.origin}: {name!r} must be {expected}; got {self.fields[name]!r}")

    def text(self, name: str) -> str:
        """A field that is text."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self.error(name, "text")
        return value

    def filled(self, name: str) -> str:
        """A field that is text, and not blank."""
        value = self.text(name)
        if not value.strip():
            raise self.error(name, "text that is not blank")
        return value

    def label(self, name: str) -> str:
        """A field that names something: text that is not blank, or a whole number."""
        value = self.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.filled(name)

    def whole(self, name: str) -> int:
        """A field that is a whole number."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, "a whole number")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts."""
        value = self.get(name)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise self.error(name, "a list of texts")
        return tuple(value)

    def one_of(self, name: str, *allowed: str) -> str:
        """A field that is one of these texts, in any case."""
        value = self.text(name).strip().lower()
        if value not in allowed:
            raise self.error(name, " or ".join(allowed))
        return value


def find(root: Path, *candidates: str) -> Path:
    """The first of the candidates that is in the folder.

    Raises
    ------
    MissingFilesError
        If none is; the message lists where it was looked for.
    """
    for candidate in candidates:
        if (root / candidate).exists():
            return root / candidate
    looked = tuple(str(root / candidate) for candidate in candidates)
    raise MissingFilesError(f"not found: {' or '.join(looked)}", looked)


def place(root: Path, *candidates: str) -> Path:
    """The first of the candidates that is in the folder, or else the first: scoring needs no media.

    Where media are needed, `Benchmark.records` lists those that are not there.
    """
    there = (root / candidate for candidate in candidates if (root / candidate).exists())
    return next(there, root / candidates[0])


def read_jsonl(path: Path) -> Iterator[Row]:
    """The rows of a JSON Lines file; blank lines hold nothing.

    Raises
    ------
    MissingFilesError, RowError, DuplicateError
    """
    for number, line in enumerate(_bytes(path).splitlines(), start=1):
        if line.strip():
            origin = f"{path.name}, line {number}"
            try:
                value = json.loads(line.decode("utf-8"), object_pairs_hook=_unrepeated)
            except ValueError as error:
                raise _row_error(origin, error) from error
            yield _row(value, origin)


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, without its end, and where it stands."""
    for number, line in enumerate(_bytes(path).splitlines(), start=1):
        if line.strip():
            origin = f"{path.name}, line {number}"
            try:
                yield line.decode("utf-8-sig"), origin
            except UnicodeDecodeError as error:
                raise _row_error(origin, error) from error


def read_json(path: Path) -> Any:
    """A JSON file in which no key of an object is repeated.

    Raises
    ------
    MissingFilesError, RowError, DuplicateError
    """
    return _parsed(path)[1]


def read_entries(path: Path) -> Iterator[tuple[str, Row]]:
    """Key and row of each entry of a JSON object of objects."""
    text, table = _parsed(path)
    if not isinstance(table, dict):
        raise RowError(f"{path.name}: must be an object of entries; got {type(table).__name__}")
    for key, value, line in _members(text, 0):
        yield key, _row(value, f"{path.name}, line {line}, entry {key!r}")


def read_list(path: Path, key: str = "") -> Iterator[Row]:
    """The rows of a JSON array of objects, or of the array `key` of a JSON object."""
    text, table = _parsed(path)
    at = 0
    if key:
        table = _row(table, path.name).get(key)
        at = next(m.end() for m in re.finditer(rf"{re.escape(json.dumps(key))}\s*:", text))
    if not isinstance(table, list):
        raise RowError(f"{path.name}: must be a list of rows; got {type(table).__name__}")
    for _, value, line in _members(text, at):
        yield _row(value, f"{path.name}, line {line}")


def _members(text: str, at: int) -> Iterator[tuple[str, Any, int]]:
    """Key ("" in arrays), value and line of each member of the container that begins at `at`.

    The text is known to be JSON.
    """
    decode = json.JSONDecoder().raw_decode
    at = _behind_separators(text, at)
    is_object, line, counted = text[at] == "{", 1, 0
    at += 1
    while text[at := _behind_separators(text, at)] not in "]}":
        key = ""
        if is_object:
            key, at = decode(text, at)
            at = _behind_separators(text, at)
        line, counted = line + text.count("\n", counted, at), at
        value, at = decode(text, at)
        yield key, value, line


def _behind_separators(text: str, at: int) -> int:
    found = SEPARATORS.match(text, at)
    assert found is not None
    return found.end()


def _parsed(path: Path) -> tuple[str, Any]:
    """The text of a JSON file and what it holds."""
    try:
        text = _bytes(path).decode("utf-8")
        return text, json.loads(text, object_pairs_hook=_unrepeated)
    except json.JSONDecodeError as error:
        raise RowError(f"{path.name}, line {error.lineno}: not JSON: {error.msg}") from error
    except _RepeatedKeyError as error:
        raise DuplicateError(f"{path.name}, {_lines_of(text, error.key)}: {error}") from error
    except UnicodeDecodeError as error:
        raise RowError(f"{path.name}: not UTF-8: {error}") from error


class _RepeatedKeyError(ValueError):
    """A JSON object that names a key twice, of which Python would keep the last."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} stands twice")
        self.key = key


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(key)
        found[key] = value
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFilesError(f"not found: {path}", (str(path),)) from error


def _row(value: Any, origin: str) -> Row:
    if not isinstance(value, dict):
        raise RowError(f"{origin}: must be an object with fields; got {value!r}")
    return Row(value, origin)


def _row_error(origin: str, error: ValueError) -> RowError | DuplicateError:
    if isinstance(error, _RepeatedKeyError):
        return DuplicateError(f"{origin}: {error}")
    if isinstance(error, UnicodeDecodeError):
        return RowError(f"{origin}: not UTF-8: {error}")
    return RowError(f"{origin}: not JSON: {error}")


def _lines_of(text: str, key: str) -> str:
    """The lines on which a key stands, in words."""
    spelled = {json.dumps(key), json.dumps(key, ensure_ascii=False)}
    pattern = "|".join(rf"{re.escape(s)}\s*:" for s in sorted(spelled))
    lines = [text.count("\n", 0, hit.start()) + 1 for hit in re.finditer(pattern, text)]
    return f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}"
