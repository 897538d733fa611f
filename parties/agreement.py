"""What the owners agreed to: what may be computed with which tables, for whom, how often, and from when until when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mpc.schema import Column, Schema, Table
from parties.config import Consortium
from parties.documents import Document, Name, digest, load
from parties.errors import Fault
from parties.terms import (
    Begin,
    ColumnTerms,
    End,
    KindName,
    PlanDigest,
    ResultName,
    Retention,
    TableName,
    TableTerms,
    Text,
)

__all__ = ["Agreement"]


class Agreement(Document):
    """One owner's copy of the agreement. Every field is a limit, and a plan must keep within all of them.

    `outputs`: result -> who may receive it; no other result is allowed then. `operations`: the kinds that a plan may
    consist of. `computations`: name -> the only plans that may run. `uses`: how many computations in all. Where any of
    these is None or empty it sets no limit. `valid_until` is the first moment at which the agreement is over.
    `row_conditions`: whether values of single rows may be compared, filtered by and sorted. `noise`: whether each party
    adds a full share, or, where `colluding` parties at most pool what they know or leave theirs out, parts that are
    enough without theirs. `data`: party -> table -> terms.
    """

    version: Literal[1]
    purpose: Annotated[Text, Field(min_length=1)]
    parties: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    valid_from: Begin | None = None
    valid_until: End | None = None
    uses: Annotated[int, Field(ge=1)] | None = None
    approval: Literal["automatic", "ask"] = "automatic"
    protocol: Literal["additive"] = "additive"
    source: Literal["dealer", "pairwise"]
    min_rows: Annotated[int, Field(ge=1)] = 10
    row_conditions: bool = False
    recipients: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    outputs: Mapping[ResultName, Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]] = {}
    operations: Annotated[tuple[KindName, ...], Field(strict=False)] | None = None
    computations: Mapping[Name, PlanDigest] = {}
    retention: Retention = Retention()
    noise: Literal["full", "shared"] = "full"
    colluding: Annotated[int, Field(ge=0)] | None = None
    data: Mapping[Name, Mapping[TableName, TableTerms]] = {}

    @classmethod
    def load(cls, path: Path, consortium: Consortium | None = None) -> Agreement:
        """The agreement.toml at `path`; for a consortium, `data` has every party of it, in its order.

        Raises Fault AGREEMENT_MISSING, AGREEMENT_INVALID naming the field.
        """
        agreement = load(
            cls, path, "AGREEMENT", "Write it with `beaver agreement draft`, or get a copy from the other owners."
        )
        return agreement if consortium is None else agreement._within(consortium, path)

    def digest(self) -> bytes:
        """SHA-256 over the content: comments, order and parties without tables do not matter."""
        content = self.model_dump(mode="python")
        for moment in ("valid_from", "valid_until"):
            content[moment] = content[moment] and content[moment].isoformat()
        for names in ("parties", "recipients", "operations"):
            content[names] = content[names] and sorted(set(content[names]))
        content["outputs"] = {name: sorted(set(to)) for name, to in content["outputs"].items()}
        content["data"] = {party: held for party, held in content["data"].items() if held}
        return digest(content)

    def schema(  # type: ignore[override]  # not the deprecated method of pydantic's models
        self, rows: Mapping[str, Mapping[str, int]] | None = None
    ) -> Schema:
        """The tables as planned with: the agreed bounds on rows, or these counts (party -> table -> rows).

        A table without a count is left out when counts are given. Raises Fault ROWS_ABOVE_AGREEMENT, ROWS_INVALID.
        """
        if rows is None:
            rows = {party: {name: table.rows for name, table in held.items()} for party, held in self.data.items()}
        for party, counts in rows.items():
            for name, count in counts.items():
                self._check_rows(party, name, count)
        return {
            party: {
                name: Table(
                    rows[party][name],
                    {title: _column(terms) for title, terms in table.columns.items()},
                    table.unit_rows,
                )
                for name, table in held.items()
                if name in rows.get(party, {})
            }
            for party, held in self.data.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> Agreement:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_until must be later than valid_from")
        if (self.noise == "shared") is not (self.colluding is not None):
            raise ValueError(
                'noise = "shared" and colluding = ..., how many parties may pool what they know, go together'
            )
        for name, to in self.outputs.items():
            if stranger := next((each for each in to if each not in self.recipients), None):
                raise ValueError(f"outputs: {stranger!r} is to receive {name!r} and is not among recipients")
        return self

    def _check_rows(self, party: str, name: str, count: int) -> None:
        table = self.data.get(party, {}).get(name)
        if table is None or type(count) is not int or count < 1:
            raise Fault(
                "ROWS_INVALID",
                f"{party[:40]} told of {name[:64]!r} what cannot be: an unagreed table, or no row at all.",
                "Check that every party has the same agreement.toml and a table with rows.",
                peer=party[:40],
            )
        if count > table.rows:
            raise Fault(
                "ROWS_ABOVE_AGREEMENT",
                f"{party}.{name} has {count:,} rows; the agreement allows {table.rows:,}.",
                f"Take rows out of the table, or have the owners agree to more under [data.{party}.{name}].",
                peer=party,
            )

    def _within(self, consortium: Consortium, path: Path) -> Agreement:
        if stranger := next(self._strangers(consortium), None):
            raise Fault(
                "AGREEMENT_INVALID",
                f"{path}: {stranger} the consortium {consortium.name}.",
                f"Its parties are {', '.join(consortium.party_names)}; results go to these or its analysts.",
            )
        return self.model_copy(update={"data": {party: self.data.get(party, {}) for party in consortium.party_names}})

    def _strangers(self, consortium: Consortium) -> Iterator[str]:
        members = {member.name for member in (*consortium.parties, *consortium.analysts)}
        yield from (f"data.{name} is not of" for name in self.data if name not in consortium.party_names)
        yield from (f"recipients: {name!r} is not of" for name in self.recipients if name not in members)
        if self.parties and set(self.parties) != set(consortium.party_names):
            yield f"parties: {', '.join(self.parties)} are not the parties of"
        if self.colluding == 0 and (party := next((to for to in self.recipients if to in consortium.party_names), "")):
            yield f"colluding = 0: {party} receives results and knows its own noise, so it must be 1, in"


def _column(terms: ColumnTerms) -> Column:
    return Column(terms.type, *terms.range)
