"""Noise for differential privacy: discrete Laplace or Gaussian, drawn exactly on integers by OpenDP's samplers.

Every party whose data a value depends on adds its own full share: enough for its own rows, whatever all others know of
their noise. Where so many parties at most are taken to pool what they know, Gaussian noise may be parts instead, enough
together without the parts of so many.

Ghosh, Roughgarden and Sundararajan, "Universally Utility-Maximizing Privacy Mechanisms", STOC 2009; Canonne, Kamath and
Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020; for parts, Kairouz, Liu and Steinke, "The
Distributed Discrete Gaussian Mechanism for Federated Learning with Secure Aggregation", ICML 2021, Proposition 14.
Departure: sums are taken modulo 2^64, which tells no more than the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from mpc.accounting import exactly, rho_of
from mpc.errors import PlanError
from mpc.operations import Params
from mpc.plan import Plan
from mpc.sensitivity import Sensitivity, Table, sensitivities
from mpc.types import Type
from protocols.ring import Array

__all__ = ["Law", "Source", "draw", "laws", "least_spread", "measured", "opendp", "rounded_up"]

_RARELY = 64 * math.log(2)
_ROOT_BITS = 32
_FOR_SUMS = Fraction(1, 1 << 10)
"""The part of a loss that is kept for sums of discrete Gaussians being none."""
_LESS_THAN_PI_SQUARED = 9


@dataclass(frozen=True)
class Law:
    """The distribution of each number: P(x) in proportion to exp(-|x| / scale), or to exp(-x^2 / (2 scale^2))."""

    kind: Literal["laplace", "gaussian"]
    scale: float

    @property
    def variance(self) -> float:
        """Of one number; of a Gaussian at most."""
        if self.kind == "gaussian":
            return self.scale**2
        return 2 * math.exp(-1 / self.scale) / math.expm1(-1 / self.scale) ** 2

    def most(self, count: int) -> float:
        """So many numbers all stay below this, but for a probability of 2^-64."""
        rare = _RARELY + math.log(2 * max(count, 1))
        return self.scale * (rare if self.kind == "laplace" else math.sqrt(2 * rare))


Source = Callable[[Law, int], Sequence[int]]
"""Gives so many independent numbers of a law."""


def opendp(law: Law, count: int) -> Sequence[int]:
    """Numbers from OpenDP's samplers, of the operating system's randomness."""
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_gaussian, make_laplace
    from opendp.metrics import l1_distance, l2_distance
    from opendp.mod import enable_features

    enable_features("contrib")
    domain = vector_domain(atom_domain(T="i64"))
    if law.kind == "laplace":
        noise = make_laplace(domain, l1_distance(T="i64"), scale=law.scale)
    else:
        noise = make_gaussian(domain, l2_distance(T="i64"), scale=law.scale)
    drawn: list[int] = noise([0] * count)
    return drawn


def draw(
    plan: Plan,
    party: str,
    unit_rows: Mapping[Table, int],
    source: Source = opendp,
    colluding: int | None = None,
) -> dict[int, Array]:
    """The party's noise for every noisy step of a plan, as ring elements. Raises PlanError as `measured`."""
    noise: dict[int, Array] = {}
    for i, parties in measured(plan, unit_rows, colluding).items():
        type_ = plan.types[i]
        numbers = source(parties[party], type_.size) if party in parties else [0] * type_.size
        noise[i] = np.array(numbers, np.int64).view(np.uint64).reshape(type_.shape)
    return noise


def measured(plan: Plan, unit_rows: Mapping[Table, int], colluding: int | None = None) -> dict[int, dict[str, Law]]:
    """For every noisy step of a plan, what each party adds to every element.

    `unit_rows`: how many rows of a table belong to one person at most, where that is not one. `colluding`: how many
    parties at most pool what they know, or leave their noise out; None for all others of each. Raises PlanError where
    noise has no measure, or is larger than the plan has room for.
    """
    found: dict[int, dict[str, Law]] = {}
    for i, moved in sensitivities(plan.steps, plan.types, unit_rows).items():
        params, value = plan.steps[i].params, plan.types[plan.steps[i].inputs[0]]
        if least_spread(params, moved, value) > params["spread"]:
            raise PlanError(f"{plan.where(i)}: the value has no room for its noise", "Plan the script again.")
        found[i] = laws(params, moved, value.size, colluding)
    return found


def laws(
    params: Params, moved: Mapping[Table, Sensitivity], size: int = 1, colluding: int | None = None
) -> dict[str, Law]:
    """What each party adds to each of `size` elements of a value that one unit of its tables moves so far.

    Never too little, and parts only where they are less together. `params`: of the noisy step. Raises PlanError for
    noise larger than all numbers.
    """
    parties: dict[str, list[Sensitivity]] = {}
    for (party, _), each in moved.items():
        parties.setdefault(party, []).append(each)
    epsilon, delta = params["epsilon"], params["delta"]
    try:
        if delta == 0:
            scales = {p: rounded_up(max(each.l1 for each in own) / exactly(epsilon)) for p, own in parties.items()}
            return {party: Law("laplace", scale) for party, scale in scales.items()}
        rho = 2 * Fraction(rho_of(epsilon, delta))
        scales = {p: _root(max(each.l2_squared for each in own) / rho) for p, own in parties.items()}
        honest = 1 if colluding is None else max(1, len(parties) - colluding)
        if honest > 1:
            part = _part(max(each.l2_squared for each in moved.values()), rho / 2, honest, size)
            if part * len(parties) < math.fsum(scales.values()):
                scales = dict.fromkeys(parties, part)
        return {party: Law("gaussian", scale) for party, scale in scales.items()}
    except (OverflowError, ZeroDivisionError):
        raise PlanError(f"noisy: epsilon={epsilon} asks for more noise than there are numbers", "Raise it.") from None


def least_spread(params: Params, moved: Mapping[Table, Sensitivity], value: Type) -> float:
    """What the noise of all parties together stays below, but for a rare accident, in widths of the value's range.

    With an accident, of a probability below 2^-57, a result would be wrong; it would tell no more.
    """
    try:
        return math.fsum(law.most(value.size) for law in laws(params, moved).values()) / (value.high - value.low)
    except OverflowError:
        raise PlanError("noisy: the value's numbers are too large for noise") from None


def _part(l2_squared: int, rho: Fraction, honest: int, size: int) -> float:
    """The scale s of noise of which so many parts together lose no more than rho.

    Their sum is no discrete Gaussian, but near one: it loses l2^2 / (2 honest s^2) + tau size at most, for s of at
    least 1/2, where tau is 10 (honest - 1) exp(-pi^2 s^2) at most. Next to nothing of rho is kept for that.
    """
    least = math.log(10 * (honest - 1) * max(size, 1)) - math.log(rho) - math.log(_FOR_SUMS)
    variance = l2_squared / (2 * honest * rho * (1 - _FOR_SUMS))
    return _root(max(variance, Fraction(least) / _LESS_THAN_PI_SQUARED, Fraction(1, 4)))


def rounded_up(number: Fraction) -> float:
    """The smallest float that is not below the number."""
    near = float(number)
    return near if near >= number else math.nextafter(near, math.inf)


def _root(number: Fraction) -> float:
    """A float that is not below the square root of the number, and hardly above."""
    return rounded_up(Fraction(math.isqrt(math.ceil(number * 4**_ROOT_BITS)) + 1, 2**_ROOT_BITS))
