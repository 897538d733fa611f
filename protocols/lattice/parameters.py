"""Which parameters a private product takes: what makes it correct, what hides, and what it costs, as code.

The product is X Y modulo 2^64, X (rows x length) encrypted by its owner, Y (length x columns) applied by its owner.
Symbols as in docs/lattice.md, where each bound is derived: n the degree, q the modulus, F the flooding bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from protocols.rounds import CHUNK_WORDS

__all__ = ["COINS", "DEGREE", "HIDING", "KEPT", "PRIMES", "SECURE_BITS", "Parameters", "choose"]

DEGREE = 8192
"""n: coefficients of a polynomial."""

PRIMES = (2147352577, 2147205121, 2147074049, 2146959361, 2146713601, 2146418689, 268369921)
"""Primes that are 1 modulo 2^14, descending: the six largest below 2^31, and the largest below 2^28.

q is the product of the first five to seven: 2^155, 2^186 or 2^214, from just below.
"""

KEPT = 3
"""The answer is switched to the first three primes: 93 bits hold 64 of plaintext and the rounding."""

SECURE_BITS = {4096: 106, 8192: 214, 16384: 430}
"""Largest log2 q by degree, for 128 bits of classical security, ternary secrets and errors of deviation 3.19.

J.-P. Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", IACR CiC 1(4), 2025 (ePrint
2024/463), table 5.2. The Homomorphic Encryption Standard (M. Albrecht et al., 2018; ePrint 2019/939), table 1, is less
strict: 109, 218, 438.
"""

COINS = 21
"""An error is the difference of two sums of so many coins: variance 10.5, deviation 3.24, never beyond 21."""

HIDING = 40
"""Bits that hide what Y's owner holds in all products of a session together."""

_DITHER = Fraction(1, 1 << 22)  # the finest step of random rounding, and so the most that it is biased
_DECODING = Fraction(1, 1 << 24)  # what decoding in 64-bit arithmetic may be off, as a part of one half unit
_HELD_BYTES = 1 << 29
_LEAST_BLOCKS = 9  # folding and reducing once for nine products in place of five makes large matrices a tenth faster
_MOST_ANSWERS = 8
_LEAST_FLOODING = 32
_MOST_WORK = 1 << 50

# Nanoseconds, measured on one core: a transform modulo one prime; another pass over a polynomial modulo one prime; a
# polynomial product modulo one prime; a byte through a link. They choose between layouts and decide nothing else.
_TRANSFORM, _PASS, _PRODUCT, _BYTE = 9_000, 3_000, 800, 1


