"""Typed errors: each says which argument, what was expected and what came."""

from __future__ import annotations


class MitheoryError(Exception):
    """Base of every error that this package raises on purpose."""


class ShapeError(MitheoryError, ValueError):
    """A tensor has the wrong rank or size."""


class DTypeError(MitheoryError, TypeError):
    """A value has the wrong type."""


class NonFiniteError(MitheoryError, ValueError):
    """A tensor holds NaN or infinity where a finite number is needed."""


class ZeroNormError(MitheoryError, ValueError):
    """A row has norm zero, so that its cosine with anything is undefined."""


class EmptyInputError(MitheoryError, ValueError):
    """There is no token to work on."""


class BudgetError(MitheoryError, ValueError):
    """A budget cannot be met: not positive, or more tokens than there are."""


class ParameterError(MitheoryError, ValueError):
    """An option is outside its range."""


class DistributionError(MitheoryError, ValueError):
    """Something given as a distribution is none: negative, or not summing to one."""


class PropertyError(MitheoryError, TypeError):
    """An algorithm was given an objective that does not declare a property it needs."""


class UnknownNameError(MitheoryError, KeyError):
    """A name is in no table; the message lists the known ones."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MissingInputError(MitheoryError, ValueError):
    """A method needs an input that was not given."""


class BundleError(MitheoryError, ValueError):
    """A bundle cannot be read; the message names file and field."""


class SchemaError(BundleError):
    """A bundle does not follow the schema."""


class ChecksumError(BundleError):
    """A shard's content is not what its index says."""


class MissingDependencyError(MitheoryError, ImportError):
    """An optional package is missing; the message names the extra to install."""


class DatasetError(MitheoryError, ValueError):
    """Files of a dataset, or answers to it, cannot be used; the message names file and place."""


class RowError(DatasetError):
    """A row of a file is malformed; the message names file, line and field."""


class DuplicateError(DatasetError):
    """An id stands in two rows."""


class MissingFilesError(DatasetError):
    """Files that a dataset needs are not there; `paths` holds all of them."""

    def __init__(self, message: str, paths: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.paths = paths


class ImageError(DatasetError):
    """An image or a video cannot be read: of one record, not the end of a run."""


class JudgeError(MitheoryError, RuntimeError):
    """A judge did not answer, or not in the form it was asked for."""


class SpaceError(MitheoryError, OSError):
    """A disk has not enough room for what shall be written."""
