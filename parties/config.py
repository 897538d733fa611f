"""Who belongs to the consortium and how each is reached (consortium.toml); what one of them has where (party.toml)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from parties.documents import Document, Name, check_name, digest, load
from parties.errors import Fault
from parties.identity import Identity

__all__ = [
    "Consortium",
    "Endpoints",
    "Member",
    "Party",
    "PartyConfig",
    "Process",
    "StockTerms",
    "check_identity",
    "party_name",
]

RESERVED = frozenset({"all", "analyst", "dealer", "public"})
"""Names that no party may have: they are roles and recipients."""

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]")


def party_name(text: str) -> str:
    """The text, if a party may be called that. Raises ValueError."""
    if check_name(text) in RESERVED:
        raise ValueError(f"must not be any of {', '.join(sorted(RESERVED))}, which mean something else")
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError('must be "host:port", for example "10.0.0.7:7700" or "[fe80::1]:7700"')
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError('must be a host without a port, for example "0.0.0.0"')
    return text


def _verify_key(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("must be the 64 hexadecimal digits of an Ed25519 public key")
    return text


def _transport_key(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z.:+=^!/*?&<>()\[\]{}@%$#-]{40}", text):
        raise ValueError("must be the 40 characters of a CURVE public key")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Endpoints(Document):
    """Where a process is reached: "host:port" for control connections, and for sealed data frames."""

    address: Address
    data: Address


class Member(Document):
    """Somebody in the consortium, by name and public keys."""

    name: Name
    verify_key: Annotated[str, AfterValidator(_verify_key)]
    transport_key: Annotated[str, AfterValidator(_transport_key)]


class Process(Member, Endpoints):
    """A member that listens: a party or the dealer."""


class Party(Process):
    """A member that holds data."""

    name: Annotated[str, AfterValidator(party_name)]


class Consortium(Document):
    """All members. The order of the parties is the protocol's order."""

    name: Name
    parties: Annotated[tuple[Party, ...], Field(alias="party", strict=False, min_length=2, max_length=64)]
    dealer: Process | None = None
    analysts: Annotated[tuple[Member, ...], Field(alias="analyst", strict=False)] = ()

    @classmethod
    def load(cls, path: Path) -> Consortium:
        """The consortium.toml at `path`. Raises Fault CONFIG_MISSING or CONFIG_INVALID."""
        return load(cls, path, "CONFIG", "Make a consortium with `beaver init`, or correct the path.")

    @property
    def party_names(self) -> tuple[str, ...]:
        """The parties' names, in order."""
        return tuple(party.name for party in self.parties)

    @property
    def processes(self) -> tuple[Process, ...]:
        """All that listen: the parties, then the dealer if there is one."""
        return self.parties + ((self.dealer,) if self.dealer else ())

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody."""
        return (*self.processes, *self.analysts)

    def member(self, name: str) -> Member:
        """The member of this name. Raises Fault UNKNOWN_MEMBER."""
        for member in self.members:
            if member.name == name:
                return member
        raise Fault(
            "UNKNOWN_MEMBER",
            f"The consortium {self.name} has no member {name[:40]!r}.",
            f"There are: {', '.join(member.name for member in self.members)}.",
        )

    def process(self, name: str) -> Process:
        """The party or dealer of this name. Raises Fault UNKNOWN_MEMBER."""
        member = self.member(name)
        if not isinstance(member, Process):
            raise Fault("UNKNOWN_MEMBER", f"{name} is an analyst and listens nowhere.", "Name a party or the dealer.")
        return member

    def by_transport_key(self, key: str) -> str | None:
        """The name of the member with this CURVE public key."""
        return next((member.name for member in self.members if member.transport_key == key), None)

    def digest(self) -> bytes:
        """SHA-256 over the content; comments do not matter, the order of the parties does."""
        return digest(self)

    @model_validator(mode="after")
    def _consistent(self) -> Consortium:
        for member in (*self.analysts, *((self.dealer,) if self.dealer else ())):
            if member.name in {"all", "public"}:
                raise ValueError(f"{member.name!r} is a reserved name; choose another")
        for field in ("name", "verify_key", "transport_key"):
            if twice := _twice(getattr(member, field) for member in self.members):
                raise ValueError(f"two members have the same {field} {twice!r}; every member needs its own")
        if twice := _twice(end for process in self.processes for end in (process.address, process.data)):
            raise ValueError(f"two addresses are the same, {twice!r}; every address and data needs its own")
        return self


class StockTerms(Document):
    """How much random material a node has made ahead, where the agreement lets it be kept.

    `elements`: of each kind that its plans want; `most_bytes`: of all its files; `idle_s`: made when no session has run
    for so long.
    """

    elements: Annotated[int, Field(ge=64, le=1 << 28)]
    most_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 50)] = 1 << 30
    idle_s: Annotated[int, Field(ge=1, le=86400)] = 5


class PartyConfig(Document):
    """One member's own files and folders, as absolute paths, and how it reaches and is reached.

    `approval`: "ask" has a person look at every plan here, whatever the agreement says; a session waits for the
    decision `approval_wait_s` seconds at most.
    """

    name: Name
    consortium: Path
    agreement: Path
    key: Path
    data: Path
    state: Path
    results: Path
    bind: Annotated[str, AfterValidator(_host)] | None = None
    reach: Mapping[str, Endpoints] = {}
    approval: Literal["automatic", "ask"] = "automatic"
    approval_wait_s: Annotated[int, Field(ge=1, le=540)] = 540
    stock: StockTerms | None = None

    @field_validator("consortium", "agreement", "key", "data", "state", "results", mode="before")
    @classmethod
    def _within(cls, value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("must be a path in quotes")
        return Path(value)

    @classmethod
    def load(cls, path: Path, environ: Mapping[str, str] = os.environ) -> PartyConfig:
        """The party.toml at `path`. Relative paths in it start at its folder.

        BEAVER_BIND=host replaces `bind`, BEAVER_REACH="north=host:port,host:port;south=..." (control, data) adds to
        `reach`. Raises Fault CONFIG_MISSING or CONFIG_INVALID.
        """
        written = load(cls, path, "CONFIG", "Name the party.toml of a folder that `beaver init` made.")
        folder = path.absolute().parent
        files = ("consortium", "agreement", "key", "data", "state", "results")
        resolved: dict[str, object] = {name: Path(os.path.normpath(folder / getattr(written, name))) for name in files}
        return written.model_copy(update=resolved | _overrides(written, environ))

    def reached(self, process: Process) -> Endpoints:
        """Where this member reaches the other."""
        return self.reach.get(process.name) or Endpoints(address=process.address, data=process.data)

    def control_address(self, process: Process) -> str:
        """Where this member's control connections to a process go: also when it is its own, on this machine."""
        if process.name != self.name:
            return self.reached(process).address
        return self.bound(process).address.replace("0.0.0.0", "127.0.0.1", 1)  # noqa: S104

    def bound(self, process: Process) -> Endpoints:
        """Where this member, being that process, listens."""
        if self.bind is None:
            return Endpoints(address=process.address, data=process.data)
        control, data = (f"{self.bind}:{end.rpartition(':')[2]}" for end in (process.address, process.data))
        return Endpoints(address=control, data=data)


