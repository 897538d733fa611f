"""An agreement as people read it who sign it: sentences, then a table for every table that takes part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from parties.agreement import Agreement
from parties.config import Consortium
from parties.errors import printable
from parties.terms import Budget, ColumnTerms, TableTerms

__all__ = [
    "ANY_OPERATION",
    "budget",
    "column_range",
    "column_rows",
    "end_of",
    "exact",
    "listed",
    "moment",
    "noise",
    "noise_of",
    "sentences",
    "single_rows",
    "smallest_group",
    "table_sentence",
    "told",
]

_KINDS = {
    "counts": "how many rows there are",
    "sums": "adding and subtracting, sums, means",
    "products": "multiplying values with each other, as for variances, correlations and regressions",
    "functions": "quotients, roots, exponentials, logarithms",
    "equations": "solving systems of equations, as a regression does",
    "comparisons": "comparing values, and going on with those for which something holds",
    "rankings": "sorting, the smallest and the largest value, medians and other quantiles",
    "choices": "taking out rows by their position",
}
"""What the kinds of operations are, in plain words."""

ANY_OPERATION = "any operation that Beaver has"

_SOURCES = {
    "dealer": "a dealer, a further process that sees no data. Whoever runs it must work with none of the parties",
    "pairwise": "the parties among themselves, two and two; no further process is trusted",
}


def sentences(agreement: Agreement, consortium: Consortium) -> Iterator[tuple[str, str]]:
    """A word for what it is about, and what is agreed on it, clause by clause."""
    parties = listed(consortium.party_names)
    analysts = [analyst.name for analyst in consortium.analysts]
    yield "purpose", printable(agreement.purpose)
    yield "parties", f"{parties} hold data. Scripts are submitted by {listed(analysts) if analysts else 'nobody yet'}."
    yield "term", _term(agreement)
    yield "approval", _approval(agreement)
    yield "may be computed", _computed(agreement)
    yield "results", _results(agreement)
    yield "smallest group", smallest_group(f"{agreement.min_rows:,}")
    yield "single rows", single_rows(agreement.row_conditions)
    yield (
        "random material",
        f"The computation ({agreement.protocol} secret sharing) uses random numbers, supplied by "
        f"{_SOURCES[agreement.source]}.",
    )
    yield "noise", noise(agreement)
    yield "kept", _kept(agreement)


def table_sentence(table: TableTerms) -> str:
    """What is agreed on a whole table."""
    about = f"{printable(table.about)}. " if table.about else ""
    unit = f"{printable(table.unit)} says whose a row is: {table.unit_rows:,} rows each at most. " if table.unit else ""
    return (
        f"{about}At most {table.rows:,} rows; their number is told {told(table)}. {unit}"
        f"{exact(table).capitalize()}. {budget(table.budget).capitalize()}."
    )


def told(table: TableTerms) -> str:
    """How the number of rows is told."""
    if noise := table.count_noise:
        return (
            f"with noise, lower than it is, and the last rows take no part (each new number costs the budget epsilon "
            f"{noise.epsilon:g}, delta {noise.delta:g})"
        )
    return {"exact": "exactly", "rounded": "rounded down"}[table.counts]


def column_rows(columns: Mapping[str, ColumnTerms]) -> Iterator[tuple[str, str, str, str]]:
    """Of each column that takes part: its name, type, range, and what it is about."""
    for name, column in columns.items():
        yield printable(name), column.type, column_range(column), printable(column.about)


def column_range(column: ColumnTerms) -> str:
    """The range as people write one."""
    low, high = (f"{end:,}" if isinstance(end, int) else f"{end:,g}" for end in column.range)
    return f"{low} to {high}"


def exact(table: TableTerms) -> str:
    """How many numbers without noise the table may give."""
    if table.exact_results is None:
        return "any number of exact results, without noise, may rest on it"
    if not table.exact_results:
        return "no exact result may rest on it: noise is added to each"
    return f"{table.exact_results:,} exact numbers, without noise, may rest on it, of a list each of its own"


def budget(terms: Budget | None) -> str:
    """How much noised results may tell."""
    if terms is None:
        return "no result with noise may rest on it, as there is no privacy budget"
    delta = f", delta {terms.delta:g}" if terms.delta else ""
    period = f"in any {terms.days:,} days" if terms.days else "in the whole term"
    return f"privacy budget for results with noise: epsilon {terms.epsilon:g}{delta}, {period}"


def moment(when: datetime) -> str:
    """A moment, or a whole day's beginning, in UTC."""
    when = when.astimezone(UTC)
    return f"{when:%Y-%m-%d}" if not _within_day(when) else f"{when:%Y-%m-%d %H:%M} UTC"


