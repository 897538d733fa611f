"""The closed registry of operations that a plan may consist of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mpc.operations.arithmetic import Add, CumulativeSum, Divide, Matmul, Multiply, Negate, Subtract, Sum
from mpc.operations.base import Circuit, Function, Operation, Params, ProductOperation
from mpc.operations.comparison import Absolute, And, Equal, Less, Maximum, Minimum, Not, Where, Xor
from mpc.operations.inputs import ColumnInput, Constant, RowCount
from mpc.operations.moments import Comoment, Deviations, Mean
from mpc.operations.noise import Noisy
from mpc.operations.reductions import ArgMax, ArgMin, Max, Min
from mpc.operations.rounding import MatmulRounded, MultiplyRounded, Rescale
from mpc.operations.sharing import Reveal, Share
from mpc.operations.structure import Concat, Index, Reshape, Stack, Transpose

__all__ = ["OPERATIONS", "Circuit", "Function", "Operation", "Params", "ProductOperation"]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        operation.name: operation
        for operation in (
            ColumnInput(),
            RowCount(),
            Constant(),
            Add(),
            Subtract(),
            Negate(),
            Multiply(),
            Matmul(),
            Sum(),
            CumulativeSum(),
            Divide(),
            Concat(),
            Stack(),
            Index(),
            Reshape(),
            Transpose(),
            Less(),
            Equal(),
            And(),
            Xor(),
            Not(),
            Where(),
            Absolute(),
            Minimum(),
            Maximum(),
            Min(),
            Max(),
            ArgMin(),
            ArgMax(),
            Mean(),
            Deviations(),
            Comoment(),
            Rescale(),
            MultiplyRounded(),
            MatmulRounded(),
            Noisy(),
            Share(),
            Reveal(),
        )
    }
)
