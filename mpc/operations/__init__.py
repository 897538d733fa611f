"""The closed registry of operations that a plan may consist of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mpc.operations.arithmetic import Add, CumulativeSum, Divide, Matmul, Multiply, Negate, Subtract, Sum
from mpc.operations.base import Circuit, Function, Operation, Params, ProductOperation
from mpc.operations.comparison import Absolute, And, Equal, Less, Maximum, Minimum, Not, Where, Xor
from mpc.operations.functions import Exp, Log, Quotient, Reciprocal, Rsqrt, Sigmoid, Sqrt, Tanh
from mpc.operations.inputs import ColumnInput, Constant, RowCount
from mpc.operations.moments import Comoment, Deviations, Mean
from mpc.operations.noise import Noisy
from mpc.operations.order import ArgSort, Quantile, Sort
from mpc.operations.ratio import Ratio
from mpc.operations.reductions import ArgMax, ArgMin, Max, Min
from mpc.operations.rounding import MatmulRounded, MultiplyRounded, Rescale
from mpc.operations.sample import Sample
from mpc.operations.sharing import Reveal, Share
from mpc.operations.structure import Concat, Index, Reshape, Stack, Transpose
from mpc.operations.systems import Correlations, Inverse, LongProduct, Remainder, Rounded, Solution, Step

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
            Sort(),
            ArgSort(),
            Quantile(),
            Mean(),
            Deviations(),
            Comoment(),
            Correlations(),
            Inverse(),
            Solution(),
            LongProduct(),
            Rounded(),
            Remainder(),
            Step(),
            Quotient(),
            Ratio(),
            Reciprocal(),
            Sqrt(),
            Rsqrt(),
            Exp(),
            Log(),
            Sigmoid(),
            Tanh(),
            Rescale(),
            MultiplyRounded(),
            MatmulRounded(),
            Noisy(),
            Sample(),
            Share(),
            Reveal(),
        )
    }
)
