"""Files of sealed records: each encrypted and authenticated in its place, so that none can be moved or cut off.

AES-256-GCM under a key of this file alone, derived from the node's own key, what the file is, and a random salt at its
beginning. A record's number is its nonce: under a key none comes twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from parties.errors import Fault
from protocols.prg import derive

__all__ = ["KEY_BYTES", "OVERHEAD", "Damaged", "Sealed", "own_key", "sync_folder", "write_sealed"]

KEY_BYTES = 32
OVERHEAD = 16
"""Bytes of a record's tag, and of a file's salt."""


class Damaged(ValueError):  # noqa: N818 - it is the file that is damaged
    """A record is not what was written there: another key, a changed byte, a file that was cut or exchanged."""


class Sealed:
    """A file that `write_sealed` wrote, open for reading. `size`: bytes of every record but the last.

    Raises Damaged, OSError.
    """

    def __init__(self, path: Path, key: bytes, context: bytes, size: int) -> None:
        self._file: BinaryIO = path.open("rb")
        self._context = context
        self._size = size
        salt = self._file.read(OVERHEAD)
        if len(salt) != OVERHEAD:
            self._file.close()
            raise Damaged
        self._cipher = _cipher(key, context, salt)

    def record(self, number: int, size: int) -> bytes:
        """The record of this number, which has so many bytes."""
        self._file.seek(OVERHEAD + number * (self._size + OVERHEAD))
        try:
            return self._cipher.decrypt(_nonce(number), self._file.read(size + OVERHEAD), _bound(self._context, number))
        except (InvalidTag, ValueError):
            raise Damaged from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_sealed(path: Path, key: bytes, context: bytes, records: Iterable[bytes]) -> int:
    """Write a new file, mode 0600, and wait until the disk holds it; the bytes that it has.

    `context`: what it is; it opens as nothing else. Raises FileExistsError, OSError; nothing is left then.
    """
    salt = os.urandom(OVERHEAD)
    cipher = _cipher(key, context, salt)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        try:
            file.write(salt)
            for number, record in enumerate(records):
                file.write(cipher.encrypt(_nonce(number), record, _bound(context, number)))
            file.flush()
            os.fsync(file.fileno())
            written = file.tell()
            sync_folder(path.parent)
            return written
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def own_key(path: Path) -> bytes:
    """The key in this file; a fresh one, on the disk when this returns, where there is none or others may have read it.

    Raises Fault STATE_UNWRITABLE.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and not path.stat().st_mode & 0o077 and len(key := path.read_bytes()) == KEY_BYTES:
            return key
        path.unlink(missing_ok=True)
        key = os.urandom(KEY_BYTES)
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
        return key
    except OSError as error:
        raise Fault(
            "STATE_UNWRITABLE",
            f"{path} cannot be written ({error.strerror}).",
            "Make room on its disk and see that it belongs to the user who runs this process, then start again.",
        ) from None


def sync_folder(folder: Path) -> None:
    """Wait until the disk holds which files there are."""
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _cipher(key: bytes, context: bytes, salt: bytes) -> AESGCM:
    return AESGCM(derive(key, "sealed file", context, salt))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _bound(context: bytes, number: int) -> bytes:
    return context + number.to_bytes(8, "big")
