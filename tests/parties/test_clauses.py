"""Every clause of the agreement is kept by the owner's node alone: just inside runs, just outside is refused.

South, west and the dealer are altered to check nothing, and so is the analyst's program; only north is as it should be.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.computation import Computation
from mpc.operations import OPERATIONS
from mpc.plan import Plan
from mpc.result import Result
from mpc.schema import Column, Schema, Table
from parties import policy
from parties.agreement import Agreement
from parties.client import Analyst
from parties.config import PartyConfig
from parties.ledger import Ledger
from parties.terms import KINDS

sys.path.insert(0, str(Path(__file__).parent))
from consortium import BALANCES, EXPOSURE, PARTIES, TABLES, TOTAL, Running, exposure, refused, total
from forked import Piped

HERE = [sys.executable, str(Path(__file__).with_name("altered_node.py")), "lax"]

AGREEMENT = """
version = 1
purpose = "tests of every clause"
parties = ["north", "south", "west"]
source = "dealer"
min_rows = 10
recipients = ["analyst", "north"]
operations = ["counts", "sums", "products"]

[outputs]
result = ["analyst", "north"]
mean = ["analyst"]

[retention]
results_days = 30

[data.north.visits]
rows = 30
[data.north.visits.columns]
visits = { type = "integer", range = [0, 30] }
age = { type = "real", range = [20.0, 50.0] }
[data.north.accounts]
rows = 40
budget = { epsilon = 1e12 }
exact_results = 1
[data.north.accounts.columns]
balance = { type = "integer", range = [-100, 300000000] }
[data.south.policies]
rows = 40
[data.south.policies.columns]
risk = { type = "integer", range = [0, 5] }
[data.south.visits]
rows = 30
columns.visits = { type = "integer", range = [0, 30] }
[data.west.visits]
rows = 30
columns.visits = { type = "integer", range = [0, 30] }
"""


class AlteredAnalyst(Analyst):
    """Submits whatever plan the test makes, and checks nothing before."""

    def __init__(self, running: Running, plan: Plan) -> None:
        super().__init__(PartyConfig.load(running.folder / "analyst" / "party.toml"))
        self._made = plan

    def plan(self, computation: Computation, rows: object = None) -> Plan:
        return self._made

    def check_in_force(self) -> None:
        pass

    def _catalog(self, client: object) -> dict[str, dict[str, int]]:
        return {}


def submit(running: Running, plan: Plan) -> Result:
    patched = pytest.MonkeyPatch()
    patched.setattr(policy, "check_all", lambda *_: None)
    try:
        return AlteredAnalyst(running, plan).run(Computation(total))
    finally:
        patched.undo()


def consortium(folder: Path, text: str) -> Running:
    """Everybody but north is altered."""
    tables: dict[str, dict[str, Mapping[str, Any]]] = {party: dict(held) for party, held in TABLES.items()}
    visits = tables["north"]["visits"]
    tables["north"] |= {"visits": {**visits, "salary": list(range(30))}, "diagnoses": {"x": list(range(30))}}
    running = Running(folder, tables)
    (running.folder / "agreement.toml").write_text(text)
    running.sign()
    running.programs = dict.fromkeys(("dealer", "south", "west"), HERE)
    return running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with consortium(tmp_path_factory.mktemp("clauses") / "c", AGREEMENT) as running:
        yield running.start()
        for member in running.members:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def schema(running: Running, *, rows: int = 30, extra: str = "", **columns: Column) -> Schema:
    """As agreed, but north's visits have these columns and so many rows, and there may be one more table."""
    agreed = {party: dict(tables) for party, tables in running.analyst().agreement.schema().items()}
    visits = agreed["north"]["visits"]
    agreed["north"]["visits"] = Table(rows, {**visits.columns, **columns})
    if extra:
        agreed["north"][extra] = Table(30, {"x": Column("integer", 0, 30)})
    return agreed


def column(name: str, table: str = "visits") -> Callable[[Any], Any]:
    return lambda data: data.party("north")[table][name].sum()


def weighted(ones: int) -> Callable[[Any], Any]:
    """The sum of the first rows, with weights that stand in the plan."""
    return lambda data: data.party("north")["visits"]["visits"] @ ([1] * ones + [0] * (30 - ones))


