"""Results that may mean nothing, such as the mean of no rows: a secret flag goes with them until they are revealed.

A flag has the shape of its value, or none. It is revealed beside its value, under the same name and MARK, and a value
whose flag does not hold is revealed as 0 and handed to its recipient as `UNDEFINED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["MARK", "UNDEFINED", "Undefined", "settled"]

MARK = "?"
"""What a flag's name ends with."""


class Undefined:
    """What stands in a result for a number that does not exist."""

    def __repr__(self) -> str:
        return "undefined (no rows, or nothing to divide by)"

    def __bool__(self) -> bool:
        return False


UNDEFINED = Undefined()


def settled(results: Mapping[str, Any]) -> dict[str, Any]:
    """Results without their flags: UNDEFINED, or masked in an array, where the flag does not hold."""
    values = {name: value for name, value in results.items() if not name.endswith(MARK)}
    for name, flag in results.items():
        value = name.removesuffix(MARK)
        if name.endswith(MARK) and value in values and not np.all(flag):
            held = values[value]
            values[value] = np.ma.masked_array(held, ~np.asarray(flag)) if np.ndim(held) else UNDEFINED
    return values
