"""The closed registry of operations that a plan may consist of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mpc.operations.arithmetic import Add, Divide, Matmul, Multiply, Negate, Subtract, Sum
from mpc.operations.base import Operation, Params, ProductOperation
from mpc.operations.inputs import ColumnInput, Constant, RowCount
from mpc.operations.sharing import Reveal, Share
from mpc.operations.structure import Concat, Index, Reshape, Stack, Transpose

__all__ = ["OPERATIONS", "Operation", "Params", "ProductOperation"]

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
            Divide(),
            Concat(),
            Stack(),
            Index(),
            Reshape(),
            Transpose(),
            Share(),
            Reveal(),
        )
    }
)