def end_of(when: datetime) -> str:
    """A first moment after, as the last day before it where it is a whole one."""
    when = when.astimezone(UTC)
    return moment(when) if _within_day(when) else f"the end of {when - timedelta(days=1):%Y-%m-%d} (UTC)"


def listed(names: Sequence[str]) -> str:
    """The names, with `and` before the last."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def smallest_group(rows: str) -> str:
    """From how many rows numbers are computed; true whether or not single rows may be compared."""
    return (
        f"Every number in a result that rests on a party's data is computed from at least {rows} of its rows, "
        "unless it has noise."
    )


def single_rows(conditions: bool) -> str:
    """Whether single rows may be compared, and what that means for the smallest group."""
    if conditions:
        return (
            "Values of single rows may be compared, filtered by and sorted, while they stay secret: of the rows that a "
            "result is computed from, a condition can select few, or one, and the result rests on these alone."
        )
    return "Values of single rows are not compared, filtered by or sorted for a result without noise."


def noise(agreement: Agreement) -> str:
    """Who adds noise to results with noise, and what is taken for granted then."""
    return noise_of(agreement.colluding)


def noise_of(colluding: int | None) -> str:
    """The same by what is agreed on `colluding`; None: each party adds a full share."""
    altered = (
        "where values of several parties are multiplied or compared with each other, no party has altered its software"
    )
    if colluding is None:
        return (
            "Each party adds enough noise for its own rows, so that all others together cannot take it off: "
            f"nothing needs to be taken for granted, except that {altered}."
        )
    if colluding == 0:
        taken = "no party shows anybody what noise it added, or leaves it out"
    else:
        most = f"{colluding:,} of the parties" if colluding > 1 else "one party"
        taken = f"at most {most} may show the others, or the recipients, what noise it added, or leave it out"
    return (
        f"Results with a delta are more accurate, because the parties add noise in parts. This takes for granted that "
        f"{taken}; and that {altered}. If more do, a reader can tell more about persons than the privacy budget says."
    )


def _within_day(when: datetime) -> bool:
    return bool(when.hour or when.minute or when.second or when.microsecond)


def _term(agreement: Agreement) -> str:
    begin = f"From {moment(agreement.valid_from)}" if agreement.valid_from else "From when every party has signed"
    end = f"to {end_of(agreement.valid_until)}" if agreement.valid_until else "with no end"
    if agreement.uses is None:
        return f"{begin} {end}; any number of computations."
    return f"{begin} {end}; {agreement.uses:,} computation{'s' * (agreement.uses > 1)} at most in all."


def _approval(agreement: Agreement) -> str:
    if agreement.approval == "ask":
        return "A person at every party looks at each computation before it runs, and may deny it."
    return "What keeps to this agreement runs without anybody being asked, unless a party has its own node ask."


def _computed(agreement: Agreement) -> str:
    said = []
    if agreement.computations:
        said.append(f"Only these computations: {listed(list(agreement.computations))}.")
    if agreement.operations is None:
        said.append(f"With the columns below: {ANY_OPERATION}." if not agreement.computations else "")
    else:
        words = [f"{kind} ({_KINDS[kind]})" for kind in agreement.operations]
        said.append(f"With the columns below: {listed(words) if words else 'nothing'}.")
    return " ".join(filter(None, said))


def _results(agreement: Agreement) -> str:
    if not agreement.outputs:
        return f"Any, to {listed(agreement.recipients)} and nobody else."
    each = [f"{printable(name)!r} to {listed(to)}" for name, to in agreement.outputs.items()]
    return f"Only {listed(each)}, and to nobody else."


def _kept(agreement: Agreement) -> str:
    material, results = agreement.retention.material_days, agreement.retention.results_days
    first = f"at most {material:,} days" if material else "for one computation only"
    then = f"at most {results:,} days" if results else "as long as that party likes"
    return f"Random material {first}. Results in a party's folder {then}."
