"""A first agreement.toml, from the tables that the parties hold: ranges rounded out, for the owners to check."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

from mpc.errors import DataError
from mpc.files import Kind
from mpc.tables import column_range, describe, read
from parties.config import Consortium
from parties.errors import Fault
from parties.terms import table_name

__all__ = ["draft"]

_HEADER = """\
# What the owners of the data agree to. Every node keeps its own copy and takes part in nothing that goes beyond it.
# This is a draft from the data themselves, rounded out. Check every line:
#  - take out each column that must not take part, even within a sum;
#  - put ranges and numbers of rows to what you want the others to know: they see this file;
#  - add what else limits the use, such as an end: valid_until = 2030-12-31 (below purpose).
# Then every party signs it: beaver agreement sign. A change after that needs new signatures.

version = 1
purpose = {purpose}
parties = [{parties}]
source = {source}
min_rows = {min_rows}  # no result aggregates fewer rows of any one party
recipients = [{recipients}]
"""

_SOURCES = {
    True: '"dealer"  # who supplies the correlated randomness: a process that sees no data',
    False: '"pairwise"  # who supplies the correlated randomness: the parties together, nobody else',
}
"""By whether there is a dealer."""


def draft(
    consortium: Consortium,
    folders: Mapping[str, Path],
    purpose: str,
    recipients: Sequence[str] | None = None,
    min_rows: int = 10,
) -> str:
    """The text of an agreement over all tables (<table>.csv, <table>.parquet) in the parties' data folders.

    `folders`: party -> folder. Recipients are the analysts unless given. Columns that are not numeric, or hold values
    that cannot take part, are left out and named in a comment.
    Raises Fault NO_TABLES, TABLE_NAME_INVALID, TABLE_TWICE; DataError for a file that cannot be read.
    """
    if recipients is None:
        recipients = [analyst.name for analyst in consortium.analysts] or consortium.party_names
    parts = [
        _HEADER.format(
            purpose=_text(purpose),
            parties=", ".join(map(_text, consortium.party_names)),
            source=_SOURCES[consortium.dealer is not None],
            min_rows=min_rows,
            recipients=", ".join(map(_text, recipients)),
        ),
    ]
    for party in consortium.party_names:
        if party in folders:
            parts += [_table(party, name, path) for name, path in _tables(folders[party]).items()]
    if len(parts) == 1:
        raise Fault(
            "NO_TABLES",
            f"There is no table in {', '.join(map(str, folders.values())) or 'any folder'}.",
            "Put <table>.csv or <table>.parquet into each party's data folder.",
        )
    return "\n".join(parts)


def _tables(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix not in (".csv", ".parquet"):
            continue
        try:
            name = table_name(path.stem)
        except ValueError as error:
            raise Fault("TABLE_NAME_INVALID", f"{path}: its name {error}.", "Rename the file.") from None
        if name in found:
            raise Fault("TABLE_TWICE", f"{path} and {found[name].name} are the same table.", "Remove one of them.")
        found[name] = path
    return found


def _table(party: str, name: str, path: Path) -> str:
    label = f"{party}.{name}"
    described = describe(path, label)
    lines = [
        f"[data.{party}.{name}]",
        f"rows = {int(_round(described.rows, ROUND_CEILING))}  # at most",
        "",
        f"[data.{party}.{name}.columns]",
    ]
    for column, kind in described.columns.items():
        if kind == "other":
            lines.append(f"# left out: {_text(column)} holds no numbers")
            continue
        try:
            # One column at a time: a table may be larger than memory.
            values = read(path, [column], label)[column]
        except DataError as error:
            lines.append(f"# left out: {_text(error.message)[1:-1]}")
            continue
        low, high = _rounded_out(column_range(values), kind)
        key = column if re.fullmatch(r"[A-Za-z0-9_-]+", column) else _text(column)
        lines.append(f'{key} = {{ type = "{kind}", range = [{low}, {high}] }}')
    return "\n".join(lines) + "\n"


def _rounded_out(ends: tuple[int | float, int | float], kind: Kind) -> tuple[str, str]:
    """The range, wider than the data's own: to one significant digit below 100, two above. Never a single point."""
    low, high = _round(ends[0], ROUND_FLOOR), _round(ends[1], ROUND_CEILING)
    if float(low) == float(high):
        low, high = min(Decimal(0), 2 * low), max(Decimal(0), 2 * high) if high else Decimal(1)
    if kind == "integer":
        return str(max(int(low), -(1 << 63))), str(min(int(high), (1 << 63) - 1))
    most = sys.float_info.max
    return repr(max(float(low), -most)), repr(min(float(high), most))


def _round(value: int | float, direction: str) -> Decimal:
    if not value:
        return Decimal(0)
    exact = Decimal(value)
    digits = 1 if abs(value) < 100 else 2
    return exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding=direction)


def _text(text: str) -> str:
    """The text as TOML writes it, on one line."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
