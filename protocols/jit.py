"""Compiled loops: compiled once, then read from disk, and again when they or what they call have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

__all__ = ["compiled", "inner"]

_Loop = TypeVar("_Loop", bound=Callable[..., object])


def inner(loop: _Loop) -> _Loop:
    """A loop that compiled functions call."""
    return cast(_Loop, _jit(loop))


def compiled(*arguments: types.Type) -> Callable[[_Loop], _Loop]:
    """Compile now, for these arguments. A cache that cannot be used (read-only, full, damaged) costs time only."""

    def compile_loop(loop: _Loop) -> _Loop:
        def build(*, cache: bool) -> _Loop:
            jit = _jit(loop)
            if cache:
                jit._cache = _Cache(loop)
            jit.compile(types.void(*arguments))
            jit.disable_compile()
            return cast(_Loop, jit)

        try:
            return build(cache=True)
        except Exception:
            return build(cache=False)

    return compile_loop


def _jit(loop: Callable[..., object]) -> Any:
    return njit(nogil=True, error_model="numpy", boundscheck=False)(loop)


class _Cache(FunctionCache):
    """numba's, which by itself sees no change of what a loop calls where that stands in another file."""

    def __init__(self, loop: Callable[..., object]) -> None:
        super().__init__(loop)  # type: ignore[no-untyped-call]
        self._digest = hashlib.sha256("".join(_meaning(loop, set())).encode()).hexdigest()

    def _index_key(self, signature: object, codegen: object) -> tuple[object, ...]:
        return (*super()._index_key(signature, codegen), self._digest)  # type: ignore[no-untyped-call]


def _meaning(loop: Callable[..., object], told: set[Callable[..., object]]) -> Iterator[str]:
    """The code of a loop and of all that it calls, and the constants that these take from their modules."""
    told.add(loop)
    code = loop.__code__
    yield f"{code.co_code.hex()} {code.co_consts} {code.co_names}"
    for name in code.co_names:
        match loop.__globals__.get(name):
            case None | ModuleType():
                pass
            case Dispatcher() as called:
                if called.py_func not in told:
                    yield from _meaning(called.py_func, told)
            case np.ndarray() as table:
                yield f"{name} {table.dtype} {table.shape} {table.tobytes().hex()}"
            case constant:
                yield f"{name} {constant!r}"
