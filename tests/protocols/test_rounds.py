"""Rounds: one message a peer a round, chunks in bounded memory, and no schedule that deadlocks."""

import random
from collections import defaultdict, deque
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import rounds
from protocols.rounds import CHUNK_WORDS, FRAME_WORDS, Exchange, Task, gather, run_round


def exchange(me: int, members, size: int, tag: int, recipients=None) -> Exchange:
    """Every member sends to every recipient `size` words that tell the sender and the tag."""
    recipients = members if recipients is None else recipients
    sends = {peer: [np.full(size, 1000 * tag + me, np.uint64)] for peer in recipients if peer != me and me in members}
    expects = {peer: size for peer in members if peer != me and me in recipients}
    return Exchange(sends, expects)


async def talk(me: int, members, sizes, tag: int, recipients=None) -> list:
    """One round for every size; whoever takes no part finishes at once."""
    seen = []
    if me in {*members, *(recipients or ())}:
        for size in sizes:
            received = await exchange(me, members, size, tag, recipients)
            for peer, words in received.items():
                assert words.size == size
                assert np.all(words == 1000 * tag + peer)
            seen.append(sorted(received))
    return seen


def drive(count: int, make_tasks, order: random.Random | None = None, held: list | None = None):
    """Run `run_round`s at every party until none is due; every message as (sender, receiver, words), and the rounds.

    `order`: who goes on is drawn from it, so that parties run ahead of each other as far as they can.
    """
    mail, log = defaultdict(deque), []

    def sender(me: int):
        def send(peer: int, parts) -> None:
            message = np.concatenate(parts)
            mail[me, peer].append(message)
            log.append((me, peer, message.size))

        return send

    def party(me: int):
        done = 0
        for tasks in make_tasks(me):
            done += yield from run_round(tasks, sender(me))
        return done

    running = {me: party(me) for me in range(count)}
    needs, finished = {}, {}
    while running:
        ready = [me for me in running if me not in needs or mail[needs[me][0], me]]
        assert ready, f"deadlock: {needs}"
        me = order.choice(ready) if order else ready[0]
        try:
            if me in needs:
                peer, size = needs[me]
                message = mail[peer, me].popleft()
                assert message.size == size
                needs[me] = running[me].send(message)
            else:
                needs[me] = next(running[me])
        except StopIteration as stop:
            finished[me] = stop.value
            del running[me]
            needs.pop(me, None)
    assert not any(mail.values())
    return log, finished


def test_gather_shares_rounds_and_messages() -> None:
    results = {}

    async def both(me: int):
        return await gather(talk(me, (0, 1), [3, 1], 1), talk(me, (0, 1), [2], 2), talk(me, (0,), [], 3))

    def tasks(me: int):
        task = Task(partial(both, me), done=lambda result: results.__setitem__(me, result))
        return [[task], [task]]

    log, done = drive(2, tasks)
    assert sorted(log) == [(0, 1, 1), (0, 1, 5), (1, 0, 1), (1, 0, 5)]
    assert done == {0: 2, 1: 2}
    assert results[0] == ([[1], [1]], [[1]], [])


@pytest.mark.parametrize("count", [2, 3, 5])
def test_one_message_a_peer_a_round_whatever_the_number_of_tasks(count: int) -> None:
    everyone = range(count)

    def tasks(me: int):
        made = [Task(partial(talk, me, everyone, [tag + 1, 2], tag)) for tag in range(20)]
        return [made, made]

    log, done = drive(count, tasks)
    assert len(log) == 2 * count * (count - 1)
    assert set(done.values()) == {2}


def test_a_round_in_which_nothing_is_due_is_none() -> None:
    log, done = drive(
        2, lambda me: [[Task(partial(talk, me, (), [1], 0))], [], [Task(partial(talk, me, (0, 1), [0], 1))]]
    )
    assert log == []
    assert done == {0: 1, 1: 1}  # an exchange of no words is one