def power(k: int) -> Callable[[Any], Any]:
    def script(data: Any) -> Any:
        x = y = data.party("north")["visits"]["visits"]
        for _ in range(k - 1):
            y = y * x
        return y.sum()

    return script


def noisy(epsilon: float, table: str, name: str) -> Callable[[Any], Any]:
    return lambda data: mpc.noisy(data.party("north")[table][name].sum(), epsilon)


def named(**results: Any) -> Callable[[Any], Any]:
    return lambda data: {name: total(data) for name in results}


Outside = tuple[Callable[[Any], Any], dict[str, Any]]
Inside = tuple[Callable[[Any], Any], int]
CASES: dict[str, tuple[str, Inside, Outside]] = {
    # case: clause, (script just inside, result), (script just outside, how its schema differs)
    "table": (
        "data",
        (column("visits"), 435),
        (column("x", "diagnoses"), {"extra": "diagnoses"}),
    ),
    "column": ("data", (column("visits"), 435), (column("salary"), {"salary": Column("integer", 0, 30)})),
    "type": ("data", (column("visits"), 435), (column("visits"), {"visits": Column("real", 0.0, 30.0)})),
    "wider range": ("data", (column("visits"), 435), (column("visits"), {"visits": Column("integer", 0, 31)})),
    "narrower range": ("data", (column("visits"), 435), (column("visits"), {"visits": Column("integer", 0, 29)})),
    "rows": ("data", (column("visits"), 435), (column("visits"), {"rows": 31})),
    "rows counted": (
        "data",
        (lambda data: data.party("north")["visits"].count(), 30),
        (lambda data: data.party("north")["visits"].count(), {"rows": 31}),
    ),
    "operations": (
        "operations",
        (lambda data: data.party("north")["visits"]["visits"] @ data.party("north")["visits"]["visits"], 8555),
        (lambda data: data.party("north")["visits"]["visits"][:20].sum(), {}),
    ),
    "recipients": (
        "recipients",
        (lambda data: mpc.reveal(total(data), to=["analyst", "north"]), TOTAL),
        (lambda data: mpc.reveal(total(data), to=["analyst", "south"]), {}),
    ),
    "outputs": ("outputs", (total, TOTAL), (named(result=1, more=1), {})),
    "recipients of an output": (
        "outputs",
        (lambda data: {"mean": total(data), "result": total(data)}, TOTAL),
        (lambda data: {"mean": mpc.reveal(total(data), to="north"), "result": total(data)}, {}),
    ),
    "min_rows": ("min_rows", (weighted(10), 45), (weighted(9), {})),
    "differences within a plan": (
        "min_rows, of differences",
        (lambda data: {"mean": weighted(10)(data), "result": weighted(20)(data)}, 190),
        (lambda data: {"mean": weighted(10)(data), "result": weighted(19)(data)}, {}),
    ),
    "differences from earlier results": ("earlier results", (weighted(10), 45), (weighted(11), {})),
    "exact results": (
        "exact_results",
        (column("balance", "accounts"), sum(BALANCES)),
        (lambda data: dict.fromkeys(("mean", "result"), column("balance", "accounts")(data)), {}),
    ),
    "exact results, with earlier ones": (
        "earlier results",
        (column("balance", "accounts"), sum(BALANCES)),
        (lambda data: -column("balance", "accounts")(data), {}),
    ),
    "budget": (
        "budget",
        (noisy(1e12, "accounts", "balance"), sum(BALANCES)),
        (noisy(1e12 + 1, "accounts", "balance"), {}),
    ),
    "no budget": ("budget", (column("visits"), 435), (noisy(0.1, "visits", "visits"), {})),
    "degree": ("every agreement", (power(2), 8555), (power(3), {})),
}


@pytest.mark.parametrize("case", CASES)
def test_just_inside_runs_and_just_outside_is_refused_by_the_owner_alone(running: Running, case: str) -> None:
    clause, (inside, expected), (outside, differences) = CASES[case]
    assert submit(running, Computation(inside).plan(schema(running)))["result"] == expected
    plan = Computation(outside).plan(schema(running, **differences))
    with refused("PLAN_REFUSED", "north refuses the plan", f"({clause})") as faults:
        submit(running, plan)
    (fault,) = faults
    assert fault.report.party == "north"
    assert fault.report.phase == "plan"
    reasons = fault.message.removeprefix("north refuses the plan: ").split("; ")
    assert all(reason.startswith("step ") for reason in reasons if f"({clause})" in reason), reasons


