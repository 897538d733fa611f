"""A plan as a person reads it: whose data, what is revealed to whom, what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from mpc.cost import estimate
from mpc.disclosure import cohorts
from mpc.errors import PlanError
from mpc.plan import Plan
from mpc.schedule import Schedule
from mpc.sources import SourceName, missing, offline_bytes, offline_seconds, protocol_for
from mpc.types import Private, Public, Type

__all__ = ["explain"]

LAN = (0.0005, 125e6)
"""Round trip in seconds, bytes per second: 1 Gbit/s."""

WAN = (0.040, 12.5e6)
"""Round trip in seconds, bytes per second: 100 Mbit/s."""


def explain(plan: Plan, *, source: SourceName = "dealer", steps: bool = False) -> str:
    """Inputs by owner, results with their recipients and the rows behind them, the cost; every step if asked.

    `source`: who makes the random material; what it would cost from the other one is told, too.
    """
    listed = ["", *_steps(plan)] if steps else []
    return "\n".join([*_inputs(plan), "", *_results(plan), *listed, "", *_cost(plan, source)])


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


def _results(plan: Plan) -> Iterator[str]:
    yield "revealed"
    rows = {}
    for party in plan.parties:
        try:
            rows[party] = cohorts(plan, party)
        except PlanError as error:
            yield f"  rows of {party} behind each number: not known ({error.message})"
            rows[party] = {}
    for i, step in plan.of("reveal"):
        name = step.params["name"]
        behind = ", ".join(f"{rows[party][name]:,} rows of {party}" for party in plan.parties if name in rows[party])
        shape = _shape(plan.types[i])
        yield f"  {name} ({shape}) to {', '.join(step.params['to'])} and nobody else"
        yield f"    from at least {behind}" if behind else f"    from {_otherwise(plan, i)}"


def _otherwise(plan: Plan, result: int) -> str:
    """What a result comes from that depends on nobody's rows: nothing, or values with noise."""
    needed = {result}
    for i in range(result, -1, -1):
        if i in needed:
            needed.update(plan.steps[i].inputs)
    noisy = [plan.steps[i].params for i in sorted(needed) if plan.steps[i].op == "noisy"]
    told = {
        f"epsilon {params['epsilon']:g}" + f", delta {params['delta']:g}" * bool(params["delta"]) for params in noisy
    }
    return f"data under noise: {' and '.join(sorted(told))}" if told else "no party's data"


def _steps(plan: Plan) -> Iterator[str]:
    yield "steps"
    for i, (step, type_) in enumerate(zip(plan.steps, plan.types, strict=True)):
        if isinstance(type_.visibility, Private):
            seen = f"at {type_.visibility.owner}"
        else:
            seen = "public" if isinstance(type_.visibility, Public) else "shared"
        inputs = ", ".join(f"#{j}" for j in step.inputs)
        origin = plan.origins.get(i, "")
        yield f"  #{i:<4}{step.op:<10}{inputs:<14}{_shape(type_):<16}{seen:<14}{type_.bits:>3} bits  {origin}".rstrip()


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


def _offline(schedule: Schedule, source: SourceName) -> str:
    """What it takes to have the random material."""
    if where := missing(schedule, source):
        return f"not possible, {where} needs what only a dealer supplies"
    sent = offline_bytes(schedule, source)
    whose = "from" if source == "pairwise" else "to"
    told = ", ".join(f"{size:,} bytes {whose} {party}" for party, size in sent.items() if size)
    lan, wan = (_seconds(offline_seconds(schedule, source, *network)) for network in (LAN, WAN))
    return f"{told}; about {lan}, WAN {wan}" if told else "nothing to send"


def _instead(plan: Plan, source: SourceName) -> str:
    """What all would cost with material from the other source."""
    schedule = Schedule(plan, protocol_for(source))
    cost = estimate(plan, schedule.protocol)
    return f"{_offline(schedule, source)}; online {sum(cost.bytes_sent.values()):,} bytes in {cost.rounds} rounds"


def _shape(type_: Type) -> str:
    return " x ".join(f"{n:,}" for n in type_.shape) or "one number"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
