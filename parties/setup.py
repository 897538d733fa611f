"""`beaver init`: a new consortium on one machine, with keys, folders and a compose file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from parties.config import Endpoints, party_name
from parties.documents import check_name
from parties.errors import Fault
from parties.identity import Identity
from parties.signatures import NOBODY_SIGNED, signatures_path

__all__ = ["create_consortium"]

_CONSORTIUM = """\
# Who belongs to the consortium. Every member has the same copy; the keys here are public.
# `address` is where a process takes control connections, `data` where it takes sealed frames of the other parties.

name = "{name}"
"""

_AGREEMENT = """\
# What the owners of the data agree to. No table is agreed on yet. Put <table>.csv or <table>.parquet into each party's
# data folder, run `beaver agreement draft -C DIR` with this folder for DIR, and check every line of what it writes.

version = 1
purpose = "not stated yet"
source = "{source}"
min_rows = 10
recipients = ["analyst"]

[data]
"""

_PARTY = """\
name = "{name}"
consortium = "../consortium.toml"
agreement = "../agreement.toml"
key = "identity.key"       # secret, mode 0600
data = "data"              # <table>.csv or <table>.parquet
state = "state"            # which random material is used up: never restore an old copy
results = "results"
"""

_COMPOSE = """\
# One service for each process of the consortium, from the image that the Dockerfile of Beaver's repository builds:
#
#   docker build -t beaver-mpc REPOSITORY && docker-compose up -d        (or docker compose up -d)
#
# Every service sees its own folder alone. Services run as the user who made the keys.

x-node: &node
  image: ${{BEAVER_IMAGE:-beaver-mpc}}
  user: "{user}"
  restart: unless-stopped
  stop_grace_period: 5s
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  environment:
    BEAVER_BIND: 0.0.0.0
    BEAVER_REACH: "{reach}"

x-health: &health
  interval: 5s
  timeout: 5s
  retries: 3
  start_period: 30s

services:
{services}"""

_SERVICE = """\
  {name}:
    <<: *node
    command: ["{command}", "/consortium/{name}/party.toml"]
    ports: ["127.0.0.1:{port}:{port}"]
    volumes:
      - ./consortium.toml:/consortium/consortium.toml:ro
      - ./agreement.toml:/consortium/agreement.toml:ro
      - ./agreement.signatures.toml:/consortium/agreement.signatures.toml:ro
      - ./{name}:/consortium/{name}
    healthcheck:
      <<: *health
      test: ["CMD", "beaver", "health", "/consortium/{name}/party.toml"]
"""


def create_consortium(
    directory: Path,
    parties: Sequence[str],
    *,
    name: str = "demo",
    base_port: int = 7700,
    host: str = "127.0.0.1",
    source: Literal["dealer", "pairwise"] = "dealer",
) -> tuple[Path, ...]:
    """Make a consortium of 2 to 64 parties and an analyst in a directory; the paths of what was written.

    consortium.toml, an agreement.toml without tables that nobody has signed, docker-compose.yml, and for each member a
    private folder with its keys and party.toml. There is a dealer if `source` says so. Ports are taken in order from
    `base_port`: two for each party, then two for the dealer.
    Raises Fault CONFIG_INVALID for a name or port that cannot be, CONSORTIUM_EXISTS rather than overwrite anything,
    CONSORTIUM_UNWRITABLE.
    """
    listening = [*parties, "dealer"] if source == "dealer" else [*parties]
    _check(parties, name, base_port, base_port + 2 * len(listening) - 1, host)
    files = [directory / file for file in ("consortium.toml", "agreement.toml", "docker-compose.yml")]
    files.append(signatures_path(files[1]))
    folders = [directory / member for member in (*listening, "analyst")]
    for path in (*files, *folders):
        if path.exists() or path.is_symlink():
            raise Fault(
                "CONSORTIUM_EXISTS",
                f"{path} exists already; nothing was written.",
                "Choose another directory, or move away what is there. Keys that are lost cannot be made again.",
            )
    consortium = [_CONSORTIUM.format(name=name)]
    ports = {member: base_port + 2 * index for index, member in enumerate(listening)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for folder in folders:
            identity = _create_member(folder)
            files += [folder / "identity.key", folder / "party.toml"]
            ends = ""
            if folder.name in ports:
                port = ports[folder.name]
                ends = f'address = "{host}:{port}"\ndata = "{host}:{port + 1}"\n'
            kind = {"dealer": "[dealer]", "analyst": "[[analyst]]"}.get(folder.name, "[[party]]")
            keys = f'verify_key = "{identity.verify_key}"\ntransport_key = "{identity.transport_key}"\n'
            consortium.append(f'{kind}\nname = "{folder.name}"\n{ends}{keys}')
        texts = ("\n".join(consortium), _AGREEMENT.format(source=source), _compose(ports), NOBODY_SIGNED)
        for path, text in zip(files[:4], texts, strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Fault(
            "CONSORTIUM_UNWRITABLE",
            f"The consortium could not be written into {directory} ({error.strerror}).",
            "Make room, or choose a directory that you may write to; remove what was written and run this again.",
        ) from None
    return tuple(files)


def _create_member(folder: Path) -> Identity:
    folder.mkdir(mode=0o700)
    (folder / "data").mkdir(mode=0o700)
    identity = Identity.create()
    identity.save(folder / "identity.key")
    (folder / "party.toml").write_text(_PARTY.format(name=folder.name), encoding="utf-8")
    return identity


def _compose(ports: dict[str, int]) -> str:
    services = (
        _SERVICE.format(name=name, port=port, command="dealer" if name == "dealer" else "node")
        for name, port in ports.items()
    )
    reach = ";".join(f"{name}={name}:{port},{name}:{port + 1}" for name, port in ports.items())
    return _COMPOSE.format(services="\n".join(services), reach=reach, user=f"{os.getuid()}:{os.getgid()}")


def _check(parties: Sequence[str], name: str, base_port: int, last: int, host: str) -> None:
    for text, check in ((name, check_name), *((party, party_name) for party in parties)):
        try:
            check(text)
        except ValueError as error:
            raise Fault("CONFIG_INVALID", f"{text[:40]!r} {error}.", "Choose another name.") from None
    if not 2 <= len(parties) <= 64 or len(set(parties)) < len(parties):
        raise Fault(
            "CONFIG_INVALID",
            f"A consortium has 2 to 64 different parties, not {', '.join(parties)}.",
            "Name each once.",
        )
    if base_port < 1024 or last > 65535:
        raise Fault(
            "CONFIG_INVALID",
            f"The ports {base_port} to {last} are not all between 1024 and 65535.",
            "Choose another first port.",
        )
    try:
        Endpoints(address=f"{host}:{base_port}", data=f"{host}:{last}")
    except ValidationError:
        raise Fault(
            "CONFIG_INVALID", f"{host[:40]!r} is no host.", "Name a host or an address, without a port."
        ) from None
