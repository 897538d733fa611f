"""Who signed an agreement: agreement.signatures.toml beside agreement.toml, a table a party.

A signature covers the agreement's content, the consortium with all its keys, the signer and the time: it stands for no
other agreement, among no other members. Comments and the order of lines may change; anything else needs new signatures.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from parties import wire
from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig, check_identity
from parties.documents import Document, Name, load
from parties.errors import Fault
from parties.identity import Identity, verify

__all__ = ["NOBODY_SIGNED", "Signature", "check_signed", "sign", "signatures", "signatures_path", "texts", "verified"]

NOBODY_SIGNED = """\
# Who signed agreement.toml beside this file, and when. `beaver agreement sign` writes it, `beaver agreement verify`
# checks it. Whoever signs at another place sends the lines of that signature, to be put below the others' here.
"""
"""What the file says before anybody has signed."""


def _hex_signature(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{128}", text):
        raise ValueError("must be the 128 hexadecimal digits of a signature")
    return text


def _moment(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("must say its time zone")
    return moment.astimezone(UTC)


class Signature(Document):
    """One party's: when, by the signer's clock, and the Ed25519 signature in hexadecimal digits."""

    signed: Annotated[datetime, AfterValidator(_moment)]
    signature: Annotated[str, AfterValidator(_hex_signature)]


class _Signatures(Document):
    version: Literal[1] = 1
    by: Mapping[Name, Signature] = {}


def signatures_path(agreement: Path) -> Path:
    """Where the signatures of the agreement.toml at this path are."""
    return agreement.with_name(f"{agreement.stem}.signatures.toml")


def signatures(agreement: Path) -> Mapping[str, Signature]:
    """The signatures beside the agreement.toml at this path, by party, as they stand there; nobody verified them.

    A file that is not there holds none. Raises Fault SIGNATURES_INVALID, or SIGNATURES_MISSING for an unreadable one.
    """
    path = signatures_path(agreement)
    if not os.path.lexists(path):
        return {}
    return load(_Signatures, path, "SIGNATURES", "Give it to the user who runs this process.").by


def texts(agreement: Path) -> tuple[bytes, bytes]:
    """The agreement.toml at this path and its signatures as they stand there, empty where there is no file."""
    return _text(agreement), _text(signatures_path(agreement))


def verified(agreement: Agreement, path: Path, consortium: Consortium) -> dict[str, datetime | None]:
    """Of each party, in order, when it signed this very agreement, kept at `path`; None if it did not."""
    return _verified(signatures(path), agreement, consortium)


def check_signed(agreement: Agreement, path: Path, consortium: Consortium) -> None:
    """Raise Fault unless every party signed this very agreement, kept at `path`, in this consortium.

    AGREEMENT_ALTERED names the parties who signed something else, AGREEMENT_UNSIGNED those who did not sign.
    """
    found = signatures(path)
    unsigned = [party for party, when in _verified(found, agreement, consortium).items() if when is None]
    if altered := [party for party in unsigned if party in found]:
        raise Fault(
            "AGREEMENT_ALTERED",
            f"{path} is not what {', '.join(altered)} signed: it was changed, or the members in consortium.toml were.",
            "Put back what was signed, or have every party sign this one: beaver agreement sign.",
            peer=altered[0],
        )
    if unsigned:
        raise Fault(
            "AGREEMENT_UNSIGNED",
            f"{path} is not signed by {', '.join(unsigned)}: nothing runs before every party has signed.",
            f"Have each of them run `beaver agreement sign`, and put the signatures into {signatures_path(path).name}.",
            peer=unsigned[0],
        )


def sign(config: PartyConfig, now: float) -> Agreement:
    """Sign the member's agreement with its key, beside the agreement; others' signatures that are not for it go.

    `now`: seconds since 1970. Raises Fault NOT_A_PARTY, WRONG_KEY and what loading its files raises; OSError when the
    signature cannot be written.
    """
    consortium = Consortium.load(config.consortium)
    if config.name not in consortium.party_names:
        what = f"{config.name} is no party of {consortium.name}, so it has nothing to sign."
        raise Fault("NOT_A_PARTY", what, f"The parties sign: {', '.join(consortium.party_names)}.")
    agreement = Agreement.load(config.agreement, consortium)
    identity = Identity.load(config.key)
    check_identity(config, consortium, identity)
    digest = agreement.digest(), consortium.digest()
    standing = {
        party: found
        for party, found in signatures(config.agreement).items()
        if party in consortium.party_names and _good(found, digest, consortium, party)
    }
    when = datetime.fromtimestamp(int(now), UTC)
    made = identity.sign(_covered(digest, config.name, when), "agreement")
    standing[config.name] = Signature(signed=when, signature=made.hex())
    parts = [_written(party, standing[party]) for party in consortium.party_names if party in standing]
    _replace(signatures_path(config.agreement), "\n".join([NOBODY_SIGNED, *parts]))
    return agreement


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _verified(
    found: Mapping[str, Signature], agreement: Agreement, consortium: Consortium
) -> dict[str, datetime | None]:
    digest = agreement.digest(), consortium.digest()
    return {
        party: found[party].signed if party in found and _good(found[party], digest, consortium, party) else None
        for party in consortium.party_names
    }


def _good(found: Signature, digest: tuple[bytes, bytes], consortium: Consortium, party: str) -> bool:
    key = consortium.member(party).verify_key
    return verify(key, _covered(digest, party, found.signed), bytes.fromhex(found.signature), "agreement")


def _covered(digest: tuple[bytes, bytes], party: str, when: datetime) -> bytes:
    agreement, consortium = digest
    return wire.pack({"agreement": agreement, "consortium": consortium, "party": party, "signed": when.isoformat()})


def _written(party: str, made: Signature) -> str:
    return f'[by.{party}]\nsigned = {made.signed:%Y-%m-%dT%H:%M:%SZ}\nsignature = "{made.signature}"\n'


def _replace(path: Path, text: str) -> None:
    """Put the file in place whole, on the disk when this returns."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()
