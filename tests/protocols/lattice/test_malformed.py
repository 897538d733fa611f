"""What no honest party sends is refused before it is used, at both parties, and the error names the sender."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from protocols.lattice import product
from protocols.lattice.encryption import HEADER_WORDS
from protocols.lattice.parameters import KEPT
from protocols.lattice.product import plan
from protocols.ot.messages import InvalidMessage
from protocols.products import Product

sys.path.insert(0, str(Path(__file__).parents[1] / "ot"))
from lockstep import answer, together

ROWS, LENGTH, COLUMNS = 7, 300, 5
HOW = plan(Product("matmul", (ROWS, LENGTH), (LENGTH, COLUMNS)))
X = np.arange(ROWS * LENGTH, dtype=np.uint64).reshape(ROWS, LENGTH)
Y = np.arange(LENGTH * COLUMNS, dtype=np.uint64).reshape(LENGTH, COLUMNS)
ENCRYPTING, ANSWERING = 0, 1
(P,) = HOW.passes


def encrypting(label=("session", 1), how=HOW):
    return product.encrypt(ANSWERING, how, X, label)


def answering(label=("session", 1), how=HOW):
    return product.answer(ENCRYPTING, how, Y, label)


def honest() -> list[np.ndarray]:
    """The messages of the owner of X, one a round."""
    _, log = together(encrypting, answering)
    return [message.copy() for sender, _, message in log if sender == ENCRYPTING]


def test_the_case_is_one_of_these() -> None:
    assert HOW.x_encrypted
    assert [sent for sent, _ in HOW.messages if sent] == [message.size for message in honest()]


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("prime", range(len(P.primes)))
@pytest.mark.parametrize("beyond", [0, 1, -1])
def test_ciphertexts_that_are_no_residues(place: int, prime: int, beyond: int) -> None:
    header, *segments = honest()
    view = segments[0].view(np.uint32).reshape(-1, len(P.primes), P.degree)
    view[place, prime, place] = P.primes[prime] + beyond if beyond >= 0 else 2**32 - 1
    with pytest.raises(InvalidMessage, match="no residues") as caught:
        answer(answering(), {ENCRYPTING: header}, *({ENCRYPTING: words} for words in segments))
    assert caught.value.peer == ENCRYPTING


@pytest.mark.parametrize("part", ["c1", "c0"])
@pytest.mark.parametrize("prime", range(KEPT))
def test_answers_that_are_no_residues(part: str, prime: int) -> None:
    size = P.answer_words(P.answers[0])
    words = np.zeros(size, np.uint64)
    halves = words.view(np.uint32)
    start = 0 if part == "c1" else len(P.answers[0]) * KEPT * P.degree
    step = P.degree if part == "c1" else P.rows * P.outputs(P.answers[0])
    halves[start + prime * step + step - 1] = P.primes[prime]
    quiet = [{}] * (1 + len(P.segments))
    with pytest.raises(InvalidMessage, match="no residues") as caught:
        answer(encrypting(), *quiet, {ANSWERING: words})
    assert caught.value.peer == ANSWERING


@pytest.mark.parametrize("change", [1, -1, 1000])
@pytest.mark.parametrize("which", ["header", "ciphertexts", "answer"])
def test_wrong_lengths(which: str, change: int) -> None:
    if which == "answer":
        messages = [
            *[{}] * (1 + len(P.segments)),
            {ANSWERING: np.zeros(P.answer_words(P.answers[0]) + change, np.uint64)},
        ]
        victim = encrypting()
    else:
        header, segment, *_ = honest()
        sizes = (HEADER_WORDS + change, segment.size) if which == "header" else (HEADER_WORDS, segment.size + change)
        messages = [{ENCRYPTING: np.resize(m, max(size, 0))} for m, size in zip((header, segment), sizes, strict=True)]
        victim = answering()
    with pytest.raises(InvalidMessage, match="words"):
        answer(victim, *messages)


@pytest.mark.parametrize(
    ("label", "how"),
    [
        (("another session", 1), HOW),
        (("session", 2), HOW),
        (("session", "1"), HOW),
        (("session", 1), plan(HOW.product, hiding=HOW.passes[0].hiding + 10)),
        (("session", 1), plan(HOW.product, digits=2)),
    ],
)
def test_a_key_of_another_session_product_or_choice(label, how) -> None:
    header = honest()[0]
    assert answering(label, how).close() is None
    with pytest.raises(InvalidMessage, match="another session"):
        answer(answering(label, how), {ENCRYPTING: header})


@pytest.mark.parametrize("word", range(HEADER_WORDS))
def test_a_changed_header(word: int) -> None:
    header = honest()[0]
    header[word] ^= np.uint64(1 << 40)
    with pytest.raises(InvalidMessage, match="another session"):
        answer(answering(), {ENCRYPTING: header})


def test_both_parties_of_different_products_end() -> None:
    other = plan(Product("matmul", (ROWS, LENGTH), (LENGTH, COLUMNS)), digits=2)
    with pytest.raises(InvalidMessage, match="a key of another session or product") as caught:
        together(encrypting, partial(answering, how=other))
    assert caught.value.peer == ENCRYPTING


@pytest.mark.parametrize(
    ("which", "what"),
    [
        ("header", "party 0 sent a key of another session or product, or for other parameters; "),
        ("ciphertexts", "party 0 sent ciphertexts with numbers that are no residues of their primes; "),
        ("answer", "party 1 sent an answer with numbers that are no residues of its primes; "),
    ],
)
def test_errors_say_who_and_what_and_show_no_number_that_was_sent(which: str, what: str) -> None:
    header, *segments = honest()
    wrong = np.full(P.answer_words(P.answers[0]), 2**64 - 1, np.uint64)
    messages = {
        "header": [{ENCRYPTING: ~header}],
        "ciphertexts": [{ENCRYPTING: header}, *({ENCRYPTING: ~words} for words in segments)],
        "answer": [*[{}] * (1 + len(P.segments)), {ANSWERING: wrong}],
    }
    victim = encrypting() if which == "answer" else answering()
    with pytest.raises(InvalidMessage) as caught:
        answer(victim, *messages[which])
    assert str(caught.value) == what + "end the session and make no use of its material"
    assert caught.value.args == (str(caught.value),)
    assert caught.value.__context__ is None