def test_a_refusal_lists_every_reason(running: Running) -> None:
    def script(data: Any) -> Any:
        north = data.party("north")["visits"]
        return {
            "other": mpc.reveal(north["visits"][:9].sum(), to="south"),
            "mean": mpc.reveal(north["salary"].sum(), to="north"),
        }

    plan = Computation(script).plan(schema(running, rows=31, salary=Column("integer", 0, 30)))
    with refused("PLAN_REFUSED") as faults:
        submit(running, plan)
    clauses = {reason.rpartition("(")[2].rstrip(")") for reason in faults[0].message.split("; ")}
    assert clauses == {"data", "operations", "recipients", "outputs", "min_rows"}
    assert faults[0].message.count("31 rows, the agreement allows 30") == 2
    assert "salary is not in the agreement" in faults[0].message


def test_explain_and_the_analysts_program_say_the_same(running: Running) -> None:
    """Word for word, and the line of the script besides."""
    script = running.script(
        "@mpc.computation\ndef few(data):\n    return data.party('north')['visits']['age'][:9].sum()\n"
    )
    plan = Computation(lambda data: data.party("north")["visits"]["age"][:9].sum()).plan(schema(running))
    with refused("PLAN_REFUSED") as faults:
        submit(running, plan)
    reasons = faults[0].message.removeprefix("north refuses the plan: ").split("; ")
    said = [reason for reason in reasons if "(earlier results)" not in reason]  # which only the node can tell
    shown = [line.removeprefix("north will refuse: ") for line in running.beaver("explain", script).stdout.splitlines()]
    explained = [line for line in shown if line.startswith("step ") and "(earlier results)" not in line]
    assert all("script.py:5)" in line for line in explained)
    assert [line.replace(", script.py:5)", ")") for line in explained] == said
    program = running.beaver("run", script)
    assert all(f"north: {line}" in program.stderr for line in explained)
    assert not program.stdout


def test_results_are_forgotten_when_their_time_is_over(running: Running) -> None:
    folder = running.folder / "north" / "results"
    for old in folder.glob("*.json"):
        old.unlink()
    plan = Computation(lambda data: mpc.reveal(total(data), to="north")).plan(schema(running))
    for _ in range(2):
        submit(running, plan)
    first, second = folder.glob("*.json")
    (folder / "notes.json").write_text("the owner's own")
    for path, age in ((first, 30 * 86400 + 60), (second, 30 * 86400 - 3600), (folder / "notes.json", 10**8)):
        os.utime(path, (time.time() - age,) * 2)
    running.kill("north", signal.SIGTERM)
    running.start("north")
    assert {path.name for path in folder.iterdir()} == {second.name, "notes.json"}


def test_named_computations_and_no_others(tmp_path: Path) -> None:
    with consortium(tmp_path / "c", AGREEMENT) as running:
        inside = Computation(total).plan(schema(running))
        running.terms(("[retention]", f'[computations]\nvisits = "{inside.digest.hex()}"\n\n[retention]'))
        running.start()
        assert submit(running, inside)["result"] == TOTAL
        outside = Computation(lambda data: total(data) + 1).plan(schema(running))
        with refused("PLAN_REFUSED", "none of the agreed computations, visits (computations)"):
            submit(running, outside)


def test_uses_are_counted_before_they_are_made_and_stay_counted(tmp_path: Path) -> None:
    with consortium(tmp_path / "c", AGREEMENT) as running:
        running.terms(("min_rows = 10", "min_rows = 10\nuses = 3"))
        running.start()
        plan = Computation(total).plan(schema(running))
        assert submit(running, plan)["result"] == TOTAL
        with refused("PLAN_REFUSED"):
            submit(running, Computation(weighted(9)).plan(schema(running)))  # counts for nothing
        assert submit(running, plan)["result"] == TOTAL
        running.kill("north", signal.SIGKILL)
        running.start("north")
        assert submit(running, Computation(exposure).plan(schema(running)))["result"] == EXPOSURE
        with refused("PLAN_REFUSED", "would be computation 4, 3 are agreed (uses)"):
            submit(running, plan)
        script = running.script("@mpc.computation\ndef rows(data):\n    return data.party('north')['visits'].count()\n")
        shown = running.beaver("explain", script).stdout
        assert "north will refuse: the plan would be computation 4, 3 are agreed (uses)" in shown
        assert "south will refuse" not in shown  # it is altered