def check_identity(config: PartyConfig, consortium: Consortium, identity: Identity) -> None:
    """Raise Fault WRONG_KEY unless the consortium lists this member with these keys; UNKNOWN_MEMBER if not at all."""
    member = consortium.member(config.name)
    listed, held = (member.verify_key, member.transport_key), (identity.verify_key, identity.transport_key)
    if listed != held:
        raise Fault(
            "WRONG_KEY",
            f"{config.key} does not hold the keys of {config.name}: "
            f"{_fingerprint(held)}, while {config.consortium} lists {_fingerprint(listed)}.",
            f"Put back the key file of {config.name}, or have its new public keys entered in every consortium.toml.",
        )


def _fingerprint(keys: tuple[str, str]) -> str:
    return f"{keys[0][:16]} / {keys[1][:10]}"


def _twice(values: Iterator[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _overrides(written: PartyConfig, environ: Mapping[str, str]) -> dict[str, object]:
    """What the environment says of `bind` and `reach`."""
    changed: dict[str, object] = {}
    try:
        if host := environ.get("BEAVER_BIND"):
            changed["bind"] = _host(host)
    except ValueError as error:
        raise Fault("CONFIG_INVALID", f"The environment's BEAVER_BIND {error}.", "Correct or unset it.") from None
    if text := environ.get("BEAVER_REACH"):
        reach = dict(written.reach)
        try:
            for entry in filter(None, text.split(";")):
                name, _, ends = entry.partition("=")
                control, data = ends.split(",")
                reach[name] = Endpoints(address=_address(control), data=_address(data))
        except ValueError:
            raise Fault(
                "CONFIG_INVALID",
                "The environment's BEAVER_REACH is not of the form name=host:port,host:port;name=...",
                "Correct or unset it.",
            ) from None
        changed["reach"] = reach
    return changed