def test_long_arrays_leave_in_chunks_with_few_in_flight() -> None:
    """Tasks are started just before they leave: computing goes on while others send, in bounded memory."""
    blocks, alive, most = 40, set(), 0

    async def block(me: int, number: int) -> None:
        nonlocal most
        alive.add((me, number))
        most = max(most, sum(1 for owner, _ in alive if owner == me))
        await exchange(me, (0, 1), CHUNK_WORDS, number)
        alive.discard((me, number))

    log, done = drive(
        2, lambda me: [(Task(partial(block, me, number), weight=CHUNK_WORDS) for number in range(blocks))]
    )
    assert log.count((0, 1, CHUNK_WORDS)) == log.count((1, 0, CHUNK_WORDS)) == blocks == len(log) // 2
    assert done == {0: 1, 1: 1}
    assert most <= rounds.IN_FLIGHT_WORDS // CHUNK_WORDS
    assert not alive


def test_small_tasks_are_collected_into_chunks() -> None:
    each, number = CHUNK_WORDS // 8, 40
    log, _ = drive(2, lambda me: [(Task(partial(talk, me, (0, 1), [each], i), weight=each) for i in range(number))])
    assert [words for sender, _, words in log if sender == 0] == [CHUNK_WORDS] * 5


@pytest.mark.parametrize("words", [FRAME_WORDS - 1, FRAME_WORDS, FRAME_WORDS + 1, 3 * FRAME_WORDS + 5])
def test_a_message_longer_than_a_frame_leaves_as_several(words: int) -> None:
    numbers = np.arange(words, dtype=np.uint64)
    seen = {}

    async def send(me: int) -> None:
        parts = [numbers[: words // 3], numbers[words // 3 :].reshape(-1, 1)]
        received = await Exchange({1 - me: parts}, {1 - me: words})
        seen[me] = received[1 - me]

    log, _ = drive(2, lambda me: [[Task(partial(send, me), weight=words)]])
    sizes = [size for sender, _, size in log if sender == 0]
    assert max(sizes) <= FRAME_WORDS
    assert len(sizes) == -(-words // FRAME_WORDS)
    assert np.array_equal(seen[0], numbers)
    assert np.array_equal(seen[1], numbers)


def test_who_takes_no_part_stays_aligned() -> None:
    """A party outside of some tasks cuts the same chunks, by their weights."""
    pairs = [(0, 1), (1, 2), (0, 2), (2, 0), (1, 0), (0, 1, 2)] * 4

    def tasks(me: int):
        return [
            (
                Task(partial(talk, me, pair, [CHUNK_WORDS // 2], i), weight=CHUNK_WORDS // 2)
                for i, pair in enumerate(pairs)
            )
        ]

    log, done = drive(3, tasks)
    assert sum(words for _, _, words in log) == sum(len(p) * (len(p) - 1) for p in pairs) * CHUNK_WORDS // 2
    assert done == {0: 1, 1: 1, 2: 1}


task_shapes = st.tuples(
    st.sets(st.integers(0, 4), min_size=1),
    st.sets(st.integers(0, 4)),
    st.integers(0, 9),
    st.sampled_from([1, 4, 8, 40]),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 5), st.lists(st.lists(task_shapes, max_size=12), min_size=1, max_size=4), st.randoms())
def test_no_schedule_deadlocks(count: int, schedule, order: random.Random) -> None:
    """Any parties, any tasks, whoever is faster: everything arrives, where and as it was sent."""
    patched = pytest.MonkeyPatch()
    patched.setattr(rounds, "CHUNK_WORDS", 16)
    patched.setattr(rounds, "FRAME_WORDS", 7)
    received = defaultdict(int)

    async def counted(me: int, members, recipients, size: int, tag: int) -> None:
        for seen in await talk(me, members, [size], tag, recipients):
            received[me] += len(seen)

    def tasks(me: int):
        for number, shapes in enumerate(schedule):
            yield (
                Task(
                    partial(
                        counted,
                        me,
                        {m % count for m in members},
                        {r % count for r in recipients},
                        size,
                        10 * number + i,
                    ),
                    weight,
                )
                for i, (members, recipients, size, weight) in enumerate(shapes)
            )

    try:
        log, _ = drive(count, tasks, order)
    finally:
        patched.undo()
    assert all(0 < words <= 7 for _, _, words in log)
    for me in range(count):
        expected = sum(
            len({m % count for m in members} - {me})
            for shapes in schedule
            for members, recipients, size, _ in shapes
            if me in {r % count for r in recipients} and size
        )
        assert received[me] == expected