USING = """
import sys
from contextlib import suppress
from pathlib import Path
from parties.errors import Fault
from parties.ledger import Ledger
ledger, made = Ledger(Path(sys.argv[1])), 0
with suppress(Fault):
    while True:
        ledger.use("digest", 17, "s")
        made += 1
print(made)
"""


def test_racing_processes_make_no_more_uses_than_agreed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    using = [Piped("-c", USING, str(path)) for _ in range(3)]
    assert sum(int(process.communicate()) for process in using) == 17
    ledger = Ledger(path)
    with refused("USES_EXHAUSTED", "17 computations"):
        ledger.use("digest", 17, "s")
    ledger.use("another", 1, "s")
    assert (ledger.uses("digest"), ledger.uses("another"), ledger.uses("third")) == (17, 1, 0)


def test_material_comes_from_where_it_was_agreed(tmp_path: Path) -> None:
    """Agreed among the parties themselves, a dealer is not even there."""
    with consortium(tmp_path / "c", AGREEMENT) as running:
        running.terms(('source = "dealer"', 'source = "pairwise"'))
        running.start(*PARTIES)
        assert submit(running, Computation(exposure).plan(schema(running)))["result"] == EXPOSURE


def test_every_operation_is_of_one_kind_or_computes_nothing() -> None:
    kinds = [operation for operations in KINDS.values() for operation in operations]
    assert sorted([*kinds, *policy.ARRANGING]) == sorted(OPERATIONS)


SCHEMA: Schema = {
    party: {"t": Table(30, {"x": Column("integer", 0, 9), "y": Column("real", 0.0, 1.0)})} for party in PARTIES
}
NAMES = ("analyst", "ana", "north", "south")
Spec = list[dict[str, Any]]
"""Results: what is computed (`of`), over how many rows of a column of north, to whom."""


def build(spec: Spec) -> Plan:
    def script(data: Any) -> dict[str, Any]:
        table = data.party("north")["t"]
        results = {}
        for i, result in enumerate(spec):
            x, rows = table[result["column"]], result["rows"]
            value = {
                "sum": lambda x=x, rows=rows: x[:rows].sum(),
                "all": lambda x=x: x.sum(),
                "count": table.count,
                "square": lambda x=x: x @ x,
                "cube": lambda x=x: (x * x) @ x,
                "noisy": lambda x=x: mpc.noisy(x.sum(), 0.5),
                "above": lambda x=x: (x > 0).sum(),
                "elsewhere": lambda: data.party("south")["t"]["x"].sum(),
            }[result["of"]]()
            results["abc"[i]] = mpc.reveal(value, to=result["to"])
        return results

    return Computation(script).plan(SCHEMA, analyst="analyst")


