"""The handshake of a session, without sockets: hellos, the transcript that all must share, signatures, session keys.

Every participant sends a signed hello with a fresh X25519 key; everyone gets all hellos and checks that all are about
the same computation; everyone signs the transcript. The session id binds every hello, and the keys bind the id.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from parties import wire
from parties.config import Consortium
from parties.errors import Fault
from parties.heads import HEAD_BYTES
from parties.identity import Identity, verify
from protocols.prg import derive

__all__ = ["VERSION", "Ephemeral", "Hello", "Input", "Transcript", "open_hello"]

VERSION = 1
"""Of the protocol between parties: links, handshake, and what a plan means."""

Input = tuple[str, str, str, int]
"""What a party has loaded: table, column, kind, rows."""

_CURSORS = 1 << 62
_SIZES = {"session": 16, "consortium": 32, "agreement": 32, "plan": 32, "ephemeral": 32, "nonce": 32, "signature": 64}
_SAME = {
    "agreement": ("AGREEMENT_DIFFERS", "copies of agreement.toml", "Settle on one agreement.toml at every party."),
    "plan": ("PLAN_DIFFERS", "plans", "Submit the same plan to every party; run the same version of Beaver."),
    "source": ("PARAMETERS_DIFFER", "sources of correlations", "Settle on one source in agreement.toml."),
    "parameters": ("PARAMETERS_DIFFER", "protocol parameters", "Run the same version of Beaver at every party."),
    "session": ("SESSION_DIFFERS", "session ids", "Submit the computation again."),
}
_SAME_FIRST = {
    "version": ("VERSION_DIFFERS", "protocol versions", "Install the same version of Beaver at every party."),
    "consortium": ("CONSORTIUM_DIFFERS", "copies of consortium.toml", "Settle on one consortium.toml at every party."),
}


@dataclass(frozen=True)
class Hello:
    """What a participant says of a session before it: who it is, what it is about to compute, on what, with which key.

    `session` 16 bytes; `consortium`, `agreement`, `plan` SHA-256 digests; `ephemeral` an X25519 public key, `nonce` 32
    bytes; `cursor` the first piece of one-time material reserved; `heads` the packed heads that it holds of the others'
    records, by name; `signature` Ed25519 over all the rest.
    """

    version: int
    session: bytes
    name: str
    role: str
    consortium: bytes
    agreement: bytes
    plan: bytes
    source: str
    parameters: Mapping[str, str | int]
    inputs: tuple[Input, ...]
    ephemeral: bytes
    nonce: bytes
    cursor: int
    heads: Mapping[str, bytes]
    signature: bytes = b""

    def to_wire(self) -> dict[str, object]:
        """The hello as fields of a control message."""
        return vars(self) | {
            "parameters": dict(sorted(self.parameters.items())),
            "inputs": [list(item) for item in self.inputs],
            "heads": dict(sorted(self.heads.items())),
        }

    @classmethod
    def from_wire(cls, message: object) -> Hello:
        """The hello in a message. Raises Fault WIRE_MALFORMED for anything unexpected."""
        if not isinstance(message, dict):
            raise _malformed("a hello is not a map")
        types: dict[str, type] = dict.fromkeys(_SIZES, bytes) | dict.fromkeys(("name", "role", "source"), str)
        types |= {"version": int, "cursor": int, "parameters": dict, "inputs": list, "heads": dict}
        wire.fields(message, **types)
        if any(len(message[name]) != size for name, size in _SIZES.items()):
            raise _malformed("a hello has a field of the wrong length")
        if not 0 <= message["cursor"] < _CURSORS:
            raise _malformed("a hello has a cursor that nobody gets to")
        if not all(type(value) in (str, int) for value in message["parameters"].values()):
            raise _malformed("a hello has a parameter that is neither text nor an integer")
        shape = [str, str, str, int]
        if not all(type(item) is list and [type(part) for part in item] == shape for item in message["inputs"]):
            raise _malformed("a hello has an input that is not table, column, kind and rows")
        if not all(type(head) is bytes and len(head) == HEAD_BYTES for head in message["heads"].values()):
            raise _malformed("a hello has a head of a record that is none")
        return cls(**message | {"inputs": tuple(tuple(item) for item in message["inputs"])})

    def signed(self) -> bytes:
        """The canonical bytes that the signature covers."""
        return wire.pack({name: value for name, value in sorted(self.to_wire().items()) if name != "signature"})


class Ephemeral:
    """The secret half of a hello's X25519 key: for one session, in memory only."""

    def __init__(self) -> None:
        self._secret = X25519PrivateKey.generate()
        self.public = self._secret.public_key().public_bytes_raw()

    def exchange(self, public: bytes) -> bytes:
        """The 32 bytes shared with the owner of `public`. Raises ValueError for a key that would give zeros."""
        return self._secret.exchange(X25519PublicKey.from_public_bytes(public))


def open_hello(
    identity: Identity,
    *,
    session: bytes,
    name: str,
    role: str,
    consortium: bytes,
    agreement: bytes,
    plan: bytes,
    source: str,
    parameters: Mapping[str, str | int],
    inputs: Iterable[Input],
    cursor: int,
    heads: Mapping[str, bytes],
) -> tuple[Hello, Ephemeral]:
    """This participant's signed hello with a fresh key and nonce, and the secret half of that key."""
    ephemeral = Ephemeral()
    hello = Hello(
        version=VERSION,
        session=session,
        name=name,
        role=role,
        consortium=consortium,
        agreement=agreement,
        plan=plan,
        source=source,
        parameters=dict(parameters),
        inputs=tuple((table, column, kind, rows) for table, column, kind, rows in inputs),
        ephemeral=ephemeral.public,
        nonce=os.urandom(32),
        cursor=cursor,
        heads=dict(heads),
    )
    return replace(hello, signature=identity.sign(hello.signed(), "hello")), ephemeral


