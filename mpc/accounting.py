"""Privacy loss in numbers: epsilon and delta, zero-concentrated privacy, and what several results come to together.

Results are counted in rho, of zero-concentrated differential privacy (Bun and Steinke, TCC 2016): it adds up, also when
each question depends on the answers before, as an analyst's questions do (Whitehouse, Ramdas, Rogers and Wu, "Fully
Adaptive Composition in Differential Privacy", ICML 2023). Google's dp-accounting tells which epsilon that is at a given
delta. Where all noise is Laplace and that is less, epsilons are added up as they are.

A number of rows is told under (epsilon, delta) privacy, which is a rho of epsilon^2 / 2 but for events of probability
delta (Bun and Steinke, section 8): these probabilities add up, and the rest is counted at the delta that they leave.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

__all__ = ["Loss", "exactly", "left", "rho_of", "within"]

_ORDERS = tuple(1 + 1.08**i / 100 for i in range(320))
"""Of Renyi divergence: from 1.01 to about 5e8, closer together than matters."""

_STEPS = 60


@dataclass(frozen=True)
class Loss:
    """What a noised result tells at most, or may: (epsilon, delta). delta 0: pure, under Laplace noise.

    `beyond`: the probability with which it may tell anything at all, as a number of rows may.
    """

    epsilon: float
    delta: float = 0.0
    beyond: float = 0.0

    @property
    def rho(self) -> Fraction:
        """The same in zero-concentrated privacy."""
        if self.delta == 0:
            return exactly(self.epsilon) ** 2 / 2
        return Fraction(rho_of(self.epsilon, self.delta))


def exactly(number: float) -> Fraction:
    """The number that a person wrote: 0.1 is one tenth, though no float is."""
    return Fraction(repr(number))


def within(losses: Iterable[Loss], budget: Loss) -> bool:
    """Whether results that cost this much tell no more together than the budget allows."""
    spent = list(losses)
    delta = _delta_left(spent, budget)
    return delta >= 0 and (_pure(spent, budget) >= 0 or _epsilon_of(_rho(spent), delta) <= budget.epsilon)


def left(losses: Iterable[Loss], budget: Loss) -> float:
    """The largest epsilon that one more result under Laplace noise may have."""
    spent = list(losses)
    delta = _delta_left(spent, budget)
    rho = max(rho_of(budget.epsilon, delta) - _rho(spent), 0.0) if delta > 0 else 0.0
    return max(0.0, float(_pure(spent, budget)), math.sqrt(2 * rho)) if delta >= 0 else 0.0


@lru_cache(1024)
def rho_of(epsilon: float, delta: float) -> float:
    """The most rho that gives (epsilon, delta), delta above 0; 0 where no float is small enough."""
    low, high = 0.0, epsilon
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


def _pure(spent: Sequence[Loss], budget: Loss) -> Fraction:
    """What is left when epsilons are added up; less than nothing where that cannot be done."""
    if any(loss.delta for loss in spent):
        return Fraction(-1)
    return exactly(budget.epsilon) - sum(exactly(loss.epsilon) for loss in spent)


def _delta_left(spent: Sequence[Loss], budget: Loss) -> float:
    """What events that may tell anything leave of the budget's delta, never too much; below 0 where they are more."""
    exact = exactly(budget.delta) - sum(exactly(loss.beyond) for loss in spent)
    near = float(exact)
    return near if near <= exact else math.nextafter(near, -math.inf)


def _rho(spent: Sequence[Loss]) -> float:
    return float(sum(loss.rho for loss in spent))


def _epsilon_of(rho: float, delta: float) -> float:
    from dp_accounting import ZCDpEvent
    from dp_accounting.rdp import RdpAccountant

    if delta == 0:
        return math.inf if rho else 0.0
    return float(RdpAccountant(_ORDERS).compose(ZCDpEvent(rho)).get_epsilon(delta))
