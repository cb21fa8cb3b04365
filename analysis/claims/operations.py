"""Operations counted while they happen: numbers that tally themselves, tensors watched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mitheory.distributions.products import WATCHING

Tally = Counter[str]


@dataclass
class Counted:
    """A number that adds one to its tally at every operation that it takes part in.

    Examples
    --------
    >>> tally = Counter()
    >>> x = Counted(3.0, tally)
    >>> (x * x + x).value, dict(tally)
    (12.0, {'multiplications': 1, 'additions': 1})
    """

    value: float
    tally: Tally = field(repr=False)

    def _new(self, kind: str, value: float) -> Counted:
        self.tally[kind] += 1
        return Counted(value, self.tally)

    def __mul__(self, other: Counted) -> Counted:
        return self._new("multiplications", self.value * other.value)

    def __add__(self, other: Counted) -> Counted:
        return self._new("additions", self.value + other.value)

    def __sub__(self, other: Counted) -> Counted:
        return self._new("additions", self.value - other.value)

    def __truediv__(self, other: Counted) -> Counted:
        return self._new("divisions", self.value / other.value)

    def __gt__(self, other: Counted) -> bool:
        self.tally["comparisons"] += 1
        return self.value > other.value

    def __lt__(self, other: Counted) -> bool:
        self.tally["comparisons"] += 1
        return self.value < other.value

    def exp(self) -> Counted:
        """e to its power."""
        return self._new("exponentials", math.exp(self.value))

    def log(self) -> Counted:
        """Its natural logarithm."""
        return self._new("logarithms", math.log(self.value))

    def sqrt(self) -> Counted:
        """Its square root."""
        return self._new("roots", math.sqrt(self.value))


def numbers(values: Sequence[Sequence[float]], tally: Tally) -> list[list[Counted]]:
    """A table of them."""
    return [[Counted(float(x), tally) for x in row] for row in values]


PRODUCTS = {"mm": 1, "bmm": 2}  # the dimension of the first operand that is summed over
EXPONENTIALS = {"exp", "exp2_", "logsumexp", "_log_softmax", "_softmax"}
COMPARISONS = {"maximum", "amax", "amin"}
VIEWS = {
    "_unsafe_view", "alias", "as_strided", "detach", "expand", "permute", "select", "slice",
    "squeeze", "t", "transpose", "unbind", "unsqueeze", "view",
}  # fmt: skip


class Watched(TorchDispatchMode):
    """Tallies what PyTorch does inside: products, exponentials, comparisons, bytes moved. Products
    that `mitheory` leaves to other libraries tell of themselves.

    Bytes are those of every operation's operands and results; a sort counts n ⌈log₂ n⌉ comparisons
    for each n that it sorts, the k best of n count n ⌈log₂ k⌉.

    Examples
    --------
    >>> import torch
    >>> with Watched() as seen:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 5)
    >>> seen.tally["multiplications"]
    30
    """

    def __init__(self) -> None:
        super().__init__()
        self.tally: Tally = Counter()

    def __enter__(self) -> Self:
        """From here on."""
        WATCHING.append(self._product)
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        """Up to here."""
        super().__exit__(*exception)
        WATCHING.remove(self._product)

    def _product(self, multiplications: int, moved: int) -> None:
        """One that PyTorch does not see."""
        self.tally["multiplications"] += multiplications
        self.tally["bytes"] += moved

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Count, and do it."""
        out = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket.__name__)
        if name in VIEWS:
            return out
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.tally["bytes"] += sum(x.numel() * x.element_size() for x in (*given, *made))
        if name in PRODUCTS:
            self.tally["multiplications"] += made[0].numel() * given[0].shape[PRODUCTS[name]]
        elif name in EXPONENTIALS:
            self.tally["exponentials"] += given[0].numel()
        elif name in COMPARISONS:
            self.tally["comparisons"] += given[0].numel()
        elif name == "sort":
            n = given[0].shape[-1]
            self.tally["comparisons"] += given[0].numel() * math.ceil(math.log2(n))
        elif name == "topk":
            k = made[0].shape[-1]
            self.tally["comparisons"] += given[0].numel() * math.ceil(math.log2(k))
        return out


def watched(call: Callable[[], Any]) -> tuple[Any, Tally]:
    """What a call returns, and what it took."""
    with Watched() as seen:
        out = call()
    return out, seen.tally
