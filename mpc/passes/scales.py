"""Choose scales: every real column and constant keeps as many fractional bits as the whole plan has room for."""

from __future__ import annotations

import math
from dataclasses import replace

from mpc.errors import PlanError
from mpc.operations import ProductOperation
from mpc.operations.inputs import MAX_SCALE, constant_values
from mpc.passes.graph import Graph, Output, copy_step
from mpc.passes.prune import prune
from mpc.plan import Step
from mpc.trace import Trace, whole
from mpc.types import PUBLIC, RING_BITS, SHARED, Type

__all__ = ["choose_scales"]

_MOST_BITS = 52
_SMALLEST = _MOST_BITS - MAX_SCALE
"""The binary exponent of the smallest range that can still have all its bits."""


def choose_scales(graph: Graph, precision: int) -> Graph:
    """The graph with the scales of its real inputs chosen.

    Outputs that no secret product binds together choose apart, so that a mean is not coarser because a product of the
    same column is revealed too: its owner encodes the column twice. Raises PlanError as `_settle` does.
    """
    trace = Trace()
    outputs: list[Output] = []
    for group in _bound_together(graph):
        settled = _settle(prune(Graph(graph.trace, group)), precision)
        place: dict[int, int] = {}
        for number in range(len(settled.trace.steps)):
            place[number] = copy_step(settled, number, trace, place)
        outputs.extend(settled.rebuilt(trace, place).outputs)
    order = {output.name: i for i, output in enumerate(graph.outputs)}
    return Graph(trace, tuple(sorted(outputs, key=lambda output: order[output.name])))


def _bound_together(graph: Graph) -> list[tuple[Output, ...]]:
    """The outputs in groups; two that depend on the same secret product are in one."""
    steps, types = graph.trace.steps, graph.trace.types
    products: list[frozenset[int]] = []
    for i, step in enumerate(steps):
        operands = [types[j].visibility for j in step.inputs]
        secret = (
            isinstance(step.operation, ProductOperation) and types[i].visibility == SHARED and PUBLIC not in operands
        )
        products.append(frozenset({i} if secret else ()).union(*(products[j] for j in step.inputs)))
    groups: list[tuple[frozenset[int], tuple[Output, ...]]] = []
    for output in graph.outputs:
        members: tuple[Output, ...] = (output,)
        uses = products[output.step]
        for group in [group for group in groups if group[0] & uses]:
            groups.remove(group)
            uses, members = uses | group[0], group[1] + members
        groups.append((uses, members))
    return [members for _, members in groups]


def _settle(graph: Graph, precision: int) -> Graph:
    """One group's graph with its scales chosen.

    All real inputs start with 52 significant bits (what a float64 holds) relative to their range. While a step could
    overflow, the inputs that feed it lose a bit. Raises PlanError, naming the step, when one of them would keep fewer
    than `precision`, or when integers alone overflow.
    """
    steps = list(graph.trace.steps)
    reals = {i for i, step in enumerate(steps) if step.op in ("column", "constant") and step.params["kind"] == "real"}
    magnitude = {i: _magnitude(steps[i]) for i in reals}
    bits = {i: min(_MOST_BITS, magnitude[i] + _exact_scale(steps[i])) for i in reals}
    feeds = _feeds(steps, reals)
    while True:
        for i in reals:
            steps[i] = replace(steps[i], params={**steps[i].params, "scale": max(0, bits[i] - magnitude[i])})
        types, too_large = _infer(steps)
        if too_large is None:
            return _with_steps(graph, steps)
        losing = [i for i in feeds[too_large] if bits[i] - magnitude[i] > 0]
        most = max((bits[i] for i in losing), default=0)
        losing = [i for i in losing if bits[i] == most]
        if most <= precision:
            raise _overflow(graph, too_large, types[too_large], losing, precision)
        for i in losing:
            bits[i] -= 1


def _magnitude(step: Step) -> int:
    """The bits before the point that the largest absolute value needs; negative for small ones."""
    if step.op == "column":
        largest = max(abs(step.params["low"]), abs(step.params["high"]))
    else:
        values = constant_values(step.params)
        largest = float(abs(values).max()) if values.size else 0.0
    exponent = math.frexp(largest)[1] if largest else 0
    if exponent < _SMALLEST:
        raise PlanError(f"values of at most {largest:g} are too small to compute with", "Use smaller units.")
    return exponent


def _exact_scale(step: Step) -> int:
    """The scale that holds a constant exactly, if it was found when it was recorded; else the largest there is."""
    if step.op == "constant" and whole(constant_values(step.params), step.params["scale"]):
        return int(step.params["scale"])
    return MAX_SCALE


def _feeds(steps: list[Step], reals: set[int]) -> list[frozenset[int]]:
    """For every step, the real inputs that it depends on."""
    feeds: list[frozenset[int]] = []
    for i, step in enumerate(steps):
        feeds.append(frozenset({i} if i in reals else ()).union(*(feeds[j] for j in step.inputs)))
    return feeds


def _infer(steps: list[Step]) -> tuple[list[Type], int | None]:
    """Types up to the first step that could overflow, which is named; all, if none could."""
    types: list[Type] = []
    for i, step in enumerate(steps):
        types.append(step.infer(types))
        if not types[i].fits:
            return types, i
    return types, None


def _with_steps(graph: Graph, steps: list[Step]) -> Graph:
    trace = Trace()
    place: dict[int, int] = {}
    for i, step in enumerate(steps):
        moved = Step(step.op, tuple(place[j] for j in step.inputs), step.params)
        place[i] = trace.append(moved, graph.trace.origins.get(i, ""))
    return graph.rebuilt(trace, place)


def _overflow(graph: Graph, step: int, type_: Type, losing: list[int], precision: int) -> PlanError:
    origin = graph.trace.origins.get(step, "")
    columns = _columns(graph, step)
    reach = max(abs(type_.low), abs(type_.high)) / type_.domain.denominator
    kept = f" even when real numbers keep only {precision} significant bits" if losing else ""
    where = f"{origin + ': ' if origin else ''}step {step} ({graph.trace.steps[step].op}, shape {type_.shape})"
    return PlanError(
        f"{where} could overflow: by the declared ranges it reaches ±{reach:.3g}, "
        f"which needs {type_.bits} bits{kept}; the ring has {RING_BITS}",
        f"Declare narrower ranges in the agreement, if the data allow it, for {', '.join(columns)}; "
        "or keep them in larger units (thousands), multiply fewer of them together, or sum fewer rows.",
    )


def _columns(graph: Graph, step: int) -> list[str]:
    steps = graph.trace.steps
    wanted, found = {step}, []
    for i in range(step, -1, -1):
        if i in wanted:
            wanted.update(steps[i].inputs)
            params = steps[i].params
            if steps[i].op == "column":
                found.append(
                    f"{params['party']}.{params['table']}.{params['column']} [{params['low']}, {params['high']}]"
                )
    return sorted(found)[:6]
