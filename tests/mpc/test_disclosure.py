"""One person's value within one revealed number: every way past the count of rows that we could think of."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mpc
from mpc.disclosure import cohorts
from mpc.errors import PlanError, ScriptError
from mpc.filters import FilteredColumn
from mpc.schema import Column, Table

N, TINY = 100, 3
COLUMN = Column("real", -1.0, 1.0)
SCHEMA = {
    "ada": {"t": Table(N, {"x": COLUMN, "z": COLUMN}), "joint": Table(N, {"v": COLUMN})},
    "bob": {"u": Table(N, {"y": COLUMN, "w": COLUMN}), "joint": Table(TINY, {"v": COLUMN})},
}
HOT = np.eye(N)[7]


class Columns:
    def __init__(self, data) -> None:
        self.x, self.z = data.party("ada")["t"]["x"], data.party("ada")["t"]["z"]
        self.y, self.w = data.party("bob")["u"]["y"], data.party("bob")["u"]["w"]
        self.joint, self.data = data.table("joint")["v"], data


def rows(function, party: str = "ada") -> dict[str, int]:
    plan = mpc.computation(lambda data: function(Columns(data))).plan(SCHEMA, precision=4)
    return dict(cohorts(plan, party))


ONE_PERSON = {
    "a row": lambda c: c.x[3],
    "a row by position": lambda c: c.x[[3]].sum(),
    "the whole column": lambda c: c.x,
    "the column as a matrix": lambda c: c.x.reshape(10, 10),
    "a column less its mean": lambda c: c.x - c.x.mean(),
    "one-hot weights": lambda c: c.x @ HOT,
    "nearly one-hot weights": lambda c: (c.x * (HOT + 1e-3)).sum(),
    "dominated weights": lambda c: c.x @ np.array([1e4] + [1.0] * (N - 1)),
    "a row on top of a sum": lambda c: c.x[0] * 1000 + c.x.sum(),
    "a row on top of a mean": lambda c: c.x.mean() + c.x[0] / N,
    "weights in two factors": lambda c: ((c.x * (HOT * 99 + 1)) * (HOT * 99 + 1)).sum(),
    "weights on both factors": lambda c: ((c.x * (HOT * 99 + 1)) * (c.z * (HOT * 99 + 1))).sum(),
    "weights that cancel": lambda c: (c.x * (1 - HOT)).sum() - c.x.sum(),
    "sums that cancel": lambda c: c.x.sum() - c.x[1:].sum(),
    "means that cancel": lambda c: c.x.mean() * N - c.x[:50].sum() - c.x[51:].sum(),
    "cancelling in a concat": lambda c: mpc.concat([c.x, -c.x[1:]]).sum(),
    "cancelling in a stack": lambda c: mpc.stack([c.x.sum(), -c.x[1:].sum()]).sum(),
    "one more time than the others": lambda c: mpc.concat([c.x, c.x[:1], c.x[:1]]).sum(),
    "nearly even weights, one bit a row": lambda c: c.x[:20] @ (1e5 + 2.0 ** np.arange(20)) + c.x[20:].sum(),
    "weights hidden in the other's data": lambda c: (c.x * (c.y * 0 + HOT)).sum(),
    "weights hidden in one's own": lambda c: (c.x * (c.z * 0 + HOT)).sum(),
    "weights from the other's secret, one-hot": lambda c: c.x @ mpc.concat([c.y[:1], c.y[1:] * 0]),
    "the other's rows, exchanged": lambda c: c.x @ c.y[[1, 0, *range(2, N)]] - c.x @ c.y,
    "the other's rows, shifted": lambda c: (c.x[1:] * (c.y[1:] - c.y[:-1])).sum(),
    "the other's rows, less the first": lambda c: c.x @ (c.y - c.y[:1]),
    "one's own rows, shifted": lambda c: (c.x[1:] * c.x[:-1]).sum(),
    "a row broadcast": lambda c: (c.x[:1] * np.ones(N)).sum(),
    "a row as a matrix": lambda c: (c.x.reshape(N, 1)[4:5] * np.ones((N, 2))).sum(),
    "a row of a transposed stack": lambda c: mpc.stack([c.x, c.z]).T[0].sum(),
    "a row of a product with a matrix": lambda c: (c.x @ np.eye(N))[5],
    "a row of an outer product": lambda c: (c.x[:, None] * c.x[None, :])[2].sum(),
    "the diagonal": lambda c: (c.x[:, None] * c.z[None, :] * np.eye(N))[2:3].sum(),
    "a gram matrix over the wrong axis": lambda c: mpc.stack([c.x, c.z], axis=1) @ mpc.stack([c.x, c.z], axis=1).T,
    "reshaped, then weighted": lambda c: (c.x.reshape(10, 10) * HOT.reshape(10, 10)).sum(),
    "a product with the other's row": lambda c: c.x[2] * c.y[2],
    "one row against the other's sum": lambda c: c.x[2] * (c.y.sum() - 1),
    "steps of a slice": lambda c: c.x[::99][:1].sum(),
    "where the smallest stands": lambda c: c.x.argmin(),
    "who comes first": lambda c: c.x.argsort()[0],
    "the sum up to a row": lambda c: c.x.cumsum()[5] - c.x.cumsum()[4],
    "the smallest of a row": lambda c: mpc.stack([c.x, c.z], axis=1).min(axis=1)[2],
    "a row beside the sorted ones": lambda c: (c.x * c.z.sort()).sum(),
    "the other's rows in order, exchanged": lambda c: c.x @ c.y.sort()[[1, 0, *range(2, N)]] - c.x @ c.y.sort(),
    "the largest under weights that pick": lambda c: (c.x * HOT).max(),
    "a quantile of few": lambda c: mpc.median(c.x[:2]),
}


@pytest.mark.parametrize("case", ONE_PERSON)
def test_one_person_counts_as_at_most_two_rows(case: str) -> None:
    assert rows(ONE_PERSON[case])["result"] <= 2


AGGREGATES = {
    "sum": (lambda c: c.x.sum(), N),
    "count": (lambda c: c.data.party("ada")["t"].count(), N),
    "mean": (lambda c: c.x.mean(), N),
    "mean of few": (lambda c: c.x[:5].mean(), 5),
    "every second": (lambda c: c.x[::-2].sum(), N // 2),
    "chosen rows": (lambda c: c.x[[1, 5, 9]].sum(), 3),
    "two groups under two weights": (lambda c: c.x @ np.repeat([1.0, 2.0], [60, 40]), 40),
    "a group and the whole": (lambda c: c.x[:30].sum() + c.x.sum(), 30),
    "times a number": (lambda c: c.x.sum() * 1000 - 7, N),
    "means subtracted": (lambda c: c.x.mean() - c.z.mean() / 3, N),
    "variance": (lambda c: ((c.x - c.x.mean()) * (c.x - c.x.mean())).sum(), N),
    "covariance across parties": (lambda c: mpc.dot(c.x - c.x.mean(), c.y - c.y.mean()), N),
    "dot": (lambda c: mpc.dot(c.x, c.y), N),
    "weights that are the other's data": (lambda c: mpc.dot(c.x, c.y * c.w), N),
    "a correlation": (lambda c: mpc.stats.corr(c.x, c.z), N),
    "a correlation of few": (lambda c: mpc.stats.corr(c.x[:7], c.z[:7]), 7),
    "a regression": (lambda c: mpc.linear_model.LinearRegression().fit(mpc.stack([c.x, c.z], axis=1), c.w).coef_, N),
    "even public weights": (lambda c: c.x @ np.full(N, 0.25), N),
    "gram": (lambda c: mpc.stack([c.x, c.z], axis=1).T @ mpc.stack([c.x, c.z, c.y], axis=1), N),
    "public weights over columns": (lambda c: (mpc.stack([c.x, c.z], axis=1) @ np.array([2.0, 5.0])).sum(), N),
    "moments side by side": (lambda c: mpc.stack([c.x.sum(), (c.x * c.x).sum()]), N),
    "broadcast": (lambda c: (c.x[:, None] * np.ones((1, 4))).sum(axis=0), N),
    "reshaped to a matrix of one column": (lambda c: c.x.reshape(N, 1).T @ c.y.reshape(-1, 1), N),
    "square of a sum": (lambda c: c.x.sum() * c.x.sum(), N),
    "smallest and largest": (lambda c: mpc.stack([c.x.min(), c.z.max()]), N),
    "the largest of two columns": (lambda c: mpc.stack([c.x, c.z], axis=1).max(axis=0), N),
    "the largest of a half": (lambda c: c.x[:50].max(), 50),
    "a median": (lambda c: mpc.median(c.x), N),
    "quantiles beside each other": (lambda c: mpc.quantile(c.x, [0.1, 0.9]), N),
    "in order": (lambda c: c.x.sort()[::10], N),
    "a median of those selected": (lambda c: FilteredColumn(c.x, c.z > 0).median(), N),
    "a mean of those that the other selects": (lambda c: FilteredColumn(c.x, c.y > 0).mean(), N),
    "sums up to each, of sums": (lambda c: mpc.stack([c.x.sum(), c.z.sum()]).cumsum(), N),
    "the largest sums": (lambda c: mpc.top_k(mpc.stack([c.x.sum(), c.z.sum(), c.x[:60].sum()]), 2)[1], 40),
    "two halves of a concat": (lambda c: mpc.concat([c.x[:50] * 2, c.x[50:]]).sum(), 50),
}


@pytest.mark.parametrize("case", AGGREGATES)
def test_aggregates_count_their_rows(case: str) -> None:
    function, expected = AGGREGATES[case]
    assert set(rows(function).values()) == {expected}


def test_every_party_is_judged_by_its_own_rows() -> None:
    assert rows(lambda c: c.joint.sum(), "ada") == {"result": N}
    assert rows(lambda c: c.joint.sum(), "bob") == {"result": TINY}
    assert rows(lambda c: c.joint.mean(), "bob") == {"result": TINY}
    assert rows(lambda c: (mpc.stack([c.joint, c.joint * 2]) @ c.joint)[0], "bob") == {"result": TINY}
    assert rows(lambda c: {"mine": c.x.sum(), "both": c.x.sum() * c.y[0]}, "bob") == {"both": 1}


def test_a_result_without_numbers_reveals_nothing() -> None:
    assert rows(lambda c: {"none": c.x[:0], "all": c.x.sum()}) == {"all": N}


def test_what_is_too_large_to_judge_is_refused() -> None:
    n = 1 << 26
    schema = {"ada": {"t": Table(n, {"x": COLUMN})}, "bob": {"t": Table(n, {"x": COLUMN})}}
    plan = mpc.computation(lambda data: data.party("ada")["t"]["x"].reshape(1 << 13, 1 << 13).sum()).plan(schema)
    with pytest.raises(PlanError, match="too large"):
        cohorts(plan, "ada")


SMALL = 6
SMALL_SCHEMA = {
    "ada": {"t": Table(SMALL, {"x": Column("integer", -1, 1), "z": Column("integer", -1, 1)})},
    "bob": {"u": Table(SMALL, {"y": Column("integer", -1, 1)})},
}
WEIGHTS = [np.array([1, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 0, 0, 0]), np.array([1, 1, 1, 1, 1, 0])]
VECTORS = ["add", "subtract", "multiply", "weigh", "shift", "take", "join", "plus sum", "times element", "matrix"]
VECTORS += ["sort", "rank", "cumulate", "plus least", "plus place"]
moves = st.tuples(st.sampled_from(VECTORS), *[st.integers(0, 5)] * 3)


def follow(program, x, z, y, join):
    """A number made of three columns by a random program; the same for secret values and for numpy."""
    values = [x, z, y]
    for move, i, j, k in program:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append(
            {
                "add": lambda a=a, b=b: a + b,
                "subtract": lambda a=a, b=b: a - b,
                "multiply": lambda a=a, b=b: a * b,
                "weigh": lambda a=a, k=k: a * WEIGHTS[k % 3],
                "shift": lambda a=a, k=k: a + WEIGHTS[k % 3],
                "take": lambda a=a, k=k: a[[k, *range(1, SMALL)]],
                "join": lambda a=a, b=b, k=k: join([a[:k], b[k:]]),
                "plus sum": lambda a=a, b=b: a + b.sum(),
                "times element": lambda a=a, b=b, k=k: a * b[k],
                "matrix": lambda a=a, b=b: (a[:, None] * b[None, :]).sum(axis=0),
                "sort": lambda a=a: np.sort(a),
                "rank": lambda a=a: np.argsort(a, stable=True),
                "cumulate": lambda a=a: a.cumsum(),
                "plus least": lambda a=a, b=b: a + b.min(),
                "plus place": lambda a=a, b=b: a + b.argmax(),
            }[move]()
        )
    return values[-1].sum() - values[-2].sum()


@settings(max_examples=400, deadline=None)
@given(st.lists(moves, min_size=1, max_size=6), st.integers(0, 2**32))
def test_rows_that_count_can_change_places(program, seed: int) -> None:
    """Soundness: a row that a number depends on has as many rows alike, itself included, as its parties all count."""

    @mpc.computation
    def number(data):
        ada, bob = data.party("ada")["t"], data.party("bob")["u"]
        return follow(program, ada["x"], ada["z"], bob["y"], mpc.concat)

    try:
        plan = number.plan(SMALL_SCHEMA)
    except (PlanError, ScriptError):
        assume(False)
    rng = np.random.default_rng(seed)
    table = rng.integers(-1000, 1000, (3, SMALL)).astype(object)

    def value(table) -> int:
        return int(follow(program, *table, np.concatenate))

    def swapped(i: int, j: int):
        order = list(range(SMALL))
        order[i], order[j] = j, i
        return table[:, order]

    counted = min((n for party in SMALL_SCHEMA for n in cohorts(plan, party).values()), default=SMALL)
    for i in range(SMALL):
        for mine in ([0, 1], [2]):
            moved = table.copy()
            moved[mine, i] += 12345
            if value(moved) != value(table):
                assert counted <= sum(value(swapped(i, j)) == value(table) for j in range(SMALL))
