"""Who a process is: an Ed25519 key that signs, and a CURVE key pair that its control connections speak under."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from parties.errors import Fault

__all__ = ["Identity", "verify"]

_MAX_FILE = 4096
_DOMAIN = b"beaver signature 1"
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Identity:
    """The secret keys of one process, and the public keys that others know it by. Its repr shows public keys alone."""

    verify_key: str
    """The Ed25519 public key, 64 hexadecimal digits."""
    transport_key: str
    """The CURVE public key, 40 characters of Z85."""
    transport_secret: bytes = field(repr=False)
    """The CURVE secret key, 40 bytes of Z85."""
    _signing: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def create(cls) -> Identity:
        """Fresh keys."""
        return cls._of(Ed25519PrivateKey.generate(), zmq.curve_keypair()[1])

    @classmethod
    def load(cls, path: Path) -> Identity:
        """The identity that `save` wrote.

        Raises Fault KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_READABLE (by anyone but its owner) or
        KEY_FILE_DAMAGED.
        """
        text = _read_private(path)
        try:
            fields = tomllib.loads(text.decode())
            if set(fields) != {"version", "signing_key", "transport_secret"} or fields["version"] != 1:
                raise ValueError
            if not _HEX.fullmatch(fields["signing_key"]):
                raise ValueError
            return cls._of(
                Ed25519PrivateKey.from_private_bytes(bytes.fromhex(fields["signing_key"])),
                fields["transport_secret"].encode("ascii"),
            )
        except (ValueError, TypeError, AttributeError, zmq.ZMQError):
            # What failed is not told: it would quote the file.
            raise Fault(
                "KEY_FILE_DAMAGED",
                f"{path} is no Beaver key file, or was damaged.",
                "Restore it from a backup. Or make a new consortium, or new keys and give the others the public ones.",
            ) from None

    def save(self, path: Path) -> None:
        """Write the secret keys to a new file that only its owner may read, and wait until the disk holds them.

        Raises FileExistsError, OSError.
        """
        text = (
            "# The secret keys of this party. Show them to nobody; keep one backup in a safe place.\n"
            f'version = 1\nsigning_key = "{self._signing.private_bytes_raw().hex()}"\n'
            f'transport_secret = "{self.transport_secret.decode()}"\n'
        )
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def sign(self, message: bytes, context: str) -> bytes:
        """The Ed25519 signature, 64 bytes. `context` says what is signed: no signature passes for another purpose."""
        return self._signing.sign(_bound(message, context))

    @classmethod
    def _of(cls, signing: Ed25519PrivateKey, transport_secret: bytes) -> Identity:
        return cls(
            verify_key=signing.public_key().public_bytes_raw().hex(),
            transport_key=zmq.curve_public(transport_secret).decode(),
            transport_secret=transport_secret,
            _signing=signing,
        )


def verify(verify_key: str, message: bytes, signature: bytes, context: str) -> bool:
    """Whether the owner of `verify_key` (64 hexadecimal digits) signed this message in this context."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(verify_key)).verify(signature, _bound(message, context))
    except (InvalidSignature, ValueError):
        return False
    return True


def _bound(message: bytes, context: str) -> bytes:
    purpose = context.encode()
    return _DOMAIN + len(purpose).to_bytes(4, "big") + purpose + message


def _read_private(path: Path) -> bytes:
    try:
        # Not to wait for a writer when the path is a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise Fault(
                    "KEY_FILE_READABLE",
                    f"Others than its owner have access to {path} (mode {mode:04o}), so its keys may be known to them.",
                    f"Run: chmod 600 '{path}'. If somebody may have read it, make new keys.",
                )
            return file.read(_MAX_FILE)
    except FileNotFoundError:
        raise Fault(
            "KEY_FILE_MISSING",
            f"There is no key file {path}.",
            "Correct `key` in party.toml, restore the file from a backup, or make a consortium with `beaver init`.",
        ) from None
    except OSError as error:
        raise Fault(
            "KEY_FILE_UNREADABLE",
            f"{path} cannot be read ({error.strerror}).",
            "It must be a file that belongs to the user who runs this process.",
        ) from None
