"""Computations: what they return, to whom, over which ranges, and how a script is loaded."""

import numpy as np
import pytest

import mpc
from mpc.computation import load
from mpc.errors import DataError, PlanError, ScriptError
from mpc.simulate import schema_of

K = np.arange(1, 13)
DATA = {"ada": {"t": {"k": K}}, "bob": {"u": {"k": K[::-1]}}}
SCHEMA = schema_of(DATA, {})


def run(function, **options):
    return mpc.simulate(mpc.computation(function), DATA, **options)


def k(data):
    return data.party("ada")["t"]["k"]


RETURNS = {
    "a number": (lambda d: 5, "int for 'result'"),
    "None": (lambda d: None, "NoneType"),
    "an empty dict": (lambda d: {}, "nothing"),
    "a list": (lambda d: [k(d)], "list"),
    "one name twice": (lambda d: {1: k(d), "1": k(d)}, "two results are called '1'"),
    "a result's name": (lambda d: {"": k(d)}, "cannot be a result's name"),
    "a result's long name": (lambda d: {"a" * 65: k(d)}, "cannot be a result's name"),
    "reveal of a number": (lambda d: mpc.reveal(5), "takes a secret value"),
    "recipients": (lambda d: mpc.reveal(k(d), to=[1]), "not a name"),
    "no names": (lambda d: mpc.reveal(k(d), to=7), "not a name"),
}


@pytest.mark.parametrize("case", RETURNS)
def test_only_secret_values_are_returned_under_names(case: str) -> None:
    function, message = RETURNS[case]
    with pytest.raises(ScriptError, match=message):
        run(function)


def test_results_have_names_and_recipients() -> None:
    result = run(lambda d: {"a": k(d).sum(), 2: mpc.reveal(k(d), to=["zed", "ada"]), "c": mpc.reveal(k(d), to="bob")})
    assert dict(result).keys() == {"a", "2", "c"}
    plan = mpc.computation(lambda d: {"a": k(d), "b": mpc.reveal(k(d), to=["zed", "ada", "zed"])}).plan(SCHEMA, "me")
    assert {step.params["name"]: step.params["to"] for _, step in plan.of("reveal")} == {
        "a": ["me"],
        "b": ["ada", "zed"],
    }
    assert dict(run(lambda d: k(d).sum())) == {"result": 78}


def test_a_value_shows_its_shape_only() -> None:
    seen = []
    mpc.computation(lambda d: seen.append(repr(k(d))) or k(d)).plan(SCHEMA)
    assert seen == ["<secret integer value of shape (12,), Private(owner='ada')>"]


def test_one_party_is_no_joint_computation() -> None:
    with pytest.raises(ScriptError, match="at least two parties"):
        mpc.simulate(k, {"ada": DATA["ada"]})


def test_ranges_of_a_simulation_are_checked() -> None:
    for bad in ((0, 2**70), (3, 1), (np.nan, 1)):
        with pytest.raises(DataError, match="not a range"):
            run(k, ranges={"ada": {"t": {"k": bad}}})
    with pytest.raises(DataError, match=r"ada\.t\.q"):
        run(k, ranges={"ada": {"t": {"q": (0, 1)}}})
    assert run(lambda d: k(d).sum(), ranges={"ada": {"t": {"k": (np.int64(0), np.float64(12.5))}}})["result"] == 78
    with pytest.raises(PlanError, match="overflow"):
        run(lambda d: k(d).sum(), ranges={"ada": {"t": {"k": (0, 2**62)}}})


ONE = "@mpc.computation\ndef one(data):\n    return data.party('ada')['t']['k'].sum()\n"
TWO = ONE + ONE.replace("one", "two")

LOADING = {
    "nothing": ("x = 1\n", None, "holds no computation.*@mpc.computation"),
    "two": (TWO, None, "several computations: one, two.*:one"),
    "unknown": (TWO, "three", "no computation 'three'.*one, two"),
    "syntax": ("def (:\n", None, "does not run: .*SyntaxError"),
    "raises": ("\n1 / 0\n", None, r"does not run: script.py:3: ZeroDivisionError"),
    "exits": ("raise SystemExit(3)\n", None, "does not run: .*SystemExit"),
    "not a function": ("mpc.computation(5)\n", None, "decorates a function"),
    "zero bytes": ("\0", None, "does not run"),
}


@pytest.mark.parametrize("case", LOADING)
def test_a_script_that_cannot_be_loaded_says_why(case: str, tmp_path) -> None:
    text, name, message = LOADING[case]
    script = tmp_path / "script.py"
    script.write_text("import mpc\n" + text)
    with pytest.raises(ScriptError, match=f"(?s){message}"):
        load(script, name)


def test_scripts_are_loaded_by_name(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import mpc\n" + TWO)
    assert mpc.simulate(load(script, "two"), DATA)["result"] == 78
    script.write_text("import mpc\n" + ONE.replace("sum()", "sum(axis=3)"))
    with pytest.raises(ScriptError, match=r"script.py:4: there is no axis 3"):
        mpc.simulate(load(str(script)), DATA)
    for missing in (tmp_path / "none.py", tmp_path):
        with pytest.raises(ScriptError, match="there is no script"):
            load(missing)
    other = tmp_path / "script.txt"
    other.write_text(ONE)
    with pytest.raises(ScriptError, match="not a Python file"):
        load(other)
