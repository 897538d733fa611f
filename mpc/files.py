"""CSV and Parquet files, read a few columns at a time through duckdb. Nothing here ever quotes a value of the data."""

from __future__ import annotations

import csv
import glob
import io
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpc.errors import DataError

__all__ = ["Array", "DataFile", "Kind", "not_int64", "not_missing", "not_numbers", "unique"]

Kind = Literal["integer", "real", "other"]
Array = NDArray[np.int64] | NDArray[np.float64]

_HEAD = 1 << 20
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "BOOLEAN"}
_WIDE = {"UBIGINT", "HUGEINT", "UHUGEINT"}


def unique(columns: Iterable[str], name: str) -> None:
    """Raise DataError when two columns have the same name."""
    if twice := [column for column, count in Counter(columns).items() if count > 1]:
        raise DataError(f"{name} has more than one column called {twice[0]!r}.", "Rename one of them.")


def not_numbers(label: str, count: int | None = None, rows: int | None = None) -> DataError:
    """The error for a column of text, dates or the like; `count` of its `rows` are no number, where that is known."""
    what = "holds no numbers" if count is None else f"should hold numbers, but {count} of its {rows} rows hold text"
    return DataError(f"{label} {what}.", "Correct these rows, or leave the column out of the agreement and the script.")


def not_missing(label: str, count: int, rows: int) -> DataError:
    """The error for a column of which `count` of `rows` values are missing."""
    return DataError(
        f"{label} has missing values in {count} of {rows} rows.", "Fill them in, or leave these rows out of the table."
    )


def not_int64(label: str, count: int) -> DataError:
    """The error for a column with `count` integers that do not fit 64 bits with a sign."""
    return DataError(
        f"{label} has integers outside the signed 64-bit range in {count} rows.", "Scale or correct the column."
    )


@dataclass(frozen=True)
class _Text:
    """How many cells of a CSV column say anything, are whole numbers, fit int64, are numbers, are true or false."""

    present: int
    whole: int
    fitting: int
    numbers: int
    booleans: int

    @classmethod
    def counts(cls, column: str) -> str:
        """The aggregates, in the order of the fields."""
        # A cast alone takes '1.5' for an integer.
        whole = rf"regexp_full_match({column}, '\s*[+-]?[0-9]+\s*')"
        return (
            f"count({column}), count(*) filter (where {whole}), "
            f"count(try_cast({column} as bigint)) filter (where {whole}), "
            f"count(try_cast({column} as double)), count(*) filter (where lower({column}) in ('true', 'false'))"
        )

    @property
    def kind(self) -> Kind:
        if self.present and self.present in (self.whole, self.booleans):
            return "integer"
        return "real" if self.present and self.numbers == self.present else "other"


