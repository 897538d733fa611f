"""A joint computation: a function of the data, recorded once for a schema, that becomes a plan."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mpc.data import Data
from mpc.errors import BeaverError, ScriptError
from mpc.functions import Revealed
from mpc.passes import Graph, Output, compile_plan
from mpc.plan import MOST_PRECISION, PRECISION, Plan
from mpc.schema import Schema
from mpc.trace import PACKAGE, Trace
from mpc.undefined import MARK
from mpc.values import Value, record

__all__ = ["Computation", "computation", "load", "settings"]


class Computation:
    """What `@mpc.computation` makes of a function. It computes nothing until it is planned and run."""

    def __init__(self, function: Callable[[Data], Any], precision: int = PRECISION) -> None:
        self.function = function
        self.precision = precision
        self.name = function.__name__
        self.__doc__ = function.__doc__

    def plan(self, schema: Schema, analyst: str = "analyst", precision: int | None = None) -> Plan:
        """The plan for tables with this schema; results go to `analyst` unless the script says otherwise.

        `precision`: the significant bits, relative to its range, that every real value keeps at least, and the accuracy
        of functions; without it the computation's own.
        Raises ScriptError for what a script cannot say, PlanError for a plan that could overflow.
        """
        trace = Trace()
        outputs = []
        for name, revealed in _outputs(self._recorded(Data(schema, trace))).items():
            if not 1 <= len(name) < 64 or name.endswith(MARK):
                raise ScriptError(f"{name[:64]!r} cannot be a result's name", "Use 1 to 63 characters, the last no ?.")
            to = tuple(sorted(set(revealed.to or (analyst,))))
            value, flag = revealed.value.without_unit(), revealed.value.defined
            if flag is not None:
                value = record("where", flag, value, 0)
                outputs.append(Output(name + MARK, flag.step, to))
            unit = b"" if revealed.value.unit is None else revealed.value.unit.astype("<f8").tobytes()
            outputs.append(Output(name, value.step, to, unit))
        return compile_plan(schema, Graph(trace, tuple(outputs)), precision or self.precision)

    def _recorded(self, data: Data) -> Any:
        """What the script returns. Its mistakes become ScriptErrors that tell the script's line."""
        try:
            return self.function(data)
        except BeaverError as error:
            raise type(error)(f"{_where(error)}{error.message}", error.remedy) from None
        except Exception as error:
            raise ScriptError(f"{_where(error)}{type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return f"<computation {self.name}>"


def computation(function: Callable[[Data], Any]) -> Computation:
    """Declare a joint computation: a function of `data` that returns one secret value or a dict of them."""
    if not callable(function):
        raise ScriptError("@mpc.computation decorates a function of one argument, `data`")
    return Computation(function)


def settings(*, precision: int) -> Callable[[Callable[[Data], Any] | Computation], Computation]:
    """Decorate a computation: `precision` significant bits (20 unless said) at least, in every real value."""
    if not isinstance(precision, int) or not 1 <= precision <= MOST_PRECISION:
        raise ScriptError(f"mpc.settings: the precision {precision!r} is not 1 to {MOST_PRECISION} bits")

    def set_for(function: Callable[[Data], Any] | Computation) -> Computation:
        return Computation(function.function if isinstance(function, Computation) else function, precision)

    return set_for


def load(path: str | Path, name: str | None = None) -> Computation:
    """The computation in a script: the only one, or the one with this name. Runs the script's Python, here only."""
    path = Path(path)
    if not path.is_file():
        raise ScriptError(f"there is no script {path}", "Name a Python file that defines an @mpc.computation.")
    spec = importlib.util.spec_from_file_location(f"joint_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ScriptError(f"{path} is not a Python file", "Name a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BeaverError:
        raise
    except (Exception, SystemExit) as error:
        raise ScriptError(f"{path} does not run: {_where(error)}{type(error).__name__}: {error}") from error
    found = {value.name: value for value in vars(module).values() if isinstance(value, Computation)}
    if not found:
        raise ScriptError(f"{path} holds no computation", "Put @mpc.computation above a function that takes `data`.")
    if name is None and len(found) > 1:
        raise ScriptError(
            f"{path} holds several computations: {', '.join(found)}", f"Name one: {path}:{next(iter(found))}"
        )
    if name is not None and name not in found:
        raise ScriptError(f"{path} holds no computation {name!r}", f"It holds: {', '.join(found)}.")
    return found[name or next(iter(found))]


def _outputs(returned: Any) -> Mapping[str, Revealed]:
    outputs = returned if isinstance(returned, dict) else {"result": returned}
    if not outputs:
        raise ScriptError("the computation returns nothing", "Return a value, or a dict of values.")
    revealed: dict[str, Revealed] = {}
    for name, value in outputs.items():
        if isinstance(value, Value):
            value = Revealed(value, ())
        if not isinstance(value, Revealed):
            raise ScriptError(
                f"the computation returns {type(value).__name__} for {name!r}, which is no secret value",
                "Return values made from `data`, one or a dict of them.",
            )
        if str(name) in revealed:
            raise ScriptError(f"two results are called {str(name)!r}", "Give every result a name of its own.")
        revealed[str(name)] = value
    return revealed


def _where(error: BaseException) -> str:
    """The last line of the script that an error came through, if it is one outside this package."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(PACKAGE)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""
