"""Plans as bytes from anybody: refused with a PlanError, fast and in bounded memory, or read as what they are."""

import resource
import time

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.disclosure import cohorts
from mpc.errors import PlanError
from mpc.explain import explain
from mpc.plan import Plan
from mpc.schema import Column, Table
from mpc.validate import validate

SCHEMA = {
    name: {"t": Table(12, {"k": Column("integer", -5, 9), "r": Column("real", -1.5, 2.0)})} for name in ("ada", "bob")
}


@mpc.computation
def small(data):
    ada, bob = data.party("ada")["t"], data.party("bob")["t"]
    product = ada["k"][1:].reshape(-1, 1).T @ mpc.stack([bob["k"][::-1] * 2 + 1, bob["r"]], axis=1)[1:]
    return {"mean": data.table("t")["r"].mean(), "product": product, "joined": mpc.concat([ada["k"], bob["k"]])}


PLAN = small.plan(SCHEMA)
COLUMN = {"party": "ada", "table": "t", "column": "k", "kind": "integer", "low": -1, "high": 1, "rows": 12, "scale": 0}
X = ["column", [], COLUMN]
CONSTANT = {"shape": [1], "kind": "integer", "data": bytes(8), "scale": 0}


def encoded(*steps, **more) -> bytes:
    ordered = [[op, inputs, dict(sorted(params.items()))] for op, inputs, params in steps]
    return msgpack.packb({"format": 2, "parties": ["ada", "bob"], "precision": 20, "steps": ordered, **more})


def checked(data: bytes) -> Plan | None:
    """Read and judge a plan as a node does; None if it is refused in the one way there is."""
    try:
        plan = Plan.decode(data)
        validate(plan)
        cohorts(plan, "ada")
        explain(plan, steps=True)
    except PlanError as refused:
        error = str(refused)
    else:
        return plan
    assert len(error) < 1000
    return None


WRONG = [
    None,
    True,
    1.5,
    -1,
    1 << 63,
    (1 << 64) - 1,
    float("nan"),
    float("inf"),
    "",
    "x",
    b"",
    b"abc",
    [],
    [[]],
    [None],
]
WRONG += [{}, [True], [0, 1], [1.0], [-1], [1 << 63], ["a"], [[0]], [[0, 1, 1]], [[0, 12, 0]], [[[0, True]]], [[True]]]
WRONG += [[[0, 1]], [[5, -2, -1]], [[1 << 63, 0, 1]], [[[1.0]]], [1] * 9, [{}], {"a": 1}, msgpack.ExtType(5, b"")]

USES = [
    *[("column", [], {**COLUMN, name: value}) for name in COLUMN for value in WRONG],
    *[("count", [], {"party": "ada", "table": "t", "rows": value}) for value in WRONG],
    *[("constant", [], {**CONSTANT, name: value}) for name in CONSTANT for value in WRONG],
    *[("sum", [0], {"axes": value}) for value in WRONG],
    *[("divide", [0], {"by": value}) for value in WRONG],
    *[(op, [0, 0], {"axis": value}) for op in ("concat", "stack") for value in WRONG],
    *[("index", [0], {"key": value}) for value in WRONG],
    *[("reshape", [0], {"shape": value}) for value in WRONG],
    *[("transpose", [0], {"axes": value}) for value in WRONG],
    *[("reveal", [1], {"name": "n", "to": value}) for value in WRONG],
    *[("reveal", [1], {"name": value, "to": ["a"]}) for value in WRONG],
    *[(op, inputs, {}) for op in ("add", "multiply", "matmul", "negate", "share", "magic") for inputs in ([], [0] * 3)],
    *[(op, [], {"axis": 0}) for op in ("concat", "stack")],
    *[("add", inputs, {}) for inputs in WRONG if not isinstance(inputs, msgpack.ExtType)],
    *[("negate", [0], params) for params in (*WRONG[:-1], {1: 2}) if not isinstance(params, dict) or params],
]


@pytest.mark.parametrize("parameters", [pytest.param(use, id=f"{i}-{use[0]}") for i, use in enumerate(USES)])
def test_a_step_with_wrong_parameters_is_a_plan_error(parameters) -> None:
    op, inputs, params = parameters
    params = dict(sorted(params.items())) if isinstance(params, dict) else params
    reveal = ["reveal", [1], {"name": "ok", "to": ["a"]}]
    steps = [["column", [], dict(sorted(COLUMN.items()))], ["share", [0], {}], [op, inputs, params], reveal]
    data = msgpack.packb({"format": 2, "parties": ["ada", "bob"], "precision": 20, "steps": steps})
    plan = checked(data)
    assert plan is None or plan.encode() == data


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(PLAN.encode()) - 1), st.binary(max_size=3), st.integers(0, 3)), max_size=4)
)
def test_mutated_bytes_are_refused_or_read_the_same_way_again(mutations) -> None:
    data = bytearray(PLAN.encode())
    for at, new, cut in mutations:
        data[at : at + cut] = new
    plan = checked(bytes(data))
    assert plan is None or plan.encode() == bytes(data)


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(PLAN.steps) - 1), trees, st.integers(0, 10))
def test_any_value_in_place_of_another(step: int, tree, place: int) -> None:
    content = msgpack.unpackb(PLAN.encode())
    params = content["steps"][step][2]
    name = sorted(params)[place % len(params)] if params else None
    content["steps"][step][2] = {**params, name: tree} if name else tree
    checked(msgpack.packb(content))


