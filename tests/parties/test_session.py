"""The handshake: whoever sees the same hellos gets the same keys, and any difference is a fault that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parties.config import Consortium
from parties.errors import Fault
from parties.heads import HEAD_BYTES
from parties.identity import Identity
from parties.session import Ephemeral, Hello, Transcript, open_hello
from parties.wire import pack, unpack

NAMES = ["north", "south", "west", "dealer"]
HEADS = {"west": b"h" * HEAD_BYTES}
IDENTITIES = {name: Identity.create() for name in [*NAMES, "ana"]}


def _member(name: str) -> dict[str, Any]:
    identity = IDENTITIES[name]
    return {"name": name, "verify_key": identity.verify_key, "transport_key": identity.transport_key}


def _process(name: str) -> dict[str, Any]:
    return _member(name) | {"address": f"{name}:7000", "data": f"{name}:7001"}


CONSORTIUM = Consortium.model_validate(
    {
        "name": "test",
        "party": [_process(name) for name in NAMES[:3]],
        "dealer": _process("dealer"),
        "analyst": [_member("ana")],
    }
)


def said(name: str, **changes: Any) -> tuple[Hello, Ephemeral]:
    plain: dict[str, Any] = {
        "session": bytes(16),
        "name": name,
        "role": "dealer" if name == "dealer" else "party",
        "consortium": b"c" * 32,
        "agreement": b"a" * 32,
        "plan": b"p" * 32,
        "source": "dealer",
        "parameters": {"ring": "2^64", "protocol": "additive", "precision": 16},
        "inputs": [["visits", "age", "integer", 30]],
        "cursor": 7,
        "heads": {},
    }
    return open_hello(IDENTITIES[name], **plain | changes)


def resigned(hello: Hello, **changes: Any) -> Hello:
    changed = replace(hello, **changes)
    return replace(changed, signature=IDENTITIES[hello.name].sign(changed.signed(), "hello"))


def seen(hellos: list[Hello], own: Hello, names: list[str] = NAMES) -> Transcript:
    return Transcript(hellos, CONSORTIUM, names, own=own)


def test_everyone_gets_the_same_session_and_pairwise_secrets() -> None:
    pairs = {name: said(name) for name in NAMES}
    carried = unpack(pack({"hellos": [hello.to_wire() for hello, _ in pairs.values()]}))["hellos"]
    views = {name: seen([Hello.from_wire(message) for message in carried], hello) for name, (hello, _) in pairs.items()}
    assert len({view.sid for view in views.values()}) == 1
    signatures = {name: view.sign(IDENTITIES[name], name.encode()) for name, view in views.items()}
    for view in views.values():
        assert view.verify(signatures) == {name: name.encode() for name in NAMES}
    secrets = {name: view.secrets(pairs[name][1]) for name, view in views.items()}
    for a in NAMES:
        assert set(secrets[a]) == set(NAMES) - {a}
        for b in secrets[a]:
            assert secrets[a][b] == secrets[b][a]
            assert views[a].link_keys(b, secrets[a][b]) == views[b].link_keys(a, secrets[b][a])[::-1]
            assert len({secrets[a][b], *views[a].link_keys(b, secrets[a][b])}) == 3
    assert len({secret for of in secrets.values() for secret in of.values()}) == 6
    assert views["west"].hello("south").cursor == 7
    assert views["west"].hello("south").inputs == (("visits", "age", "integer", 30),)


def test_a_fresh_key_or_nonce_or_input_makes_another_session() -> None:
    hellos = [said(name)[0] for name in NAMES]
    sid = seen(hellos, hellos[0]).sid
    for changes in ({"nonce": b"n" * 32}, {"ephemeral": b"\x09" * 32}, {"inputs": ()}, {"cursor": 8}, {"heads": HEADS}):
        assert seen([hellos[0], resigned(hellos[1], **changes), *hellos[2:]], hellos[0]).sid != sid


@pytest.mark.parametrize(
    ("changes", "code", "shown"),
    [
        ({"version": 2}, "VERSION_DIFFERS", "north, west, dealer: 1; south: 2"),
        ({"consortium": b"x" * 32}, "CONSORTIUM_DIFFERS", "south: 7878"),
        ({"agreement": b"x" * 32}, "AGREEMENT_DIFFERS", "north, west, dealer: 6161616161616161; south: 7878"),
        ({"agreement": b"a" * 31 + b"x"}, "AGREEMENT_DIFFERS", "south"),
        ({"plan": b"x" * 32}, "PLAN_DIFFERS", "south: 7878"),
        ({"session": b"x" * 16}, "SESSION_DIFFERS", "south"),
        ({"source": "pairwise"}, "PARAMETERS_DIFFER", "south: pairwise"),
        ({"parameters": {"ring": "2^32"}}, "PARAMETERS_DIFFER", "south: ring 2^32"),
        ({"parameters": {"ring": "2^64", "protocol": "additive", "precision": "16"}}, "PARAMETERS_DIFFER", "south"),
        ({"role": "dealer"}, "PARTIES_DIFFER", "south takes part as 'dealer'"),
    ],
)
def test_a_difference_is_named(changes: dict[str, Any], code: str, shown: str) -> None:
    hellos = [said(name)[0] for name in NAMES]
    hellos[1] = resigned(hellos[1], **changes)
    with pytest.raises(Fault) as caught:
        seen(hellos, hellos[0])
    assert caught.value.code == code
    assert shown in caught.value.message
    assert caught.value.remedy


def test_who_takes_part_and_in_which_order_is_fixed() -> None:
    hellos = [said(name)[0] for name in NAMES]
    for wrong in (hellos[:3], [*hellos, hellos[0]], hellos[::-1], [hellos[0], hellos[0], *hellos[2:]], []):
        with pytest.raises(Fault) as caught:
            seen(wrong, hellos[0])
        assert caught.value.code == "PARTIES_DIFFER"
    assert len(seen(hellos[:3], hellos[0], NAMES[:3]).hellos) == 3


def test_my_hello_must_come_back_as_it_was() -> None:
    hellos = [said(name)[0] for name in NAMES]
    with pytest.raises(Fault) as caught:
        seen([said("north")[0], *hellos[1:]], hellos[0])
    assert caught.value.code == "HELLO_ALTERED"


@pytest.mark.parametrize(
    "field", ["session", "agreement", "plan", "source", "inputs", "ephemeral", "nonce", "cursor", "heads"]
)
def test_a_hello_changed_by_the_relay_has_no_valid_signature(field: str) -> None:
    hellos = [said(name)[0] for name in NAMES]
    other: Mapping[str, Any] = {"source": "pairwise", "inputs": (), "cursor": 0, "session": b"s" * 16, "heads": HEADS}
    hellos[1] = replace(hellos[1], **{field: other.get(field, b"x" * 32)})
    with pytest.raises(Fault) as caught:
        seen(hellos, hellos[0])
    assert (caught.value.code, caught.value.report.peer) == ("SIGNATURE_INVALID", "south")


def test_signatures_are_by_everyone_over_this_transcript() -> None:
    hellos = [said(name)[0] for name in NAMES]
    view = seen(hellos, hellos[0])
    right = {name: view.sign(IDENTITIES[name], b"statement") for name in NAMES}
    assert view.verify(right) == dict.fromkeys(NAMES, b"statement")
    elsewhere = seen([hellos[0], resigned(hellos[1], cursor=8), *hellos[2:]], hellos[0])
    there = elsewhere.sign(IDENTITIES["west"], b"statement")
    signature = right["west"][:64]
    for wrong in (None, "text", b"", right["north"], there, hellos[2].signature, signature, signature + b"Statement"):
        with pytest.raises(Fault) as caught:
            view.verify(right | {"west": wrong})
        assert (caught.value.code, caught.value.report.peer) == ("SIGNATURE_INVALID", "west")


def test_a_key_that_agrees_on_zeros_is_refused() -> None:
    hello, ephemeral = said("north")
    hellos = [hello, *(said(name)[0] for name in NAMES[1:])]
    hellos[3] = resigned(hellos[3], ephemeral=bytes(32))
    with pytest.raises(Fault) as caught:
        seen(hellos, hello).secrets(ephemeral)
    assert (caught.value.code, caught.value.report.peer) == ("KEY_REFUSED", "dealer")


def malformed(change: Callable[[dict[str, Any]], object]) -> None:
    message = said("north")[0].to_wire()
    change(message)
    with pytest.raises(Fault) as caught:
        Hello.from_wire(message)
    assert caught.value.code == "WIRE_MALFORMED"


def test_malformed_hellos_are_refused() -> None:
    malformed(lambda m: m.pop("nonce"))
    malformed(lambda m: m.update(extra=1))
    malformed(lambda m: m.update(nonce=bytes(31)))
    malformed(lambda m: m.update(cursor=-1))
    malformed(lambda m: m.update(cursor=1 << 62))
    malformed(lambda m: m.update(cursor=(1 << 63) - 1))
    malformed(lambda m: m.update(cursor=True))
    malformed(lambda m: m.update(parameters={"ring": [1]}))
    malformed(lambda m: m.update(inputs=[["visits", "age", "integer"]]))
    malformed(lambda m: m.update(inputs=["visits"]))
    malformed(lambda m: m.update(heads={"south": bytes(HEAD_BYTES - 1)}))
    malformed(lambda m: m.update(heads={"south": "0" * HEAD_BYTES}))
    malformed(lambda m: m.update(heads=[]))
    with pytest.raises(Fault):
        Hello.from_wire(["hello"])


values = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.binary(max_size=40) | st.just([[1]])


@given(st.dictionaries(st.sampled_from(sorted(said("north")[0].to_wire())), values, max_size=4))
def test_any_fields_give_a_hello_or_a_fault(changes: dict[str, Any]) -> None:
    try:
        hello = Hello.from_wire(said("north")[0].to_wire() | changes)
    except Fault:
        return
    assert Hello.from_wire(hello.to_wire()) == hello


def test_no_secret_is_shown() -> None:
    hello, ephemeral = said("north")
    assert ephemeral._secret.private_bytes_raw().hex() not in repr(ephemeral)
    view = seen([hello, *(said(name)[0] for name in NAMES[1:])], hello)
    for secret in view.secrets(ephemeral).values():
        assert repr(secret) not in repr(view) + repr(vars(view))
