"""What the two parties of a product do to ciphertexts: symmetric, seeded BFV encryption with plaintext modulus 2^64.

J. Fan and F. Vercauteren, ePrint 2012/144, with the scaling q x / 2^64 of A. Kim, Y. Polyakov and V. Zucca, ASIACRYPT
2021; several secrets share a uniform half, as in C. Peikert, V. Vaikuntanathan and B. Waters, CRYPTO 2008. Adversary:
semi-honest. Bounds and proofs are in docs/lattice.md, with the names used here: (b, a) a ciphertext, s a secret.
"""

from __future__ import annotations

import numpy as np

from protocols.correlations import Label
from protocols.lattice.ntt import Residues, Ring, ring
from protocols.lattice.packing import pack_y, unpack
from protocols.lattice.parameters import KEPT, Parameters
from protocols.ot.messages import InvalidMessage
from protocols.prg import Stream, derive
from protocols.ring import Array

__all__ = ["HEADER_WORDS", "Answerer", "Encryptor"]

HEADER_WORDS = 8
"""What goes before the first ciphertexts: the seed of the uniform halves, and a tag that binds it to its label."""

_WORD = 1 << 64
_LOW, _3, _32 = np.uint64(0xFFFFFFFF), np.uint64(3), np.uint64(32)


class Encryptor:
    """X's owner: a fresh secret for every block of rows, never used for a second product.

    `label` names the session, the product and the direction: the same at both ends, used once.
    """

    def __init__(self, peer: int, parameters: Parameters, label: Label, randomness: Stream) -> None:
        p = parameters
        self._peer = peer
        self._parameters = p
        self._randomness = randomness
        self._ring, self._small = ring(p.degree, p.primes), ring(p.degree, p.primes[:KEPT])
        seed = randomness.words(4)
        self._key = derive(seed.tobytes(), "lattice", *_statement(p), *label)
        self.header = np.concatenate([seed, _tag(self._key)])
        secrets = _ternary(randomness, p.groups, p.degree)
        self._large = self._ring.forward(self._ring.residues(secrets[None]))
        self._quotients = self._ring.quotients(self._large)
        small = self._small.residues(secrets[None], scale=_unscaled(self._small))
        self._secrets = self._small.forward(small)[:, None]

    def encrypt(self, x: Array, blocks: range) -> Array:
        """The words b = encoded x + e - a s of some blocks' polynomials (groups, blocks, n)."""
        a = self._ring.uniform(_uniform(self._key, blocks), len(blocks))
        errors = Stream(self._randomness.words(4).tobytes())  # streams are fastest from their start
        b = self._ring.encrypt(x, errors.words(x.shape), a, self._large, self._quotients)
        return b.reshape(-1).view(np.uint64)

    def decrypt(self, words: Array, answers: range) -> Array:
        """This party's share (rows, columns, digits apart) of some blocks of columns. Raises InvalidMessage."""
        p, small = self._parameters, self._small
        count = len(answers)
        outputs = p.rows * p.outputs(answers)
        halves = _residues(words)[: KEPT * (count * p.degree + outputs)]
        c1 = halves[: -KEPT * outputs].reshape(count, KEPT, p.degree).copy()
        c0 = halves[-KEPT * outputs :].reshape(1, KEPT, outputs)
        if not (small.contains(c1) and small.contains(c0)):
            raise InvalidMessage(self._peer, "an answer with numbers that are no residues of its primes")
        products = np.zeros((p.groups, count, KEPT, p.high * p.wide), np.uint32)
        small.accumulate(self._secrets, small.forward(c1)[:, None], products)
        phase = small.add(_results(small, products, p, answers), c0)
        return small.decode(phase[0]).reshape(p.rows, -1)