@dataclass(frozen=True)
class Transcript:
    """All hellos of a session, in order, checked against the consortium and each other. `sid` is the session's digest.

    Raises Fault PARTIES_DIFFER, HELLO_ALTERED (`own` is not among them as it was sent), VERSION_DIFFERS,
    CONSORTIUM_DIFFERS, SIGNATURE_INVALID, AGREEMENT_DIFFERS, PLAN_DIFFERS, PARAMETERS_DIFFER or SESSION_DIFFERS, naming
    who says what.
    """

    hellos: Sequence[Hello]
    consortium: Consortium = field(repr=False)
    names: Sequence[str]
    own: Hello = field(repr=False)
    sid: bytes = field(init=False)

    def __post_init__(self) -> None:
        named = [hello.name for hello in self.hellos]
        if named != list(self.names):
            raise Fault(
                "PARTIES_DIFFER",
                f"The hellos are of {_listed(named)}, the participants should be {_listed(self.names)}.",
                "Submit the computation again; run the same version of Beaver at every party.",
            )
        if self.own not in self.hellos:
            raise Fault("HELLO_ALTERED", f"{self.own.name}'s hello was changed on its way.", "Submit again.")
        for attribute, (code, what, remedy) in _SAME_FIRST.items():
            self._check_same(attribute, code, what, remedy)
        dealer = self.consortium.dealer.name if self.consortium.dealer else None
        for hello in self.hellos:
            key = self.consortium.member(hello.name).verify_key
            if not verify(key, hello.signed(), hello.signature, "hello"):
                raise _unsigned(hello.name, "hello")
            if hello.role != ("dealer" if hello.name == dealer else "party"):
                what = f"{hello.name} takes part as {hello.role[:40]!r}, which consortium.toml does not say."
                raise Fault("PARTIES_DIFFER", what, "Correct the role in its party.toml.", peer=hello.name)
        for attribute, (code, what, remedy) in _SAME.items():
            self._check_same(attribute, code, what, remedy)
        whole = wire.pack({"version": VERSION, "hellos": [hello.signed() for hello in self.hellos]})
        object.__setattr__(self, "sid", hashlib.sha256(whole).digest())

    def hello(self, name: str) -> Hello:
        """What this participant said."""
        return self.hellos[list(self.names).index(name)]

    def sign(self, identity: Identity, statement: bytes) -> bytes:
        """This participant's signature over the transcript and a statement of its own, then the statement."""
        return identity.sign(self.sid + statement, "transcript") + statement

    def verify(self, signatures: Mapping[str, Any]) -> dict[str, bytes]:
        """What every participant stated when it signed this very transcript.

        Raises Fault SIGNATURE_INVALID naming who did not sign it.
        """
        statements = {}
        for name in self.names:
            signed = signatures.get(name)
            key = self.consortium.member(name).verify_key
            if type(signed) is not bytes or not verify(key, self.sid + signed[64:], signed[:64], "transcript"):
                raise _unsigned(name, "transcript")
            statements[name] = signed[64:]
        return statements

    def secrets(self, ephemeral: Ephemeral) -> dict[str, bytes]:
        """The 32 bytes that this participant shares with each other one alone, by name. Raises Fault KEY_REFUSED."""
        return {name: self._secret(ephemeral, name) for name in self.names if name != self.own.name}

    def link_keys(self, peer: str, secret: bytes) -> tuple[bytes, bytes]:
        """The keys for frames to the peer and from it, from the secret shared with it."""
        me = self.own.name
        return derive(secret, "link", self.sid, me, peer), derive(secret, "link", self.sid, peer, me)

    def _secret(self, ephemeral: Ephemeral, peer: str) -> bytes:
        try:
            shared = ephemeral.exchange(self.hello(peer).ephemeral)
        except ValueError:
            what = f"{peer}'s hello has a key that agrees on no secret."
            raise Fault("KEY_REFUSED", what, f"See that {peer} runs Beaver unaltered.", peer=peer) from None
        return derive(shared, "pair", self.sid, *(name for name in self.names if name in (peer, self.own.name)))

    def _check_same(self, attribute: str, code: str, what: str, remedy: str) -> None:
        said: dict[bytes, list[Hello]] = {}
        for hello in self.hellos:
            said.setdefault(wire.pack({attribute: hello.to_wire()[attribute]}), []).append(hello)
        if len(said) > 1:
            sides = (
                f"{_listed([hello.name for hello in hellos])}: {_shown(getattr(hellos[0], attribute))}"
                for hellos in said.values()
            )
            raise Fault(code, f"The parties have different {what}: {'; '.join(sides)}.", remedy)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()[:16]
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value[key]}" for key in sorted(value))[:200]
    return str(value)[:40]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names) or "nobody"


def _malformed(what: str) -> Fault:
    return Fault("WIRE_MALFORMED", f"The message was refused: {what}.", "Run the same version of Beaver everywhere.")


def _unsigned(name: str, what: str) -> Fault:
    return Fault(
        "SIGNATURE_INVALID",
        f"The {what} of {name} is not signed with the key that consortium.toml lists for {name}.",
        f"Check that {name} runs with its own key file and that every consortium.toml lists its present public keys.",
        peer=name,
    )
