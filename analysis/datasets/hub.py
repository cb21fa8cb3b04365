"""Rows of datasets on the Hugging Face Hub, through `datasets`, which is imported on use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mitheory.errors import DatasetError, MissingDependencyError

from .media import Stored
from .rows import Row


def hub_rows(path: str, config: str, split: str, image: str) -> Iterator[tuple[Row, Stored]]:
    """Rows of one split, and the image of each, which is not decoded before it is asked for.

    Parameters
    ----------
    path : name on the Hub, or a local copy
    config : configuration; "" for the only one
    split : its split there
    image : the column of images; "" if there is none

    Raises
    ------
    MissingDependencyError
        If `datasets` is not installed.
    DatasetError
        If the dataset has no such split or column, or cannot be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: reading from the Hub needs: pip install 'mitheory[datasets]'"
        ) from error
    where = f"{path}{f' ({config})' * bool(config)}, {split}"
    try:
        table: Any = datasets.load_dataset(path, config or None, split=split)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{where}: cannot be had: {error}") from error
    plain = table
    if image:
        if image not in table.column_names:
            raise DatasetError(f"{where}: no column {image!r}; it has {table.column_names}")
        table = table.cast_column(image, datasets.Image(decode=False))
        plain = table.remove_columns([image])
    for index, fields in enumerate(plain):
        origin = f"{where}, row {index}"
        yield Row(fields, origin), Stored(table, index, image, origin)
