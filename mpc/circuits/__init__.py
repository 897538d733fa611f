"""What primitives compute together: circuits for operations that no single primitive computes."""

from mpc.circuits.builder import Bits, Builder, Ring

__all__ = ["Bits", "Builder", "Ring"]
