"""Joint computations over data that nobody may show: script, plan, cost, and the engine that runs it."""

from mpc import linear_model, stats
from mpc.computation import computation, settings
from mpc.elementwise import exp, log, reciprocal, rsqrt, sigmoid, sqrt, tanh
from mpc.errors import BeaverError, DataError, PlanError, ScriptError
from mpc.filters import histogram
from mpc.functions import absolute, concat, dot, matmul, maximum, minimum, noisy, reveal, sign, stack, where
from mpc.order import argsort, median, quantile, sort, top_k
from mpc.simulate import simulate
from mpc.undefined import UNDEFINED

__all__ = [
    "UNDEFINED",
    "BeaverError",
    "DataError",
    "PlanError",
    "ScriptError",
    "absolute",
    "argsort",
    "computation",
    "concat",
    "dot",
    "exp",
    "histogram",
    "linear_model",
    "log",
    "matmul",
    "maximum",
    "median",
    "minimum",
    "noisy",
    "quantile",
    "reciprocal",
    "reveal",
    "rsqrt",
    "settings",
    "sigmoid",
    "sign",
    "simulate",
    "sort",
    "sqrt",
    "stack",
    "stats",
    "tanh",
    "top_k",
    "where",
]
