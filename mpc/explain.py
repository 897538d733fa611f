"""A plan as a person reads it: whose data, what is revealed to whom, what it costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from types import MappingProxyType

from mpc.cost import estimate
from mpc.disclosure import aggregates, cohorts
from mpc.errors import PlanError
from mpc.instructions import SecretProduct
from mpc.listing import listed, shape_of, wrapped
from mpc.noise import Law, measured
from mpc.plan import Plan
from mpc.schedule import Schedule
from mpc.sensitivity import Table
from mpc.sources import SourceName, missing, offline_bytes, offline_seconds, protocol_for
from protocols import pairwise_costs
from protocols.correlations import Demand
from protocols.lattice.parameters import HIDING
from protocols.lattice.product import pays

__all__ = ["explain"]

_Noise = Mapping[int, Mapping[str, Law]]
"""What each party adds, by noisy step."""

LAN = (0.0005, 125e6)
"""Round trip in seconds, bytes per second: 1 Gbit/s."""

WAN = (0.040, 12.5e6)
"""Round trip in seconds, bytes per second: 100 Mbit/s."""

_CONDITIONS = {
    "absolute", "and", "argmax", "argmin", "argsort", "equal", "less", "max", "maximum", "min", "minimum", "not",
    "quantile", "sort", "where", "xor",
}  # fmt: skip
_FUNCTIONS = {"exp", "log", "quotient", "ratio", "reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"}


def explain(
    plan: Plan,
    *,
    source: SourceName = "dealer",
    steps: bool = False,
    unit_rows: Mapping[Table, int] = MappingProxyType({}),
    colluding: int | None = None,
) -> str:
    """Inputs by owner, results with their recipients and the rows behind them, the cost; every step if asked.

    `source`: who makes the random material; what it would cost from the other one is told, too. `unit_rows`,
    `colluding`: as `mpc.noise.measured` takes them, for the error that noise makes.
    """
    noise = partial(measured, plan, unit_rows, colluding)
    every = ["", "steps", *listed(plan)] if steps else []
    return "\n".join([*_inputs(plan), "", *_results(plan, noise), *every, "", *_cost(plan, source)])


def _inputs(plan: Plan) -> Iterator[str]:
    yield f"plan {plan.digest.hex()[:16]}: {len(plan.steps)} steps, parties {', '.join(plan.parties)}"
    yield "inputs, which stay with their owners"
    for party in plan.parties:
        yield f"  {party}"
        lines: dict[str, list[str]] = {}
        for i, step in plan.of("column"):
            p = step.params
            if p["party"] == party:
                line = f"{p['table']}.{p['column']}: {p['rows']:,} rows, {p['kind']} in [{p['low']:g}, {p['high']:g}]"
                resolutions = lines.setdefault(line, [])
                if p["kind"] == "real":
                    resolutions.append(f"2^-{plan.types[i].domain.scale}")
        for line, resolutions in lines.items():
            yield f"    {line}{', resolution ' + ' and '.join(resolutions) if resolutions else ''}"
        counts = [step.params["table"] for _, step in plan.of("count") if step.params["party"] == party]
        yield from (f"    {table}: number of rows" for table in counts)
        if not lines and not counts:
            yield "    nothing"


def _results(plan: Plan, noise: Callable[[], _Noise]) -> Iterator[str]:
    yield "revealed"
    laws: _Noise = {}
    try:
        laws = noise()
    except PlanError as error:
        yield from wrapped(f"noise: not known ({error.message})", 2)
    rows = {}
    for party in plan.parties:
        try:
            rows[party] = cohorts(plan, party)
        except PlanError as error:
            yield from wrapped(f"rows of {party} behind each number: not known ({error.message})", 2)
            rows[party] = {}
    choosing = _choosing(plan)
    for i, step in plan.of("reveal"):
        name = step.params["name"]
        behind = ", ".join(f"{rows[party][name]:,} rows of {party}" for party in plan.parties if name in rows[party])
        exact, noisy = _behind(plan, i)
        under = _noises(plan, noisy)
        yield from wrapped(f"{name} ({shape_of(plan.types[i])}) to {', '.join(step.params['to'])} and nobody else", 2)
        if behind:
            yield from wrapped(f"from at least {behind}{_chosen(plan, exact & choosing)}", 4)
            if noisy:
                yield from wrapped(f"and from {under}, which does not cover what is computed from these rows", 4)
        else:
            yield from wrapped(f"from {under}{_error(plan, i, laws)}", 4)


def _behind(plan: Plan, result: int) -> tuple[frozenset[int], frozenset[int]]:
    """The steps that a result comes from other than under noise, and the noisy ones among all that it comes from."""
    exact, needed = {result}, {result}
    for i in range(result, -1, -1):
        if i in needed:
            needed.update(plan.steps[i].inputs)
        if i in exact and plan.steps[i].op != "noisy":
            exact.update(plan.steps[i].inputs)
    return frozenset(exact), frozenset(i for i in needed if plan.steps[i].op == "noisy")


def _noises(plan: Plan, noisy: Collection[int]) -> str:
    """What a result comes from that depends on nobody's rows: nothing, or values with noise."""
    noises = [plan.steps[i].params for i in sorted(noisy)]
    told = {f"epsilon {each['epsilon']:g}" + f", delta {each['delta']:g}" * bool(each["delta"]) for each in noises}
    return f"data under noise: {' and '.join(sorted(told))}" if told else "no party's data"


