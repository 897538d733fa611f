"""The product protocol in Python's integers, for toy degrees: as docs/lattice.md has it, with none of the real code.

Only the random words come from the same streams, in the same order, so that every message can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from protocols.lattice.parameters import KEPT, Parameters
from protocols.prg import Stream, derive

Polynomial = list[int]
_WORD = 1 << 64


def signed(x: int, bits: int) -> int:
    x %= 1 << bits
    return x - (1 << bits) if x >> (bits - 1) else x


def multiply(x: Polynomial, y: Polynomial) -> Polynomial:
    """Modulo X^n + 1."""
    n = len(x)
    product = [0] * n
    for i, u in enumerate(x):
        for j, v in enumerate(y):
            product[(i + j) % n] += u * v if i + j < n else -u * v
    return product


def plus(*polynomials: Polynomial) -> Polynomial:
    return [sum(coefficients) for coefficients in zip(*polynomials, strict=True)]


def draw(stream: Stream, *shape: int) -> list:
    return stream.words(shape).tolist()


def ternary(stream: Stream, polynomials: int, n: int) -> list[Polynomial]:
    return [[(3 * word >> 64) - 1 for word in row] for row in draw(stream, polynomials, n)]


def encoded(q: int, x: Polynomial, words: Polynomial) -> Polynomial:
    """floor(q x / 2^64), up by one where the next bits and 22 random ones carry, and 21 coins against 21."""
    message = []
    for value, word in zip(x, words, strict=True):
        whole, behind = divmod(q * value, _WORD)
        carry = (behind >> 42) + word % (1 << 22) >> 22
        coins = word >> 22
        message.append(whole + carry + (coins % (1 << 21)).bit_count() - (coins >> 21).bit_count())
    return message


def uniform(p: Parameters, stream: Stream, polynomials: int) -> list[list[Polynomial]]:
    """Residues [polynomial][prime][value] of transforms."""
    shape = polynomials * len(p.primes) * p.degree
    halves = [half for word in draw(stream, shape // 2) for half in (word % (1 << 32), word >> 32)]
    prime = [p.primes[place // p.degree % len(p.primes)] for place in range(shape)]
    values = [half % (1 << q.bit_length()) for half, q in zip(halves, prime, strict=True)]
    rejected = [place for place in range(shape) if values[place] >= prime[place]]
    while rejected:
        words = draw(stream, (len(rejected) + 1) // 2)
        again = [half for word in words for half in (word % (1 << 32), word >> 32)]
        for place, half in zip(rejected, again, strict=False):
            values[place] = half % (1 << prime[place].bit_length())
        rejected = [place for place in rejected if values[place] >= prime[place]]
    rows = [values[start : start + p.degree] for start in range(0, shape, p.degree)]
    return [rows[start : start + len(p.primes)] for start in range(0, len(rows), len(p.primes))]


def remainder(residues: Sequence[int], primes: Sequence[int]) -> int:
    """The number modulo the product of the primes."""
    q = math.prod(primes)
    return sum(r * (q // p) * pow(q // p, -1, p) for r, p in zip(residues, primes, strict=True)) % q


def root(p: int, n: int) -> int:
    return next(w for w in (pow(x, (p - 1) // (2 * n), p) for x in range(2, p)) if pow(w, n, p) == p - 1)


def reversed_bits(i: int, n: int) -> int:
    return int(f"{i:0{n.bit_length() - 1}b}"[::-1], 2)


def values(x: Polynomial, p: int) -> list[int]:
    """At w^(2 i + 1), for i with its bits reversed."""
    w, n = root(p, len(x)), len(x)
    points = [pow(w, 2 * reversed_bits(i, n) + 1, p) for i in range(n)]
    return [sum(c * pow(point, k, p) for k, c in enumerate(x)) % p for point in points]


def coefficients(transform: Sequence[int], p: int) -> Polynomial:
    """The polynomial with these values."""
    w, n = root(p, len(transform)), len(transform)
    points = [pow(w, -2 * reversed_bits(i, n) - 1, p) for i in range(n)]
    scale = pow(n, -1, p)
    pairs = list(zip(points, transform, strict=True))
    return [sum(v * pow(point, k, p) for point, v in pairs) * scale % p for k in range(n)]


def polynomial(residues: Sequence[Sequence[int]], primes: Sequence[int]) -> Polynomial:
    """The coefficients modulo q of transforms modulo the primes."""
    parts = [coefficients(row, p) for row, p in zip(residues, primes, strict=True)]
    return [remainder(column, primes) for column in zip(*parts, strict=True)]


def packed_x(p: Parameters, x: list[list[int]], group: int, block: int) -> Polynomial:
    """The sum of X[i, k] X^(i wide deep + k); block 0 is zero."""
    out = [0] * p.degree
    for i in range(p.high):
        for k in range(p.deep):
            row, column = group * p.high + i, (block - 1) * p.deep + k
            if block and row < p.rows and column < p.length:
                out[i * p.wide * p.deep + k] = x[row][column]
    return out


def packed_y(p: Parameters, y: list[list[int]], block: int, answer: int) -> Polynomial:
    """The sum of Y[k, j] X^(j deep - k), digits of Y being further columns."""
    out = [0] * p.degree
    bits = 64 // p.digits
    for j in range(p.wide):
        for k in range(p.deep):
            row, (digit, column) = (block - 1) * p.deep + k, divmod(answer * p.wide + j, p.columns)
            if block and row < p.length and digit < p.digits:
                low = signed(y[row][column], bits)
                value = low if digit == 0 else signed((y[row][column] - low) >> 32, bits)
                place = j * p.deep - k
                # 2^63 is taken as -2^63: the same modulo 2^64
                out[place % p.degree] += value if place >= 0 else signed(-value, 64)
    return out


def run(p: Parameters, x: list[list[int]], y: list[list[int]], label: tuple, keys: tuple[bytes, bytes]) -> dict:
    """One pass: both parties' messages and shares. `keys`: of the parties' streams."""
    q, small, kept = p.modulus, math.prod(p.primes[:KEPT]), p.primes[:KEPT]
    encrypting, answering = map(Stream, keys)
    # the owner of X
    seed = encrypting.words(4)
    statement = (p.rows, p.length, p.columns, p.high, p.deep, p.wide, p.digits, p.degree, *p.primes)
    key = derive(seed.tobytes(), "lattice", *statement, *label)
    secrets = ternary(encrypting, p.groups, p.degree)
    a: list[Polynomial] = []
    b: list[list[Polynomial]] = [[] for _ in secrets]
    for blocks in p.segments:
        stream = Stream(derive(key, "uniform", blocks.start))
        new = [polynomial(residues, p.primes) for residues in uniform(p, stream, len(blocks))]
        words = draw(Stream(encrypting.words(4).tobytes()), p.groups * len(blocks), p.degree)
        for group, secret in enumerate(secrets):
            for number, block in enumerate(blocks):
                message = encoded(q, packed_x(p, x, group, block), words[group * len(blocks) + number])
                product = multiply(new[number], secret)
                b[group].append([(m - c) % q for m, c in zip(message, product, strict=True)])
        a += new
    # the owner of Y
    multipliers: dict[tuple[int, int], Polynomial] = {}
    for blocks in p.segments:
        for answers in p.answers:
            for block in blocks:
                for answer in answers:
                    multipliers[block, answer] = packed_y(p, y, block, answer)
            if blocks.start == 0:
                for answer, u in zip(answers, ternary(answering, len(answers), p.degree), strict=True):
                    multipliers[0, answer] = u
    replies, shares = [], []
    bits = p.flooding + 1
    limbs = -(-bits // 64)
    for answers in p.answers:
        columns = p.outputs(answers)
        (share,) = draw(answering, 1, p.rows * columns)
        c1 = []
        for answer, words in zip(answers, draw(answering, len(answers), p.degree), strict=True):
            products = [multiply(a[block], multipliers[block, answer]) for block in range(p.depth)]
            c1.append([c % q for c in plus(*products, encoded(q, [0] * p.degree, words))])
        masks = encoded(q, [-value % _WORD for value in share], draw(answering, 1, len(share))[0])
        flooding = draw(answering, limbs, 1, len(share))
        c0 = []
        for place in range(len(share)):
            row, column = divmod(place, columns)
            group, i = divmod(row, p.high)
            answer, j = divmod(column, p.wide)
            total = sum(
                multiply(b[group][block], multipliers[block, answers[answer]])[(i * p.wide + j) * p.deep]
                for block in range(p.depth)
            )
            top = signed(flooding[-1][0][place], 64) >> (64 * limbs - bits)
            flood = sum(flooding[limb][0][place] << 64 * limb for limb in range(limbs - 1)) + (top << 64 * (limbs - 1))
            c0.append((total + masks[place] + flood) % q)
        replies.append(([[c // (q // small) for c in row] for row in c1], [c // (q // small) for c in c0]))
        shares.append((share, columns))
    # the owner of X again
    results = []
    for answers, (c1, c0) in zip(p.answers, replies, strict=True):
        columns = p.outputs(answers)
        decrypted = []
        for place, c in enumerate(c0):
            row, column = divmod(place, columns)
            group, i = divmod(row, p.high)
            answer, j = divmod(column, p.wide)
            phase = (c + multiply(c1[answer], secrets[group])[(i * p.wide + j) * p.deep]) % small
            decrypted.append(((phase << 65) + small) // (2 * small) % _WORD)
        results.append((decrypted, columns))
    return {"b": b, "replies": replies, "x_share": results, "y_share": shares, "kept": kept}