def stacks(times: int) -> list:
    return [X, *[("stack", [i] * 1000, {"axis": 0}) for i in range(times)]]


def chain(op: str, times: int, **params) -> list:
    return [X, *[(op, [i, i] if op in ("multiply", "add") else [i], params) for i in range(times)]]


BOMBS = {
    "a million steps": lambda: msgpack.packb(
        {"format": 2, "parties": ["ada", "bob"], "precision": 20, "steps": [X] * 1_000_000}
    )[: 32 << 20],
    "a million empty steps": lambda: msgpack.packb(
        {"format": 2, "parties": ["ada", "bob"], "precision": 20, "steps": [[]] * 1_000_000}
    ),
    "a chain of 100,000": lambda: encoded(*chain("negate", 100_000)),
    "squares of squares": lambda: encoded(*chain("multiply", 19_000)),
    "doubled and doubled": lambda: encoded(*chain("add", 19_000)),
    "scales of nothing": lambda: encoded(
        ("column", [], {**COLUMN, "kind": "real", "low": 0, "high": 0, "scale": 64}), *chain("multiply", 19_000)[1:]
    ),
    "divisors": lambda: encoded(*chain("divide", 19_000, by=(1 << 63) - 1)),
    "many divisors": lambda: encoded(
        X,
        *[("divide", [0], {"by": 2**61 + 2 * i + 1}) for i in range(9000)],
        ("concat", list(range(1, 9001)), {"axis": 0}),
    ),
    "shapes by stacking": lambda: encoded(*stacks(4)),
    "shapes by broadcasting": lambda: encoded(
        ("column", [], {**COLUMN, "rows": 1 << 27}),
        ("reshape", [0], {"shape": [1 << 27, 1]}),
        ("multiply", [0, 1], {}),
    ),
    "shapes by an outer product": lambda: encoded(
        ("column", [], {**COLUMN, "rows": 1 << 27}),
        ("reshape", [0], {"shape": [1 << 27, 1]}),
        ("reshape", [0], {"shape": [1, 1 << 27]}),
        ("matmul", [1, 2], {}),
    ),
    "a shape of huge numbers": lambda: encoded(X, ("reshape", [0], {"shape": [(1 << 64) - 1] * 8})),
    "rows": lambda: encoded(("column", [], {**COLUMN, "rows": (1 << 64) - 1})),
    "deep lists": lambda: b"\x91" * 1_000_000 + b"\xc0",
    "deep lists within the unpacker's depth": lambda: encoded()[:-1] + b"\x91" * 900 + b"\xc0",
    "deep lists in a parameter": lambda: encoded(X, ("sum", [0], {"axes": 0})).replace(
        b"\xa4axes\x00", b"\xa4axes" + b"\x91" * 800 + b"\x00"
    ),
    "deep maps": lambda: b"\x81\xa1a" * 900 + b"\xc0",
    "lists that claim to be long": lambda: b"\xdd\x00\x0f\x00\x00" * 1000,
    "one list that claims to be endless": lambda: b"\xdd\xff\xff\xff\xff",
    "a text that claims to be long": lambda: b"\xdb\xff\xff\xff\xff",
    "a map that claims to be long": lambda: b"\xdf\xff\xff\xff\xff",
    "empty lists": lambda: b"\xdc\x4e\x20" + (b"\xdc\x06\x00" + b"\x90" * 0x600) * 20_000,
    "empty maps": lambda: b"\xdc\x4e\x20" + (b"\xdc\x06\x00" + b"\x80" * 0x600) * 20_000,
    "too many bytes": lambda: bytes((32 << 20) + 1),
    "inputs": lambda: encoded(X, *[("concat", [0] * 10_000, {"axis": 0}) for _ in range(1000)]),
    "constants looked at again and again": lambda: encoded(
        ("constant", [], {**CONSTANT, "shape": [1 << 20], "data": np.arange(1 << 20, dtype="<i8").tobytes()}),
        ("column", [], {**COLUMN, "rows": 1 << 20}),
        *[("multiply" if i % 2 else "add", [i - 1, 0], {}) for i in range(2, 2000)],
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_plan_bombs_are_refused_fast_and_in_bounded_memory(bomb: str) -> None:
    data = BOMBS[bomb]()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert checked(data) is None
    looked = time.process_time()
    sum(i for i in range(10**7))
    assert looked - started < 10 * (time.process_time() - looked)  # beside a bare loop
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000  # KiB
