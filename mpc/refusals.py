"""What a value that nobody may see does not do, and what to write instead."""

from __future__ import annotations

from typing import Any, NoReturn

from mpc.errors import ScriptError

__all__ = ["Secret", "refuse", "unsupported"]


class Secret:
    """The parts of Python's number and sequence protocols that would show a value, or that shares cannot do."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        refuse("`if`, `while`, `and`, `or` and `not`", "Compute both outcomes with arithmetic instead of branching.")

    def __float__(self) -> NoReturn:
        refuse("float()", "Return the value from the computation; the result holds the number.")

    def __int__(self) -> NoReturn:
        refuse("int()", "Return the value from the computation; the result holds the number.")

    __index__ = __int__

    def __iter__(self) -> NoReturn:
        refuse("iteration", "Work on whole arrays: `x.sum()`, `x * y`; columns of a matrix are `x[:, j]`.")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse("conversion to a numpy array", "Use the methods of the value and the functions of `mpc`.")

    def __floordiv__(self, other: object) -> NoReturn:
        unsupported("whole quotients, `//`", "Divide by `/`, or count by classes: mpc.histogram, or x >= 10.")

    __mod__ = __rfloordiv__ = __rmod__ = __divmod__ = __floordiv__

    def __round__(self, digits: int | None = None) -> NoReturn:
        unsupported("rounding", "Round the result: round(result['name'], 2).")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        here = ", ".join(sorted(n for n in dir(type(self)) if not n.startswith("_")))
        raise ScriptError(f"a secret value has no `{name}`", f"It has: {here}; and + - * / @ and indexing.")


def refuse(what: str, remedy: str) -> NoReturn:
    raise ScriptError(f"a secret value does not allow {what}: nobody may see it", remedy)


def unsupported(what: str, remedy: str) -> NoReturn:
    raise ScriptError(f"not possible yet: {what}", remedy)
