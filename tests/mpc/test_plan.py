"""The plan: canonical bytes, a readable form, and what the engine must never be given."""

from pathlib import Path

import msgpack
import pytest

import mpc
from mpc.errors import PlanError
from mpc.explain import explain
from mpc.plan import MAX_STEPS, Plan, Step
from mpc.schema import Column, Table
from mpc.validate import validate

COLUMNS = {"k": Column("integer", -5, 9), "r": Column("real", -1.5, 2.0)}
SCHEMA = {"ada": {"t": Table(12, COLUMNS)}, "bob": {"t": Table(13, COLUMNS), "u": Table(12, COLUMNS)}}


@mpc.computation
def small(data):
    t, u = data.table("t"), data.party("bob")["u"]
    return {"mean": t["r"].mean(), "dot": mpc.dot(data.party("ada")["t"]["k"], u["k"] * 2 + 1), "rows": t.count()}


PLAN = small.plan(SCHEMA)


def read(data: bytes) -> Plan | None:
    try:
        return Plan.decode(data)
    except PlanError:
        return None


def test_the_plan_is_what_it_was() -> None:
    snapshot = Path(__file__).parent / "small_plan.txt"
    assert explain(PLAN, steps=True) + "\n" == snapshot.read_text()


def test_decode_gives_back_what_was_encoded() -> None:
    again = Plan.decode(PLAN.encode())
    assert (again, again.digest, again.types) == (PLAN, PLAN.digest, PLAN.types)


def test_the_digest_does_not_depend_on_the_order_of_parameters() -> None:
    turned = [Step(step.op, step.inputs, dict(reversed(step.params.items()))) for step in PLAN.steps]
    assert Plan(PLAN.parties, tuple(turned)).digest == PLAN.digest
    assert Plan(PLAN.parties[::-1], tuple(turned)).digest != PLAN.digest


def test_only_the_canonical_bytes_are_read() -> None:
    content = msgpack.unpackb(PLAN.encode())
    assert read(msgpack.packb(content)) == PLAN
    for other in (msgpack.packb(dict(reversed(content.items()))), msgpack.packb(content, use_single_float=True)):
        assert read(other) is None
    assert read(PLAN.encode() + b"\xc0") is None
    assert read(PLAN.encode()[:-1]) is None


def test_a_script_that_grows_without_end_is_refused() -> None:
    def powers(data):
        x = data.party("ada")["t"]["r"]
        for _ in range(MAX_STEPS):
            x = x * x
        return x

    def steps(data):
        x = data.party("ada")["t"]["k"]
        return sum((x * i for i in range(MAX_STEPS)), x)

    for script in (powers, steps):
        with pytest.raises(mpc.ScriptError, match=r"test_plan.py:\d+: .*(overflow|more than 20,000 steps)"):
            mpc.computation(script).plan(SCHEMA)


COLUMN = {"party": "ada", "table": "t", "column": "k", "kind": "integer", "low": -1, "high": 1, "rows": 12, "scale": 0}
X = ("column", [], COLUMN)
CONSTANT = {"shape": [1], "kind": "integer", "data": bytes(8), "scale": 0}


SHARE = ("share", [0], {})
REVEAL = {"name": "r", "to": ["analyst"], "unit": b""}
INVALID = {
    "reveals nothing": [X, SHARE],
    "reveals a private value": [X, ("reveal", [0], REVEAL)],
    "reveals a public value": [("constant", [], CONSTANT), ("reveal", [0], REVEAL)],
    "joins private values unshared": [
        X, ("column", [], {**COLUMN, "party": "bob"}), ("add", [0, 1], {}), ("reveal", [2], REVEAL)
    ],
    "adds an unshared value": [X, SHARE, ("add", [0, 1], {}), ("reveal", [2], REVEAL)],
    "adds an unshared constant": [X, SHARE, ("constant", [], CONSTANT), ("add", [1, 2], {}), ("reveal", [3], REVEAL)],
    "shares twice": [X, SHARE, ("share", [1], {}), ("reveal", [2], REVEAL)],
    "computes from a reveal": [
        X, SHARE, ("reveal", [1], REVEAL), ("negate", [2], {}), ("reveal", [3], {**REVEAL, "name": "s"})
    ],
    "multiplies a reveal": [X, SHARE, ("reveal", [1], REVEAL), ("multiply", [2, 2], {})],
    "reveals one name twice": [X, SHARE, ("reveal", [1], REVEAL), ("reveal", [1], REVEAL)],
    "reveals to nobody": [X, SHARE, ("reveal", [1], {**REVEAL, "to": []})],
    "reveals without a name": [X, SHARE, ("reveal", [1], {**REVEAL, "name": ""})],
    "reveals to one twice": [X, SHARE, ("reveal", [1], {**REVEAL, "to": ["a", "a"]})],
    "an owner who is no party": [("column", [], {**COLUMN, "party": "eve"}), SHARE, ("reveal", [1], REVEAL)],
    "overflows": [("column", [], {**COLUMN, "high": 1 << 63}), SHARE, ("reveal", [1], REVEAL)],
    "a remainder of no rounding": [X, SHARE, ("remainder", [1, 1], {}), ("reveal", [2], REVEAL)],
    "a remainder of another's rounding": [
        X, SHARE, ("negate", [1], {}), ("rounded", [2], {"fraction": 0}), ("remainder", [1, 3], {}),
        ("reveal", [4], REVEAL),
    ],
    "overflows in between": [
        ("column", [], {**COLUMN, "high": 1 << 62}), ("add", [0, 0], {}), ("subtract", [1, 0], {}), ("share", [2], {}),
        ("reveal", [3], REVEAL),
    ],
}  # fmt: skip


def plan_of(steps, parties=("ada", "bob")) -> Plan:
    return Plan(tuple(parties), tuple(Step(op, tuple(inputs), params) for op, inputs, params in steps))


@pytest.mark.parametrize("case", INVALID)
def test_plans_that_must_not_run_are_refused(case: str) -> None:
    validate(plan_of([X, SHARE, ("reveal", [1], REVEAL)]))
    with pytest.raises(PlanError):
        validate(plan_of(INVALID[case]))


def test_plans_need_two_distinct_parties() -> None:
    steps = [X, SHARE, ("reveal", [1], REVEAL)]
    with pytest.raises(PlanError, match="two parties"):
        validate(plan_of(steps, ["ada"]))
    content = msgpack.unpackb(plan_of(steps).encode())
    for parties in ([], ["ada", "ada"], ["ada", 1], "ada", None):
        changed = read(msgpack.packb({**content, "parties": parties}))
        if changed is not None:
            with pytest.raises(PlanError):
                validate(changed)
    for changed in (
        {"format": 1},
        {"format": 3},
        *({"precision": bits} for bits in (0, 53, -1, True, 20.0, "20", None)),
    ):
        assert read(msgpack.packb({**content, **changed})) is None
    assert read(msgpack.packb({**content, "more": 1})) is None