def _choosing(plan: Plan) -> frozenset[int]:
    """The steps that compare single rows, or compute functions of them: by these rows can be chosen, in secret."""
    steps = [i for i, step in enumerate(plan.steps) if step.op in _CONDITIONS | _FUNCTIONS]
    if not steps:
        return frozenset()
    try:
        several = frozenset(range(len(plan.steps))).intersection(*(aggregates(plan, p, 2) for p in plan.parties))
    except PlanError:  # then any value may be about single rows
        return frozenset(steps)
    return frozenset(i for i in steps if not several.issuperset(plan.steps[i].inputs))


def _chosen(plan: Plan, steps: Collection[int]) -> str:
    """What these steps do to the rows that a result is computed from."""
    if any(plan.steps[i].op in _CONDITIONS for i in steps):
        return ", of which a secret condition selects some, perhaps one"
    return ", of which a function of single rows may select some, perhaps one" if steps else ""


def _error(plan: Plan, result: int, laws: _Noise) -> str:
    """By how much noise puts a result off that is a noised value as it is."""
    step = plan.steps[result]
    if (law := laws.get(step.inputs[0])) is None or step.params["unit"]:
        return ""
    deviation = math.sqrt(math.fsum(each.variance for each in law.values())) / plan.types[result].domain.denominator
    return f", which puts {'each' if plan.types[result].shape else 'it'} off by {deviation:.3g} (standard deviation)"


def _cost(plan: Plan, source: SourceName) -> Iterator[str]:
    schedule = Schedule(plan, protocol_for(source))
    cost = estimate(plan, schedule.protocol)
    yield "cost"
    yield f"  rounds            {cost.rounds}"
    for party, sent in cost.bytes_sent.items():
        yield f"  {party + ' sends':<18}{sent:,} bytes"
    yield f"  time, LAN         about {_seconds(cost.seconds(*LAN))} (0.5 ms round trip, 1 Gbit/s)"
    yield f"  time, WAN         about {_seconds(cost.seconds(*WAN))} (40 ms round trip, 100 Mbit/s)"
    material = f"{cost.pieces:,} correlations of {cost.material_words:,} words"
    yield f"  offline           {material}, {source}: {_offline(schedule, source)}"
    other: SourceName = "dealer" if source == "pairwise" else "pairwise"
    yield f"  {'by ' + other:<18}{_instead(plan, other)}"
    if source == "pairwise" and not missing(schedule, source):
        yield from _products(schedule)


def _offline(schedule: Schedule, source: SourceName) -> str:
    """What it takes to have the random material."""
    if where := missing(schedule, source):
        return f"not possible, {where} needs what only a dealer supplies"
    sent = offline_bytes(schedule, source)
    whose = "from" if source == "pairwise" else "to"
    told = ", ".join(f"{size:,} bytes {whose} {party}" for party, size in sent.items() if size)
    lan, wan = (_seconds(offline_seconds(schedule, source, *network)) for network in (LAN, WAN))
    return f"{told}; about {lan}, WAN {wan}" if told else "nothing to send"


def _products(schedule: Schedule) -> Iterator[str]:
    """Dots and matrix products without a dealer, by line of the script: which of two ways, and the bytes of each."""
    plan, everyone = schedule.plan, range(len(schedule.plan.parties))
    material: dict[int, list[Demand]] = {}
    for (i, *_), demand in schedule.demands():
        material.setdefault(int(i), []).append(demand)
    times: Counter[str] = Counter()
    offline: dict[str, Counter[int]] = {}
    online: dict[str, Counter[int]] = {}
    lattice = False
    for i, instruction in enumerate(schedule.program):
        if not isinstance(instruction.action, SecretProduct) or instruction.action.product.kind != "matmul":
            continue
        product = instruction.action.product
        shapes = [" x ".join(f"{n:,}" for n in shape) for shape in (product.x_shape, product.y_shape)]
        left, right = reversed(shapes) if product.flipped else shapes
        way = "offline, random operands ahead" if i in material else "direct, operands encrypted"
        line = f"{plan.origins.get(instruction.step, 'matmul')}: {left} by {right}: {way}"
        times[line] += 1
        lattice = lattice or pays(product)
        offline.setdefault(line, Counter())
        for demand in material.get(i, ()):
            offline[line].update(pairwise_costs.sent(demand, everyone))
        for piece in schedule.pieces(i):
            online.setdefault(line, Counter()).update(dict(enumerate(schedule.cost(i, piece).words)))
    if times:
        yield "  products"
    for line, count in times.items():
        yield f"    {line}{f', {count} times' if count > 1 else ''}"
        for phase, words in (("offline", offline[line]), ("online", online[line])):
            if told := _each(plan, words):
                yield f"      {phase:<14}{told}"
    if lattice:
        yield f"    lattice encryption hides inputs by {HIDING} bits, over all of these together"


def _each(plan: Plan, words: Mapping[int, int]) -> str:
    """What each party sends that sends something."""
    return ", ".join(f"{8 * words[i]:,} bytes from {name}" for i, name in enumerate(plan.parties) if words.get(i))


def _instead(plan: Plan, source: SourceName) -> str:
    """What all would cost with material from the other source."""
    schedule = Schedule(plan, protocol_for(source))
    cost = estimate(plan, schedule.protocol)
    return f"{_offline(schedule, source)}; online {sum(cost.bytes_sent.values()):,} bytes in {cost.rounds} rounds"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
