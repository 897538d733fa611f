"""Joint computations over data that nobody may show: script, plan, cost, and the engine that runs it."""

from mpc.computation import computation, settings
from mpc.elementwise import exp, log, reciprocal, rsqrt, sigmoid, sqrt, tanh
from mpc.errors import BeaverError, DataError, PlanError, ScriptError
from mpc.filters import histogram
from mpc.functions import absolute, concat, dot, matmul, maximum, minimum, noisy, reveal, sign, stack, where
from mpc.simulate import simulate

__all__ = [
    "BeaverError",
    "DataError",
    "PlanError",
    "ScriptError",
    "absolute",
    "computation",
    "concat",
    "dot",
    "exp",
    "histogram",
    "log",
    "matmul",
    "maximum",
    "minimum",
    "noisy",
    "reciprocal",
    "reveal",
    "rsqrt",
    "settings",
    "sigmoid",
    "sign",
    "simulate",
    "sqrt",
    "stack",
    "tanh",
    "where",
]
