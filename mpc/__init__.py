"""Joint computations over data that nobody may show: script, plan, cost, and the engine that runs it."""

from mpc.computation import computation
from mpc.errors import BeaverError, DataError, PlanError, ScriptError
from mpc.functions import concat, dot, matmul, reveal, stack
from mpc.simulate import simulate

__all__ = [
    "BeaverError",
    "DataError",
    "PlanError",
    "ScriptError",
    "computation",
    "concat",
    "dot",
    "matmul",
    "reveal",
    "simulate",
    "stack",
]
