"""n parties inside one process: the same plan, engine and protocol as on nodes, without processes or sockets."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from mpc import tables
from mpc.computation import Computation
from mpc.encoding import decode, encode_column
from mpc.engine import Engine, Outcome, combine, count_input
from mpc.errors import DataError, ScriptError
from mpc.noise import Source, draw, opendp
from mpc.plan import Plan
from mpc.result import Result, Timings, Traffic
from mpc.sampling import draw_rows, sampled
from mpc.schedule import Schedule
from mpc.schema import Column, Schema, Table, unit_rows
from mpc.sources import SourceName, protocol_for
from mpc.undefined import settled
from protocols import additive, dealer, pairwise
from protocols.correlations import Label, Material
from protocols.interface import SharingProtocol
from protocols.party import Party
from protocols.prg import Stream
from protocols.ring import Array
from protocols.rounds import Need, Send, run_alone

T = TypeVar("T")

__all__ = ["Ranges", "schema_of", "simulate"]

Data = Mapping[str, Mapping[str, tables.TableSource]]

Ranges = Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]
"""party -> table -> column -> (low, high)."""


def simulate(
    computation: Computation | Callable[..., Any],
    data: Data,
    ranges: Ranges | None = None,
    *,
    precision: int | None = None,
    protocol: SharingProtocol = additive,
    source: SourceName = "dealer",
    noise: Source = opendp,
    colluding: int | None = None,
) -> Result:
    """Run a computation over tables of several parties in this process, shares, triples and all.

    `data`: party -> table -> a CSV or Parquet path, a mapping of arrays, or a pandas frame. Ranges come from the data
    unless given. `source`: who makes the correlated randomness. `noise`: where noise comes from; `colluding`: as
    `mpc.noise.measured` takes it. Nobody is protected here: every party's data are in this process.
    Raises ScriptError, PlanError or DataError.
    """
    if not isinstance(computation, Computation):
        computation = Computation(computation)
    if len(data) < 2:
        raise ScriptError("a joint computation needs the data of at least two parties", "Pass {party: {table: data}}.")
    started = time.perf_counter()
    schema = schema_of(data, ranges or {})
    plan = computation.plan(schema, precision=precision)
    inputs = [_inputs(plan, party, data[party]) for party in plan.parties]
    noises = [draw(plan, party, unit_rows(schema), noise, colluding) for party in plan.parties]
    loaded = time.perf_counter()
    schedule = Schedule(plan, protocol_for(source) if protocol is additive else protocol)
    parties, offline = _parties(schedule, source)
    dealt = time.perf_counter()
    engines = [Engine(schedule, party, inputs[party.index], noises[party.index]) for party in parties]
    outcomes, words = _together([engine.run for engine in engines])
    result = settled(_revealed(plan, outcomes))
    online = time.perf_counter() - dealt
    delivered = [sum(share.size for to in outcome.shares.values() for share in to.values()) for outcome in outcomes]
    sent = {name: 8 * (words[i] + delivered[i]) for i, name in enumerate(plan.parties)}
    timings = Timings(loaded - started, dealt - loaded, online, time.perf_counter() - started)
    return Result(result, Traffic(max(outcome.rounds for outcome in outcomes), sent, offline), timings)


def schema_of(data: Data, ranges: Ranges) -> Schema:
    """The schema of given tables: their numeric columns, with the given ranges or those of the data."""
    schema: dict[str, dict[str, Table]] = {}
    for party, sources in data.items():
        schema[party] = {}
        for table, source in sources.items():
            name = f"{party}.{table}"
            described = tables.describe(source, name)
            numeric = {column: kind for column, kind in described.columns.items() if kind != "other"}
            given = ranges.get(party, {}).get(table, {})
            values = tables.read(source, [column for column in numeric if column not in given], name)
            columns = {}
            if unknown := sorted(set(given) - set(numeric)):
                raise DataError(f"a range is given for {name}.{unknown[0]}, which is no column of numbers")
            for column, kind in numeric.items():
                low, high = _range(given[column], column) if column in given else tables.column_range(values[column])
                if kind == "integer":
                    columns[column] = Column("integer", math.floor(low), math.ceil(high))
                else:
                    columns[column] = Column("real", float(low), float(high))
            schema[party][table] = Table(described.rows, columns)
    return schema


def _range(given: tuple[float, float], column: str) -> tuple[float, float]:
    low, high = given
    if not -(2**63) <= low <= high < 2**63:
        raise DataError(f"{column}: {given} is not a range", "Give (low, high), both within 64 bits.")
    return low, high


def _inputs(plan: Plan, party: str, sources: Mapping[str, tables.TableSource]) -> dict[int, Array]:
    inputs: dict[int, Array] = {}
    for i, step in plan.of("column"):
        if step.params["party"] == party:
            table, column = step.params["table"], step.params["column"]
            inputs[i] = encode_column(tables.read(sources[table], [column], f"{party}.{table}")[column], step.params)
    for i, step in plan.of("count"):
        if step.params["party"] == party:
            inputs[i] = count_input(step.params)
    return inputs | sampled(plan, party, inputs, draw_rows(plan, party))


def _parties(schedule: Schedule, source: SourceName) -> tuple[list[Party], Mapping[str, int]]:
    """All parties with their material, and the bytes that were sent for it."""
    count = len(schedule.plan.parties)
    secrets: list[dict[int, bytes]] = [{} for _ in range(count)]
    for i, j in combinations(range(count), 2):
        secrets[i][j] = secrets[j][i] = os.urandom(32)
    if source == "pairwise":
        made, words = _made_pairwise(schedule)
        parties = [Party(i, count, secrets[i], pairwise.PairwiseSource(made[i])) for i in range(count)]
        return parties, _bytes(schedule, words)
    with_dealer = {i: os.urandom(32) for i in range(count)}
    corrections: list[dict[Label, Array]] = [{} for _ in range(count)]
    for label, demand in schedule.demands():
        corrections[dealer.corrected(demand)][label] = dealer.deal(demand, label, with_dealer)
    sources = [dealer.DealerSource(i, with_dealer[i], corrections[i]) for i in range(count)]
    words = [sum(array.size for array in held.values()) for held in corrections]
    return [Party(i, count, secrets[i], sources[i]) for i in range(count)], _bytes(schedule, words)


def _bytes(schedule: Schedule, words: Sequence[int]) -> dict[str, int]:
    return {name: 8 * count for name, count in zip(schedule.plan.parties, words, strict=True)}


def _made_pairwise(schedule: Schedule) -> tuple[list[dict[Label, Material]], list[int]]:
    """What each party has made with the others, and the words that it sent for that."""
    count, session, demands = len(schedule.plan.parties), os.urandom(32), list(schedule.demands())
    if not demands:
        return [{} for _ in range(count)], [0] * count

    def party(i: int) -> Callable[[Send], Generator[Need, Array, dict[Label, Material]]]:
        start = partial(pairwise.connected, i, count, session, demands, Stream(os.urandom(32)))
        return partial(run_alone, start, pairwise.weight(demands))

    return _together([party(i) for i in range(count)])


def _together(runs: Sequence[Callable[[Send], Generator[Need, Array, T]]]) -> tuple[list[T], list[int]]:
    """Run one protocol of every party, passing messages; their results, and the words that each sent."""
    mail: dict[tuple[int, int], deque[Array]] = {
        (i, j): deque() for i in range(len(runs)) for j in range(len(runs)) if i != j
    }
    words = [0] * len(runs)

    def sender(me: int) -> Callable[[int, Sequence[Array]], None]:
        def send(peer: int, parts: Sequence[Array]) -> None:
            message = np.concatenate(parts)
            words[me] += message.size
            mail[me, peer].append(message)

        return send

    results: dict[int, T] = {}
    running: dict[int, tuple[Generator[Need, Array, T], Need | None]] = {
        i: (run(sender(i)), None) for i, run in enumerate(runs)
    }
    while running:
        stuck = True
        for i, (engine, need) in list(running.items()):
            try:
                if need is None:
                    need = next(engine)
                    stuck = False
                while mail[need[0], i]:
                    message = mail[need[0], i].popleft()
                    if message.size != need[1]:
                        raise RuntimeError(f"party {i} expects {need[1]} words from {need[0]}, got {message.size}")
                    need = engine.send(message)
                    stuck = False
                running[i] = (engine, need)
            except StopIteration as stop:
                results[i] = stop.value
                del running[i]
                stuck = False
        if stuck:
            raise RuntimeError(f"parties {sorted(running)} wait for messages that nobody sends")
    if any(mail.values()):
        raise RuntimeError("messages were sent that nobody waited for")
    return [results[i] for i in range(len(runs))], words


def _revealed(plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Every result, whoever its recipients are: in a simulation they all sit here."""
    results: dict[str, Any] = {}
    for i, step in plan.of("reveal"):
        name = step.params["name"]
        outside = [to for to in step.params["to"] if to not in plan.parties]
        inside = [plan.parties.index(to) for to in step.params["to"] if to in plan.parties]
        if outside:
            elements = combine(outcome.shares[outside[0]][name] for outcome in outcomes)
        else:
            elements = outcomes[inside[0]].revealed[name]
        results[name] = decode(elements, plan.types[i], step.params["unit"])
    return results