class DataFile:
    """One CSV or Parquet file, opened for reading: `with DataFile(path, "north.visits") as file`.

    A CSV file is UTF-8 with a header line; its fields are separated by comma, semicolon, tab or bar. `name` stands for
    the table in messages. Raises DataError when the file cannot be read, or changed until the end of the `with`.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self._given = Path(path)
        self._name = name
        self._types: dict[str, str] = {}

    def __enter__(self) -> DataFile:
        self._before = self._stat()
        path = os.path.realpath(self._given)
        head = self._head()
        # duckdb takes every path for a pattern; this one matches nothing else.
        self._path = glob.escape(path)
        self._connection = _connect([path, self._path])
        try:
            if head[:4] == b"PAR1":
                self._open_parquet()
            else:
                self._open_csv(head)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()
        if self._stat() != self._before:
            raise self._fault("changed while it was read", "Run again when nothing writes to it.") from None

    def describe(self) -> tuple[int, dict[str, Kind]]:
        """The number of rows, and every named column's kind. Reads a CSV file whole, of Parquet the metadata."""
        if self._types:
            count = self._query("select sum(num_rows) from parquet_file_metadata(?)")
            return int(count[0]), {column: _kind(self._types[column]) for column in self._columns}
        rows, texts = self._texts(list(self._columns))
        return rows, {column: text.kind for column, text in texts.items()}

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """The columns, int64 or float64 (which may hold NaN and infinities), in the file's order of rows."""
        values = [self._typed(name) for name in names] if self._types else self._parsed(names)
        selected = ", ".join(f"{value} as v{index}" for index, value in enumerate(values))
        with self._faults():
            found = self._connection.execute(f"select {selected} from {self._table}", [self._path]).fetchnumpy()  # noqa: S608
        columns = {}
        for index, name in enumerate(names):
            column = found.pop(f"v{index}")
            if isinstance(column, np.ma.MaskedArray):
                if missing := int(np.count_nonzero(np.ma.getmaskarray(column))):
                    raise not_missing(self._label(name), missing, len(column))
                column = column.data
            columns[name] = column
        return columns

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the file's order. A column without a name is passed over."""
        return tuple(self._columns)

    def _typed(self, name: str) -> str:
        kind, column = self._types[name], self._columns[name]
        if _kind(kind) == "other":
            raise not_numbers(self._label(name))
        if kind in _WIDE:
            (outside,) = self._query(
                f"select count({column}) - count(try_cast({column} as bigint)) from {self._table}"  # noqa: S608
            )
            if outside:
                raise not_int64(self._label(name), outside)
        return f"cast({column} as {'bigint' if _kind(kind) == 'integer' else 'double'})"

    def _parsed(self, names: Sequence[str]) -> list[str]:
        rows, texts = self._texts(names)
        values = []
        for name in names:
            text, label, column = texts[name], self._label(name), self._columns[name]
            if text.kind == "other" and text.present:
                raise not_numbers(label, text.present - text.numbers, rows)
            if text.present < rows:
                raise not_missing(label, rows - text.present, rows)
            if text.fitting < text.whole and text.kind == "integer":
                raise not_int64(label, text.whole - text.fitting)
            if text.booleans:
                values.append(f"cast(lower({column}) = 'true' as bigint)")
            else:
                values.append(f"cast({column} as {'bigint' if text.kind == 'integer' else 'double'})")
        return values

    def _texts(self, names: Sequence[str]) -> tuple[int, dict[str, _Text]]:
        counts = ", ".join(["count(*)", *(_Text.counts(self._columns[name]) for name in names)])
        rows, *rest = self._query(f"select {counts} from {self._table}")  # noqa: S608
        return rows, {name: _Text(*rest[5 * index : 5 * index + 5]) for index, name in enumerate(names)}

    def _open_parquet(self) -> None:
        self._table = "read_parquet(?, hive_partitioning = false)"
        with self._faults():
            execute = self._connection.execute
            schema = execute("select name, num_children from parquet_schema(?)", [self._path]).fetchall()
            known = execute(f"describe select * from {self._table}", [self._path]).fetchall()  # noqa: S608
        # duckdb renames what differs in case only; the names are the schema's, the order is the same.
        names, nested = [], 0
        for name, children in schema[1:]:
            if not nested:
                names.append(name)
            nested += (children or 0) - bool(nested)
        unique(names, self._name)
        self._columns = {name: '"' + row[0].replace('"', '""') + '"' for name, row in zip(names, known, strict=True)}
        self._types = {name: row[1] for name, row in zip(names, known, strict=True)}

    def _open_csv(self, head: bytes) -> None:
        if b"\0" in head or self._given.suffix.lower() == ".parquet":
            raise self._fault("is neither CSV nor Parquet", "Store it as UTF-8 CSV or as Parquet, not compressed.")
        try:
            # A full head may end within a character.
            text = head.decode("utf-8-sig", "ignore" if len(head) == _HEAD else "strict")
        except UnicodeDecodeError:
            raise self._not_utf8() from None
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t|", key=first.count)
        try:
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
        except csv.Error:
            raise self._fault("has no readable header line", "Write the columns' names into its first line.") from None
        names = [name.strip() for name in header]
        if not any(names):
            raise DataError(f"{self._name} is empty: it has no columns.", "Write a header line and rows into its file.")
        unique(filter(None, names), self._name)
        self._columns = {name: f"c{index}" for index, name in enumerate(names) if name}
        fields = ", ".join(f"c{index}: 'VARCHAR'" for index in range(len(names)))
        self._table = (
            f"read_csv(?, columns = {{{fields}}}, auto_detect = false, header = true, delim = '{delimiter}', "
            "quote = '\"', escape = '\"', compression = 'none', hive_partitioning = false)"
        )

    def _query(self, sql: str) -> tuple[Any, ...]:
        with self._faults():
            return tuple(self._connection.execute(sql, [self._path]).fetchone())

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """duckdb's errors without what they quote of the file."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            text = str(error)
            line = re.match(r"[\w ]+: CSV Error on Line: (\d+)", text)
            where = f" in line {line[1]}" if line else ""
            if "Expected Number of Columns" in text:
                raise self._fault(
                    f"has more or fewer fields{where} than its header names", "Correct that line."
                ) from None
            if "utf-8" in text:
                raise self._not_utf8(where) from None
            if line or "CSV" in text:
                raise self._fault(
                    f"is not well-formed CSV{where}", "Look for unmatched quotes, mixed line ends or over-long lines."
                ) from None
            raise self._fault("is damaged, or no Parquet file", "Write it again from its source.") from None

    def _not_utf8(self, where: str = "") -> DataError:
        return self._fault(f"is not UTF-8{where}", "Convert it, for example: iconv -f latin1 -t utf-8 OLD > NEW.")

    def _fault(self, what: str, remedy: str) -> DataError:
        return DataError(f"{self._name}: the file {self._given} {what}.", remedy)

    def _label(self, column: str) -> str:
        return f"{self._name}, column {column!r}"

    def _stat(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._given)
        except FileNotFoundError:
            raise self._fault("is not there", "Check its name, and that it ends in .csv or .parquet.") from None
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(found.st_mode):
            raise self._fault("is not a file", "Name a CSV or Parquet file.")
        return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev

    def _head(self) -> bytes:
        try:
            with open(self._given, "rb") as file:
                return file.read(_HEAD)
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> DataError:
        reason = getattr(error, "strerror", None) or "not a path"
        return self._fault(f"cannot be read ({reason})", "Make it readable for the user that runs this.")


def _kind(column_type: str) -> Kind:
    if column_type in _INTEGERS | _WIDE:
        return "integer"
    return "real" if column_type in ("FLOAT", "DOUBLE") or column_type.startswith("DECIMAL") else "other"


def _connect(paths: list[str]) -> Any:
    """A duckdb in memory that can read these files and nothing else, spills nothing to disk and loads no extension."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"threads": 2, "temp_directory": ""})
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions", "python_enable_replacements"):
        connection.execute(f"set {setting} = false")
    connection.execute("set allowed_paths = ?", [paths])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection
