"""The page of all operations, printed by running this module: what each means, its error, its rounds and bytes.

Costs are those of the planner's formulas for operands that all parties share, reveals taken off.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mpc
from mpc.cost import Cost, estimate
from mpc.filters import FilteredColumn
from mpc.schema import Column, Schema, Table

__all__ = ["page"]

_ROWS = 1 << 12
_PARTIES = ("ada", "bob", "cyd")

_HEADER = """# Operations

Generated from the code by `python -m mpc.reference`; the tests compare.

Values are arrays and follow numpy's rules of shapes and broadcasting. What one owner can compute alone costs nothing
and is done in float64 or exact integers. Costs are told for operands that are shared by all parties, here vectors of
{rows:,} elements: rounds, and the bytes that each party sends an element, with a dealer as source. Independent
operations share their rounds.

| operation | rounds | bytes an element, 2 parties | 3 parties | range and error |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class _Entry:
    said: str
    use: Callable[[Any, Any], Any]
    text: Any = ""


def page() -> str:
    """The page, in Markdown."""
    return _HEADER.format(rows=_ROWS) + "\n".join(map(_line, _entries())) + "\n"


def _entries() -> Iterator[_Entry]:
    exact = "Exact, or refused when by the declared ranges it could overflow."
    yield _Entry("`x + y`, `x - y`, `-x`", operator.add, exact)
    yield _Entry("`x * 3`, `x / 7`", lambda x, y: x * 3, exact)
    yield _Entry("`x * y`", operator.mul, f"{exact} Where digits behind the point are too many, operands are rounded.")
    yield _Entry("`x @ y` (two vectors)", operator.matmul, "As `x * y`, summed before anything is rounded.")
    yield _Entry("`x.sum()`, `x.mean()`, `x.cumsum()`", lambda x, y: x.cumsum(), exact)
    yield _Entry("`x < y`, `<=`, `>`, `>=`", operator.lt, "Exact.")
    yield _Entry("`x == y`, `!=`", operator.eq, "Exact, on the encoded values.")
    yield _Entry("`b & c`, `b | c`", lambda x, y: (x < 0) & (y < 0), "Exact; with the comparisons that make b and c.")
    yield _Entry("`~b`, `b ^ c`", lambda x, y: ~(x < 0), "Exact; with the comparison that makes b.")
    yield _Entry("`b.any()`, `b.all()`", lambda x, y: (x < 0).any(), "Exact; with the comparison that makes b.")
    for name, use in (
        ("where", lambda x, y: mpc.where(x < y, x, y)),
        ("absolute", lambda x, y: mpc.absolute(x)),
        ("sign", lambda x, y: mpc.sign(x)),
        ("minimum", mpc.minimum),
        ("maximum", mpc.maximum),
    ):
        yield _Entry(f"`mpc.{name}`", use, getattr(mpc, name))
    yield _Entry("`x.clip(low, high)`", lambda x, y: x.clip(-1, 1), "Exact.")
    yield _Entry("`x.min()`, `x.max()`", lambda x, y: x.min(), "Exact. Rounds grow with the logarithm of the length.")
    yield _Entry("`x.argmin()`, `x.argmax()`", lambda x, y: x.argmin(), "Exact; the first of equals.")
    yield _Entry("`x / y`", lambda x, y: x / (y + 200), mpc.values.Value.__truediv__)
    for name in mpc.elementwise.__all__:
        function = getattr(mpc.elementwise, name)
        shifted = name in ("log", "reciprocal", "rsqrt", "sqrt")
        yield _Entry(f"`mpc.{name}`", _applied(function, 101 if shifted else 0), function)
    for name in ("sort", "argsort", "median"):
        yield _Entry(f"`mpc.{name}`", _applied(getattr(mpc, name), 0), getattr(mpc, name))
    yield _Entry("`mpc.quantile(x, 0.9)`", lambda x, y: mpc.quantile(x * 0.05, 0.9), mpc.quantile)
    yield _Entry(
        "`mpc.top_k(x, 10)`", lambda x, y: mpc.top_k(x * 0.05, 10)[0], f"The values alone. {mpc.top_k.__doc__}"
    )
    yield _Entry("`mpc.histogram(x, [-1, 0, 1])`", lambda x, y: mpc.histogram(x, [-1, 0, 1]), mpc.histogram)
    for name in ("sum", "mean", "var", "std", "min", "max", "median", "quantile"):
        function = getattr(FilteredColumn, name)
        arguments = (0.9,) if name == "quantile" else ()
        text = f"With the comparison that selects. {function.__doc__}"
        said = f"`table[y < 0]['x'].{name}({', '.join(map(str, arguments))})`"
        yield _Entry(said, _selected(function, arguments), text)


def _selected(function: Callable[..., Any], arguments: tuple[float, ...]) -> Callable[[Any, Any], Any]:
    return lambda x, y: function(FilteredColumn(x, y < 0), *arguments)


def _applied(function: Callable[[Any], Any], shift: int) -> Callable[[Any, Any], Any]:
    return lambda x, y: function(x * 0.05 + shift) if shift else function(x * 0.05)


def _line(entry: _Entry) -> str:
    text = entry.text if isinstance(entry.text, str) else inspect.getdoc(entry.text) or ""
    costs = [_cost(entry, parties) for parties in (2, 3)]
    told = [f"{max(cost.bytes_sent.values()) / _ROWS:,.3g}" for cost in costs]
    meaning = " ".join(text.split()).replace("|", "\\|")
    said = entry.said.replace("|", "\\|")
    return f"| {said} | {costs[0].rounds} | {told[0]} | {told[1]} | {meaning} |"


def _cost(entry: _Entry, parties: int) -> Cost:
    """What an entry costs beyond its reveal."""
    schema: Schema = {
        name: {name: Table(_ROWS, {c: Column("real", -50.0, 50.0) for c in ("x", "y")})} for name in _PARTIES[:parties]
    }

    def computation(data: Any) -> Any:
        ada, bob = (data.party(name)[name] for name in _PARTIES[:2])
        return entry.use(ada["x"] + bob["x"], ada["y"] + bob["y"])

    plan = mpc.computation(computation).plan(schema)
    cost = estimate(plan)
    revealed = sum(8 * plan.types[i].size for i, _ in plan.of("reveal"))
    sent = {name: count - revealed for name, count in cost.bytes_sent.items()}
    return Cost(cost.rounds - 1, sent, cost.pieces, cost.material_words, cost.offline_bytes)


if __name__ == "__main__":
    print(page(), end="")