def reference(spec: Spec, plan: Plan, terms: dict[str, Any], uses: int) -> set[str]:
    """The clauses that north has against it, read off the words of the agreement."""
    broken = {"uses"} if uses >= terms.get("uses", uses + 1) else set()
    if terms["computations"] and plan.digest.hex() not in terms["computations"].values():
        broken.add("computations")
    needs = {"sum": {"sums", "choices"}, "count": {"counts"}, "above": {"sums", "comparisons"}}
    needs |= {of: {"sums"} for of in ("all", "elsewhere", "noisy")}
    held = terms["data"]["north"].get("t", {"rows": 0, "columns": {}})
    exact = [r for r in spec if r["of"] not in ("elsewhere", "noisy")]
    sets = {30 if r["of"] != "sum" else r["rows"] for r in exact}
    noised = {r["column"] for r in spec if r["of"] == "noisy"}  # the same noised value twice is one
    if noised and held.get("budget", {"epsilon": 0})["epsilon"] < 0.5 * len(noised):
        broken.add("budget")
    if len(exact) > held.get("exact_results", len(exact)):
        broken.add("exact_results")
    if any(0 < abs(one - other) < terms["min_rows"] for one in sets for other in sets):
        broken.add("min_rows, of differences")
    for name, result in zip("abc", spec, strict=False):
        if "operations" in terms and not needs.get(result["of"], {"products"}) <= set(terms["operations"]):
            broken.add("operations")
        touched = [] if result["of"] == "elsewhere" else ["x"] if result["of"] == "count" else [result["column"]]
        agreed = {"x": {"type": "integer", "range": [0, 9]}, "y": {"type": "real", "range": [0.0, 1.0]}}
        if touched and (
            held["rows"] < 30 or (result["of"] != "count" and held["columns"].get(*touched) != agreed[touched[0]])
        ):
            broken.add("data")
        if not set(result["to"]) <= set(terms["recipients"]) or "ana" in result["to"]:
            broken.add("recipients")
        if terms["outputs"] and not set(result["to"]) <= set(terms["outputs"].get(name, [])):
            broken.add("outputs")
        if touched and (result["rows"] if result["of"] == "sum" else 30) < terms["min_rows"] and result in exact:
            broken.add("min_rows")
        if result["of"] == "cube" and terms["min_rows"] > 1:  # else the squares of single rows could be revealed
            broken.add("every agreement")
        rounded = (result["of"], result["column"]) == ("square", "y")  # by the owner, of too few rows
        if rounded and terms["min_rows"] > 30 and not terms.get("row_conditions", False):
            broken.add("every agreement")
        if result["of"] == "above" and not terms.get("row_conditions", False) and terms["min_rows"] > 1:
            broken.add("every agreement")
    return broken


people = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
specs = st.lists(
    st.fixed_dictionaries(
        {
            "of": st.sampled_from(["sum", "all", "count", "square", "cube", "elsewhere", "noisy", "noisy", "above"]),
            "column": st.sampled_from("xy"),
            "rows": st.integers(1, 29),
            "to": people,
        }
    ),
    min_size=1,
    max_size=3,
)
tables = st.fixed_dictionaries(
    {
        "rows": st.sampled_from([29, 30, 30, 30, 31]),
        "columns": st.fixed_dictionaries(
            {},
            optional={
                "x": st.sampled_from(
                    [{"type": "integer", "range": [0, 9]}] * 2
                    + [{"type": "integer", "range": [0, 10]}, {"type": "real", "range": [0.0, 9.0]}]
                ),
                "y": st.sampled_from(
                    [{"type": "real", "range": [0.0, 1.0]}] * 4 + [{"type": "real", "range": [0.0, 0.5]}]
                ),
            },
        ),
    },
    optional={
        "budget": st.fixed_dictionaries({"epsilon": st.sampled_from([0.4, 0.5, 0.9, 1.0])}),
        "exact_results": st.integers(0, 3),
    },
)


@st.composite
def agreements(draw: st.DrawFn) -> dict[str, Any]:
    recipients = draw(people)
    some = st.lists(st.sampled_from(recipients), min_size=1, unique=True)
    return {
        "version": 1,
        "purpose": "anything",
        "source": "dealer",
        "recipients": recipients,
        "min_rows": draw(st.sampled_from([1, 10, 15, 30, 31])),
        "outputs": draw(st.one_of(st.just({}), st.dictionaries(st.sampled_from("abc"), some, min_size=1))),
        "computations": draw(st.sampled_from([{}, {}, {}, {"this": "this"}, {"other": "0" * 64}])),
        "data": {"north": draw(st.one_of(st.just({}), *[st.fixed_dictionaries({"t": tables})] * 4))},
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "row_conditions": st.booleans(),
                    "uses": st.integers(1, 3),
                    "operations": st.lists(st.sampled_from(list(KINDS)), unique=True),
                },
            )
        ),
    }


@settings(max_examples=300, deadline=None)
@given(specs, agreements(), st.integers(0, 3))
def test_the_verdict_is_that_of_the_reference_reading(spec: Spec, terms: dict[str, Any], uses: int) -> None:
    plan = build(spec)
    if "this" in terms["computations"]:
        terms = {**terms, "computations": {"this": plan.digest.hex()}}
    agreement = Agreement.model_validate(terms)
    case = policy.Case(plan, agreement, "north", PARTIES, "analyst", uses)
    said = {reason.rpartition("(")[2].rstrip(")") for reason in policy.refusals(case)}
    assert said == reference(spec, plan, terms, uses)
    if said:
        with refused("PLAN_REFUSED"):
            policy.check(case)
    else:
        policy.check(case)