@dataclass(frozen=True)
class Parameters:
    """One product: its shapes, how blocks of it lie in polynomials, the modulus and the flooding.

    A polynomial of X holds `high` x `deep` entries, one of Y `deep` x `wide`: powers of 2 whose product is the degree.
    Y is applied in `digits` digits of 64 / `digits` bits. The flooding is uniform in [-2^flooding, 2^flooding).
    Raises ValueError where the result could be wrong.
    """

    rows: int
    length: int
    columns: int
    high: int
    deep: int
    wide: int
    primes: tuple[int, ...]
    flooding: int
    digits: int = 1
    degree: int = DEGREE

    def __post_init__(self) -> None:
        if self.high * self.deep * self.wide != self.degree or self.digits not in (1, 2):
            raise ValueError("lattice: a block must fill a polynomial, and Y has one or two digits")
        if self.error >= Fraction(1, 2) * (1 - _DECODING):
            raise ValueError(f"lattice: the noise reaches {float(self.error):.3g} units, so the result could be wrong")

    @property
    def modulus(self) -> int:
        """q."""
        return math.prod(self.primes)

    @property
    def groups(self) -> int:
        """Blocks of rows of X: each has a secret and a row of ciphertexts of its own."""
        return -(-self.rows // self.high)

    @property
    def depth(self) -> int:
        """Blocks along the length, and before them one that encrypts zero."""
        return 1 + -(-self.length // self.deep)

    @property
    def spread(self) -> int:
        """Blocks of columns of Y, its digits side by side: each has one answer."""
        return -(-self.digits * self.columns // self.wide)

    @property
    def terms(self) -> int:
        """Coefficients of Y that meet an error in one coefficient of a product."""
        return self.length * self.wide

    @property
    def entry(self) -> int:
        """The largest absolute value of a digit of Y."""
        return 1 << (64 // self.digits - 1)

    @property
    def noise(self) -> int:
        """The most that a coefficient is off q z / 2^64 before flooding, whatever the inputs and the randomness.

        Errors and roundings times Y; the errors of the public key times the ternary u, of c1 times the secret, of c0.
        """
        return (COINS + 1) * self.terms * self.entry + 2 * COINS * self.degree + COINS + 1

    @property
    def error(self) -> Fraction:
        """The most that decoding is off, in units of the plaintext: by flooding, noise, and switching the modulus."""
        switching = Fraction(self.degree + 1, math.prod(self.primes[:KEPT]))
        return (Fraction((1 << self.flooding) + self.noise, self.modulus) + switching) * (1 << 64)

    @property
    def hiding(self) -> float:
        """-log2 of the statistical distance between what X's owner decrypts and what its share tells, over all outputs.

        Per output: the mean absolute noise over twice the flooding bound. The mean is bounded by the deviation of
        what is independent, and by the bounds of what is not.
        """
        variance = Fraction(COINS, 2) + Fraction(1, 4)
        mean = self.entry * (math.sqrt(variance * self.terms) + float(_DITHER * self.terms))
        mean += 2 * COINS * self.degree + COINS + 2
        outputs = self.rows * self.columns * self.digits
        return self.flooding + 1 - math.log2(outputs * mean)

    @property
    def secure(self) -> bool:
        """Whether the modulus is small enough for 128 bits of security."""
        return self.modulus.bit_length() <= SECURE_BITS.get(self.degree, 0)

    @property
    def block_words(self) -> int:
        """Words that X's owner sends for one block of the length."""
        return self.groups * len(self.primes) * self.degree // 2

    @property
    def segments(self) -> list[range]:
        """The blocks of the length that travel together."""
        return _cut(self.depth, self._step)

    @property
    def held_bytes(self) -> int:
        """About what Y's owner holds: the answers so far (c1 whole) and a segment."""
        answers = self.spread * (self.degree + self.groups * self.high * self.wide)
        segment = (2 * self.groups + 1) * min(self._step, self.depth) * self.degree
        return 4 * len(self.primes) * (answers + segment)

    @property
    def answers(self) -> list[range]:
        """The blocks of columns whose answers travel together."""
        return _cut(self.spread, max(1, min(_MOST_ANSWERS, CHUNK_WORDS // self.answer_words(range(1)))))

    def outputs(self, answer: range) -> int:
        """How many columns, digits apart, the answers of some blocks of columns have."""
        return min(answer.stop * self.wide, self.digits * self.columns) - answer.start * self.wide

    def answer_words(self, answer: range) -> int:
        """Words of the answers of some blocks of columns: c1 whole, of c0 one coefficient an output."""
        residues = len(answer) * self.degree + self.rows * self.outputs(answer)
        return -(-KEPT * residues // 2)

    @property
    def nanoseconds(self) -> int:
        """About how long it takes, both parties one after the other."""
        groups, depth, spread, primes = self.groups, self.depth, self.spread, len(self.primes)
        encrypting = groups * depth * primes * (_TRANSFORM + 3 * _PASS) + 2 * depth * primes * _PASS
        applying = spread * depth * primes * (_TRANSFORM + 2 * _PASS)
        applying += (groups + 1) * spread * primes * (depth * _PRODUCT + _PASS) + spread * primes * _TRANSFORM
        decrypting = spread * KEPT * (_TRANSFORM + groups * _PASS)
        sent = depth * self.block_words + self.answer_words(range(spread))
        return encrypting + applying + decrypting + 8 * sent * _BYTE

    @property
    def _step(self) -> int:
        step = max(_LEAST_BLOCKS, CHUNK_WORDS // self.block_words)
        return step - (step - 1) % 4  # 1 + 4 m: after the first, products are added four at a time


@lru_cache(maxsize=1024)
def choose(rows: int, length: int, columns: int, *, hiding: float = HIDING, digits: int = 1) -> tuple[Parameters, ...]:
    """The passes that compute X Y, each some rows of X, in order: parameters that are correct, hide and are secure.

    `hiding`: bits of statistical hiding for all passes together. Raises ValueError where no parameters do.
    """
    if min(rows, length, columns) < 1 or rows * length * columns > _MOST_WORK:
        raise ValueError(f"lattice: a product of {rows} x {length} x {columns} is empty or too large")
    per_pass = rows
    while True:
        count, left = divmod(rows, per_pass)
        needed = hiding + math.log2(count + (left > 0))
        whole = _best(per_pass, length, columns, needed, digits)
        if per_pass == 1 or whole.held_bytes <= _HELD_BYTES:
            return (whole,) * count + ((_best(left, length, columns, needed, digits),) if left else ())
        per_pass = -(-per_pass // 2)


def _best(rows: int, length: int, columns: int, hiding: float, digits: int) -> Parameters:
    """The fastest of all layouts and moduli that do, in bounded memory where one can."""
    found = [
        candidate
        for high in _powers(min(rows, DEGREE))
        for wide in _powers(min(columns * digits, DEGREE // high))
        if (candidate := _smallest(rows, length, columns, high, wide, hiding, digits)) is not None
    ]
    if not found:
        raise ValueError(
            f"lattice: no modulus of {SECURE_BITS[DEGREE]} bits hides a product of {rows} x {length} x {columns} by "
            f"{hiding:.1f} bits; cut it into smaller ones, or ask for fewer bits"
        )
    return min(found, key=lambda parameters: (parameters.held_bytes > _HELD_BYTES, parameters.nanoseconds))


def _smallest(
    rows: int, length: int, columns: int, high: int, wide: int, hiding: float, digits: int
) -> Parameters | None:
    """The fewest primes that do for a layout."""
    for count in range(KEPT + 1, len(PRIMES) + 1):
        primes = PRIMES[:count]
        flooding = math.prod(primes).bit_length() - 66  # about half of what may be
        if flooding < _LEAST_FLOODING:
            continue
        try:
            deep = DEGREE // (high * wide)
            candidate = Parameters(rows, length, columns, high, deep, wide, primes, flooding, digits)
        except ValueError:
            continue
        if candidate.hiding >= hiding and candidate.secure:
            return candidate
    return None


def _powers(most: int) -> Iterator[int]:
    """1, 2, 4, ... up to the first that is at least `most`."""
    power = 1
    yield power
    while power < most:
        power *= 2
        yield power


def _cut(length: int, step: int) -> list[range]:
    return [range(start, min(start + step, length)) for start in range(0, length, step)]