class Answerer:
    """Y's owner (y: length x columns): checks what comes, multiplies and adds, and makes the answers.

    Raises InvalidMessage when the header is another product's or another session's.
    """

    def __init__(
        self, peer: int, parameters: Parameters, label: Label, header: Array, y: Array, randomness: Stream
    ) -> None:
        p = parameters
        self._key = derive(header[:4].tobytes(), "lattice", *_statement(p), *label)
        if not np.array_equal(header[4:], _tag(self._key)):
            raise InvalidMessage(peer, "a key of another session or product, or for other parameters")
        self._peer = peer
        self._parameters = p
        self._y = y
        self._randomness = randomness
        self._ring = ring(p.degree, p.primes)
        self._sums = [
            (self._zeros(p.groups, part, p.high * p.wide), self._zeros(1, part, p.degree)) for part in p.answers
        ]

    def receive(self, words: Array, blocks: range) -> None:
        """Take the next blocks' ciphertexts: multiply them and add them up. Raises InvalidMessage."""
        p, modulo, count = self._parameters, self._ring, len(blocks)
        b = _residues(words).reshape(p.groups, count, -1, p.degree)
        a = modulo.uniform(_uniform(self._key, blocks), count)[None]
        for answers, (c0, c1) in zip(p.answers, self._sums, strict=True):
            y = pack_y(p, self._y, blocks, answers)
            if blocks.start == 0:
                y[:, 0] = _ternary(self._randomness, y.shape[0], p.degree)
            if not modulo.apply(y, _unscaled(modulo), b, a, c0, c1):
                raise InvalidMessage(self._peer, "ciphertexts with numbers that are no residues of their primes")

    def answer(self, number: int) -> tuple[Array, Array]:
        """One of the answers: the words that X's owner gets, and this party's share (rows, columns, digits apart)."""
        p, modulo = self._parameters, self._ring
        answers, (sums, c1) = p.answers[number], self._sums[number]
        share = self._randomness.words((1, p.rows * p.outputs(answers)))
        # a fresh encryption of -share, its half b under the flooding; its half a is block 0's times u, and an error
        c1 = modulo.add(modulo.inverse(c1[0]), self._encode(np.zeros((c1.shape[1], p.degree), np.uint64)))
        c0 = modulo.add(_results(modulo, sums, p, answers), self._encode(np.negative(share)))
        c0 = modulo.add(c0, modulo.residues(_flooding(self._randomness, p.flooding, share.size)))
        halves = np.concatenate([modulo.switch(c, KEPT).reshape(-1) for c in (c1, c0)])
        words = np.zeros(2 * p.answer_words(answers), np.uint32)
        words[: halves.size] = halves
        return words.view(np.uint64), share.reshape(p.rows, -1)

    def _zeros(self, groups: int, answers: range, length: int) -> Residues:
        shape = (groups, len(answers), len(self._parameters.primes), length)
        return np.zeros(shape, np.uint32)

    def _encode(self, x: Array) -> Residues:
        return self._ring.encode(x, self._randomness.words(x.shape))


def _unscaled(modulo: Ring) -> int:
    """What a factor is multiplied by, so that accumulating, which divides by 2^64, and inverting, times n, undo it."""
    return _WORD * pow(modulo.degree, -1, modulo.modulus) % modulo.modulus


def _results(modulo: Ring, sums: Residues, parameters: Parameters, answers: range) -> Residues:
    """The outputs' coefficients (1, primes, outputs) of sums (groups, answers, primes, high wide)."""
    coefficients = modulo.inverse(sums.reshape(-1, *sums.shape[2:]))
    return unpack(parameters, coefficients.reshape(sums.shape), answers)


def _residues(words: Array) -> Residues:
    return np.require(words, requirements=["A", "C"]).view(np.uint32)


def _ternary(randomness: Stream, polynomials: int, n: int) -> Array:
    """Coefficients -1, 0 and 1: floor(3 w / 2^64) - 1, uniform but for 2^-63, without a division; two's complement."""
    words = randomness.words((polynomials, n))
    low, high = (words & _LOW) * _3, (words >> _32) * _3
    return (high + (low >> _32) >> _32) - np.uint64(1)


def _flooding(randomness: Stream, bits: int, count: int) -> Array:
    """Uniform integers in [-2^bits, 2^bits), in limbs (limbs, 1, count), two's complement."""
    limbs = bits // 64 + 1
    words = randomness.words((limbs, 1, count))
    words[-1] = (words[-1].view(np.int64) >> (64 * limbs - bits - 1)).view(np.uint64)
    return words


def _uniform(key: bytes, blocks: range) -> Stream:
    """The stream of the uniform halves of some blocks."""
    return Stream(derive(key, "uniform", blocks.start))


def _tag(key: bytes) -> Array:
    return np.frombuffer(derive(key, "tag"), np.uint64)


def _statement(p: Parameters) -> tuple[int, ...]:
    """What both parties have to mean by the same ciphertexts."""
    return (p.rows, p.length, p.columns, p.high, p.deep, p.wide, p.digits, p.degree, *p.primes)
