"""Arithmetic modulo a 31-bit prime for compiled loops: residues are uint32 in [0, p).

A sum or difference is brought back by taking the smaller of two unsigned candidates: the wrong one has wrapped around.
A factor c that is known ahead comes with its quotient c' = floor(2^32 c / p), as in V. Shoup's NTL: then
c x - floor(c' x / 2^32) p is in [0, 2p) for any 32-bit x. Other products are Montgomery's (Math. Comp. 44, 1985).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.jit import inner

__all__ = ["LOW", "Residues", "Words", "add", "reduced", "subtract", "times"]

Words = NDArray[np.uint64]
Residues = NDArray[np.uint32]

LOW = np.uint64(0xFFFFFFFF)
_u32, _u64 = np.uint32, np.uint64
_32 = _u64(32)


@inner
def add(x: np.uint32, y: np.uint32, p: np.uint32) -> np.uint32:
    """x + y mod p."""
    s = _u32(x + y)
    return min(s, _u32(s - p))


@inner
def subtract(x: np.uint32, y: np.uint32, p: np.uint32) -> np.uint32:
    """x - y mod p."""
    d = _u32(x - y)
    return min(d, _u32(d + p))


@inner
def times(x: np.uint32, factor: np.uint32, quotient: np.uint32, p: np.uint32) -> np.uint32:
    """factor x mod p, for any 32-bit x."""
    r = _u32(_u32(factor * x) - _u32(_u32((_u64(quotient) * _u64(x)) >> _32) * p))
    return min(r, _u32(r - p))


@inner
def reduced(high: np.uint64, low: np.uint64, p: np.uint32, inverse: np.uint32) -> np.uint32:
    """(2^32 high + low) 2^-64 mod p, for high < 2^32 p and any low. `inverse` is p^-1 mod 2^32."""
    prime, factor = _u64(p), _u64(inverse)
    t = high + (low >> _32) + prime - (((((low & LOW) * factor) & LOW) * prime) >> _32)
    r = (t >> _32) + prime - (((((t & LOW) * factor) & LOW) * prime) >> _32)
    return _u32(min(r, r - prime))
