"""Every kind of table reads to the same numbers, and every bad one is refused in words that hold no value of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from mpc.errors import DataError
from mpc.files import DataFile
from mpc.tables import TableSource, column_range, describe, read

SECRET = "73519"
NAME = "north.visits"

frame = pd.DataFrame(
    {
        "age": [31, 45, -2],
        "Cost": [1.5, 0.25, 1e6],
        "insured": [True, False, True],
        "city": ["Ulm", "Bern", 'a "b", c'],
    }
)


def as_csv(folder: Path) -> TableSource:
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def as_semicolons(folder: Path) -> TableSource:
    frame.to_csv(folder / "t.csv", index=False, sep=";", lineterminator="\r\n", encoding="utf-8-sig")
    return str(folder / "t.csv")


def as_parquet(folder: Path) -> TableSource:
    duckdb.from_df(frame).write_parquet(str(folder / "t.parquet"))
    return folder / "t.parquet"


def as_nullable(_: Path) -> TableSource:
    return frame.astype({"age": "Int64", "insured": "boolean", "city": "string"})


FORMATS: list[Callable[[Path], TableSource]] = [
    as_csv,
    as_semicolons,
    as_parquet,
    as_nullable,
    lambda _: frame,
    lambda _: {name: frame[name].to_numpy() for name in frame},
    lambda _: {name: frame[name].tolist() for name in frame},
    lambda _: frame.astype(object),
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet(path: Path, query: str) -> Path:
    duckdb.sql(query).write_parquet(str(path))
    return path


def refused(source: TableSource, *names: str) -> str:
    with pytest.raises(DataError) as caught:
        read(source, names, NAME) if names else describe(source, NAME)
    assert NAME in caught.value.message
    assert caught.value.remedy
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize("make", FORMATS)
def test_every_source_describes_and_reads_the_same(make: Callable[[Path], TableSource], tmp_path: Path) -> None:
    source = make(tmp_path)
    found = describe(source, NAME)
    assert found.rows == 3
    assert list(found.columns.items()) == [
        ("age", "integer"),
        ("Cost", "real"),
        ("insured", "integer"),
        ("city", "other"),
    ]
    columns = read(source, ["insured", "Cost", "age"], NAME)
    assert list(columns) == ["insured", "Cost", "age"]
    assert [columns[name].dtype for name in columns] == [np.int64, np.float64, np.int64]
    for name, values in columns.items():
        np.testing.assert_array_equal(values, frame[name].to_numpy())


def test_files_give_arrays_that_may_be_overwritten(tmp_path: Path) -> None:
    for source in (as_csv(tmp_path), as_parquet(tmp_path)):
        for values in read(source, ["age", "Cost"]).values():
            values[:] = 0


def test_types_of_parquet(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "t.parquet",
        "select 1::utinyint as u, 2::ubigint as w, 1.25::decimal(9,2) as d, 0.5::float as f, date '2020-01-01' as day, "
        "{'a': 1, 'b': [2]} as nested, 7 as \"odd \"\"name\", 8 as last",
    )
    kinds = describe(path).columns
    assert list(kinds.values()) == ["integer", "integer", "real", "real", "other", "other", "integer", "integer"]
    columns = read(path, [name for name, kind in kinds.items() if kind != "other"])
    assert [values.item() for values in columns.values()] == [1, 2, 1.25, 0.5, 7, 8]


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", " 2 ", "+3"], "integer", [1, 2, 3]),
        (["1.0", "2", "1e3"], "real", [1, 2, 1000]),
        ([".5", "2.", "-1E-2"], "real", [0.5, 2, -0.01]),
        (["true", "FALSE", "True"], "integer", [1, 0, 1]),
        (["9223372036854775807", "-9223372036854775808", "0"], "integer", [2**63 - 1, -(2**63), 0]),
        (["007", '"8"', "9"], "integer", [7, 8, 9]),
    ],
)
def test_cells_of_csv(cells: list[str], kind: str, values: list[float], tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "\n".join(["x,y", *(f"{cell},1" for cell in cells)]))
    assert describe(path).columns == {"x": kind, "y": "integer"}
    assert read(path, ["x"])["x"].tolist() == values


def test_names_of_columns_are_taken_as_they_stand(tmp_path: Path) -> None:
    names = ["Age", "age", "select", 'a"b', "x, y", "", "größe", "c0"]
    content = ",".join('"' + name.replace('"', '""') + '"' for name in names) + "\n" + ",".join("12345678") + "\n"
    path = write(tmp_path / "t.csv", content)
    assert list(describe(path).columns) == [name for name in names if name]
    assert [values.item() for values in read(path, ["age", 'a"b', "c0", "Age"]).values()] == [2, 4, 8, 1]


def test_names_of_files_are_taken_as_they_stand(tmp_path: Path) -> None:
    folder = tmp_path / "it's; year=2020"
    folder.mkdir()
    write(folder / "tab.csv", "x\n2\n")
    path = write(folder / "t[ab]*.csv", "x\n1\n")
    assert list(describe(path).columns) == ["x"]
    assert read(path, ["x"])["x"].tolist() == [1]


def test_rows_keep_their_order(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", "select range as x from range(1000000)")
    assert np.array_equal(read(path, ["x"])["x"], np.arange(1000000))


def test_no_column_is_read_but_those_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "x,y\n1,a\n2,b\n")
    assert list(read(path, ["x"])) == ["x"]
    assert read(path, []) == {}


def test_range() -> None:
    assert column_range(np.array([3, -1, 2])) == (-1, 3)
    assert [type(end) for end in column_range(np.array([3, -1]))] == [int, int]
    assert [type(end) for end in column_range(np.array([3.5]))] == [float, float]


def test_text_deep_in_a_column_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "x,y\n" + "1,2\n" * 50_000 + f"n{SECRET},2\n" + "1,2\n" * 50_000 + "-,2\n")
    assert describe(path).columns == {"x": "other", "y": "integer"}
    assert "column 'x' should hold numbers, but 2 of its 100002 rows hold text" in refused(path, "x")
    assert read(path, ["y"])["y"].sum() == 200_004


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"x,y\n1,{SECRET}\n3\n", "more or fewer fields in line 3"),
        (f"x,y\n1,2\n1,2,{SECRET}\n", "more or fewer fields in line 3"),
        (f'x,y\n1,"{SECRET}\n', "not well-formed CSV in line 2"),
        (f"x,y\n1,2\n3,{SECRET}\r5,6\r\n", "not well-formed CSV"),
        (b"x,y\n1,\xff\xfe73519\n", "not UTF-8"),
        (b"x,y\n" + b"1,2\n" * 300_000 + b"1,\xff\xfe73519\n", "not UTF-8 in line 300002"),
        ("x,y\n1,2\n".encode("utf-16"), "neither CSV nor Parquet"),
        (b"PK\x03\x04\0\0" + bytes(range(256)), "neither CSV nor Parquet"),
        (b"PAR1" + bytes(100) + b"PAR1", "damaged"),
        ("x,y,x\n1,2,3\n", "more than one column called 'x'"),
        ("x,y\n", "empty: it has no rows"),
        ("", "empty: it has no columns"),
        ("\n1,2\n", "empty: it has no columns"),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: str | bytes, told: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", content)
    assert told in refused(path)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["1", "", SECRET, '""'], "missing values in 2 of 4 rows"),
        (["", "", ""], "missing values in 3 of 3 rows"),
        ([f"{SECRET}.5", "nan", "NaN"], "NaN in 2 rows"),
        ([SECRET, "inf", "-inf", "1e999"], "infinities in 3 rows"),
        ([SECRET, "NA", "1"], "1 of its 3 rows hold text"),
        ([SECRET, "0x1F", "1"], "1 of its 3 rows hold text"),
        (["2020-01-01", "2020-01-02"], "2 of its 2 rows hold text"),
        (["9223372036854775808", SECRET], "integers outside the signed 64-bit range in 1 rows"),
    ],
)
def test_bad_cells_are_counted(cells: list[str], told: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "\n".join(["x,y", *(f"{cell},1" for cell in cells)]))
    assert told in (message := refused(path, "x"))
    assert "column 'x'" in message


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("(1), (null), (73519), (null)", "missing values in 2 of 4 rows"),
        ("('nan'::double), (73519.5)", "NaN in 1 rows"),
        ("('inf'::float), ('-inf'::float)", "infinities in 2 rows"),
        ("('73519'), ('x')", "holds no numbers"),
        ("(date '2020-01-01')", "holds no numbers"),
        ("(9223372036854775808::ubigint), (73519::ubigint)", "integers outside the signed 64-bit range in 1 rows"),
        ("(9223372036854775807::ubigint), (null)", "missing values in 1 of 2 rows"),
    ],
)
def test_bad_values_of_parquet_are_counted(values: str, told: str, tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", f"select * from (values {values}) t(x)")
    assert told in (message := refused(path, "x"))
    assert "column 'x'" in message


def test_empty_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", "select 1 as x where false")
    assert "no rows" in refused(path)
    assert "no rows" in refused(path, "x")


def test_truncated_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", "select range as x from range(100000)")
    os.truncate(path, path.stat().st_size // 2)
    assert "damaged" in refused(path, "x")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"x": [1, None, 3]}, "missing values in 1 of 3 rows"),
        ({"x": np.ma.array([1, 73519], mask=[False, True])}, "missing values in 1 of 2 rows"),
        (pd.DataFrame({"x": pd.array([1, None], dtype="Int64")}), "missing values in 1 of 2 rows"),
        (pd.DataFrame({"x": [1.0, None]}), "missing values in 1 of 2 rows"),
        ({"x": [1.0, float("nan")]}, "NaN in 1 rows"),
        ({"x": np.array([1, np.inf], np.float32)}, "infinities in 1 rows"),
        ({"x": ["73519", "b"]}, "holds no numbers"),
        ({"x": [73519, "b"]}, "holds no numbers"),
        ({"x": [1 + 2j]}, "holds no numbers"),
        (pd.DataFrame({"x": pd.to_datetime(["2020-01-01"])}), "holds no numbers"),
        ({"x": np.array([2**63], np.uint64)}, "integers outside the signed 64-bit range in 1 rows"),
        ({"x": [2**80, -(2**70), 1]}, "integers outside the signed 64-bit range in 2 rows"),
        ({"x": [[1, 2], [3, 4]]}, "not one row of values"),
        ({"x": [[1, 2], [3]]}, "not one row of values"),
        ({"x": 3}, "not one row of values"),
        ({"x": []}, "no rows"),
    ],
)
def test_bad_arrays_are_counted(source: Any, told: str) -> None:
    assert told in (message := refused(source, "x"))
    assert "column 'x'" in message


def test_bad_mappings() -> None:
    assert "'x' has 2, 'y' has 3" in refused({"x": [1, 2], "y": [1, 2, 3]})
    assert "'x' has 2, 'y' has 3" in refused({"x": [1, 2], "y": [1, 2, 3]}, "x", "y")
    assert "no columns" in refused({})
    assert "no rows" in refused({"x": np.array([], int)})
    assert "not text" in refused({1: [1, 2]})  # type: ignore[dict-item]
    assert "more than one column called 'x'" in refused(pd.DataFrame([[1, 2]], columns=["x", "x"]))
    assert "no table" in refused([1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize("make", FORMATS)
def test_unknown_column(make: Callable[[Path], TableSource], tmp_path: Path) -> None:
    message = refused(make(tmp_path), "cost")
    assert "no column 'cost'" in message
    assert "Did you mean 'Cost'?" in message
    assert "age, Cost, insured, city" in message


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    assert "is not there" in refused(tmp_path / "none.csv")
    assert "not a file" in refused(tmp_path)
    assert "cannot be read" in refused("a\0b.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "not a file" in refused(tmp_path / "pipe.csv")


def append(path: Path) -> None:
    with path.open("a") as more:
        more.write("1\n")


def replace(path: Path) -> None:
    copy = write(path.with_name("new"), path.read_bytes())
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    copy.replace(path)


def read_twice(path: Path, between: Callable[[Path], object]) -> None:
    with DataFile(path, NAME) as file:
        assert file.read(["x"])["x"].tolist() == [31, 45]
        between(path)
        file.read(["x"])


@pytest.mark.parametrize("change", [append, replace, os.utime, lambda path: os.truncate(path, 3)])
def test_a_file_that_changes_while_it_is_read(change: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="changed while it was read"):
        read_twice(write(tmp_path / "t.csv", "x\n31\n45\n"), change)


def test_a_file_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        read_twice(write(tmp_path / "t.csv", "x\n31\n45\n"), os.remove)


def test_the_reader_reaches_one_file_only(tmp_path: Path) -> None:
    other = write(tmp_path / "other.csv", "x\n1\n")
    with DataFile(write(tmp_path / "t.csv", "x\n1\n"), NAME) as file:
        for attempt in (
            f"select * from read_csv('{other}')",
            f"copy (select 1) to '{tmp_path / 'out.csv'}'",
            f"attach '{tmp_path / 'new.db'}'",
            "set enable_external_access = true",
            "install httpfs",
            "select * from frame",
        ):
            with pytest.raises(duckdb.Error):
                file._connection.execute(attempt)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["other.csv", "t.csv"]


def test_importing_tables_loads_neither_duckdb_nor_pandas() -> None:
    code = "import sys, mpc.tables; sys.exit(any(name in sys.modules for name in ('duckdb', 'pandas', 'pyarrow')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_memory_stays_near_the_size_of_the_column(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", "select range as x, random() as y, random() as z from range(8000000)")
    code = (
        "import resource, sys; from mpc.tables import describe, read; describe(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; column = read(sys.argv[1], ['y'])['y']\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, column.nbytes // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    used, size = map(int, done.stdout.split())
    assert used < 1.5 * size + 64 * 1024
