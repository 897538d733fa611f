"""What a computation is given: the tables of all parties, by name, without their contents."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, overload

from mpc.errors import ScriptError
from mpc.filters import FilteredTable
from mpc.functions import concat, stack
from mpc.groups import Groups
from mpc.passes.resolution import FIRST_SCALE
from mpc.schema import Schema
from mpc.trace import Trace
from mpc.values import Value, record

__all__ = ["Data", "PartyData", "TableView"]


class Data:
    """All tables of a consortium, as their owners declared them."""

    def __init__(self, schema: Schema, trace: Trace) -> None:
        self._schema = schema
        self._trace = trace

    @property
    def parties(self) -> tuple[str, ...]:
        """The parties' names, in the consortium's order."""
        return tuple(self._schema)

    def party(self, name: str) -> PartyData:
        """One party's tables."""
        if name not in self._schema:
            _unknown("party", name, self._schema)
        return PartyData(self._schema, self._trace, name)

    def table(self, name: str) -> TableView:
        """The rows of every party that holds this table, one party's after another's. None of them moves."""
        holders = [party for party, tables in self._schema.items() if name in tables]
        if not holders:
            _unknown("table", name, {table for tables in self._schema.values() for table in tables})
        return TableView(self._schema, self._trace, name, holders)


class PartyData:
    """The tables of one party."""

    def __init__(self, schema: Schema, trace: Trace, name: str) -> None:
        self._schema = schema
        self._trace = trace
        self.name = name

    def __getitem__(self, table: str) -> TableView:
        if table not in self._schema[self.name]:
            _unknown(f"table at {self.name}", table, self._schema[self.name])
        return TableView(self._schema, self._trace, table, [self.name])

    table = __getitem__


class TableView:
    """A table at one party, or of several parties one below the other. Columns are secret values."""

    def __init__(
        self,
        schema: Schema,
        trace: Trace,
        name: str,
        holders: Sequence[str],
        sizes: Mapping[str, int] | None = None,
        draw: int = 0,
    ) -> None:
        self._schema = schema
        self._trace = trace
        self._holders = holders
        self._rows = {party: schema[party][name].rows for party in holders}
        self._sizes = sizes
        self._draw = draw
        self.name = name

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that every holder has."""
        first, *others = (self._schema[party][self.name].columns for party in self._holders)
        return tuple(column for column in first if all(column in other for other in others))

    def __len__(self) -> int:
        return sum((self._sizes or self._rows)[party] for party in self._holders)

    def count(self) -> Value:
        """The number of rows, as the holders count them."""
        if self._sizes is not None:
            return Value(self._trace, self._trace.constant(len(self)))
        total, *others = (
            self._value("count", party=party, table=self.name, rows=self._rows[party]) for party in self._holders
        )
        for other in others:
            total = total + other
        return total

    @overload
    def __getitem__(self, column: str | list[str]) -> Value: ...

    @overload
    def __getitem__(self, column: Value) -> FilteredTable: ...

    def __getitem__(self, column: str | list[str] | Value) -> Value | FilteredTable:
        """A column; for a list of names a matrix of rows by columns; for a condition, one truth value a row, the rows
        for which it holds.
        """
        if isinstance(column, Value):
            return FilteredTable(self, column)
        if isinstance(column, list):
            return stack([self[name] for name in column], axis=1)
        parts = [self._column(party, column) for party in self._holders]
        return parts[0] if len(parts) == 1 else concat(parts)

    def sample(self, size: int) -> TableView:
        """So many of the rows, drawn at random without replacement; only their owners know which.

        The rows of several parties are drawn from each in proportion to how many it has. Columns of one sample belong
        together row by row; those of different samples, and of different parties' tables, do not.
        """
        rows = self._sizes or self._rows
        if self._sizes is not None or not isinstance(size, int) or not len(self._holders) <= size <= len(self):
            raise ScriptError(
                f"a sample of {size} rows cannot be drawn from {self.name}, which has {len(self):,}",
                "Draw whole numbers of rows, at least one of each holder, from a table itself.",
            )
        return TableView(
            self._schema, self._trace, self.name, self._holders, _shared_out(size, rows), next(self._trace.draws)
        )

    def groupby(self, key: str, keys: Sequence[int | float]) -> Groups:
        """The rows by the values of a column, which are looked for in a public list."""
        return Groups(self, key, keys)

    def _column(self, party: str, name: str) -> Value:
        table = self._schema[party][self.name]
        if name not in table.columns:
            _unknown(f"column in {party}.{self.name}", name, table.columns)
        column = table.columns[name]
        value = self._value(
            "column",
            party=party,
            table=self.name,
            column=name,
            kind=column.kind,
            low=column.low,
            high=column.high,
            rows=table.rows,
            scale=FIRST_SCALE if column.kind == "real" else 0,
        )
        if self._sizes is None:
            return value
        return record(
            "sample",
            value,
            party=party,
            table=self.name,
            rows=table.rows,
            size=self._sizes[party],
            draw=self._draw,
        )

    def _value(self, op: str, **params: object) -> Value:
        return Value(self._trace, self._trace.add(op, **params))


def _shared_out(size: int, rows: Mapping[str, int]) -> dict[str, int]:
    """So many rows from all holders together, as many of each as its rows are of all, and one at least."""
    sizes = {party: max(1, size * count // sum(rows.values())) for party, count in rows.items()}
    while (missing := size - sum(sizes.values())) != 0:
        step = 1 if missing > 0 else -1
        over = {party: step * (count * size - sizes[party] * sum(rows.values())) for party, count in rows.items()}
        sizes[max((party for party in rows if sizes[party] + step), key=over.__getitem__)] += step
    return sizes


def _unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    others = " A column of text, or without a value, is none." if what.startswith("column") and not near else ""
    raise ScriptError(f"there is no {what} called {name!r}", f"{hint}There are: {', '.join(names) or 'none'}.{others}")
