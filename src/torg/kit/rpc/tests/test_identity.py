"""Who believes whom: introductions of services, true, forged, old, and while keys change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from torg.kit import values
from torg.kit.rpc.identity import LIVES, BadIdentity, Identities, Introduction, KeyPair, StaticKeys, bytes_of, text_of
from torg.kit.rpc.key_files import BadKeys, KeyFolder, make_missing, rotate, services_of
from torg.kit.rpc.signing import LEEWAY
from torg.kit.testing import TestClock
from torg.kit.testing.identities import pair_of, speaking_for

SERVICES = ("order", "cart", "admin", "gateway")
PARTS = (b"POST", b"/rpc/order.place", b'{"lines":[]}')


def test_both_sides_have_the_same_secret_and_nobody_else_has():
    clock = TestClock()
    cart, order = (speaking_for(name, services=SERVICES, clock=clock) for name in ("cart", "order"))
    said = cart.introduce("cart", "order")
    heard = order.recognise(said.token)
    assert (heard.caller, heard.audience) == ("cart", "order")
    assert heard.calls.fault(said.calls.sign(5, *PARTS), *PARTS) == ""
    assert heard.handed_on.fault(said.calls.sign(5, *PARTS), *PARTS) == "it is not true"
    again = speaking_for("cart", services=SERVICES, clock=clock).introduce("cart", "order")
    assert heard.calls.fault(again.calls.sign(5, *PARTS), *PARTS) == "it is not true"


def test_an_introduction_is_made_once_and_renewed_in_time():
    clock = TestClock()
    cart = speaking_for("cart", services=SERVICES, clock=clock)
    first = cart.introduce("cart", "order")
    assert cart.introduce("cart", "order") is first
    assert cart.introduce("cart", "admin") is not first
    clock.advance(seconds=LIVES / 2)
    assert cart.introduce("cart", "order").expires == first.expires + LIVES // 2
    clock.advance(seconds=-3600)
    assert cart.introduce("cart", "order").expires <= clock().timestamp() + LIVES


def _forged(true: Introduction, clock: TestClock) -> Mapping[str, bytes]:
    """What somebody may send who has the keys of cart and of their own, and has seen what cart says to order."""
    said, _, signature = true.token.rpartition(b".")
    caller, key, audience, to, until, half = said.decode().split(".")
    thief = KeyPair(b"a thief's".ljust(32))

    def signed(by: KeyPair, *parts: str) -> bytes:
        text = ".".join(parts).encode()
        return text + b"." + text_of(by.signing.sign(b"torg.identity\0" + text)).encode()

    cart, admin = pair_of("cart"), pair_of("admin").public.id
    public = StaticKeys({"admin": (thief,)}, {"order": (pair_of("order").public,)})
    return {
        "nothing": b"",
        "no token": b"cart",
        "a signature alone": b"." + signature,
        "no signature": said + b".",
        "a cut signature": true.token[:-8],
        "another signature": said + b"." + text_of(bytes(64)).encode(),
        "a key of its own": Identities(public, clock, values.randomness).introduce("admin", "order").token,
        "a key of its own, with the other's id": signed(thief, "cart", key, audience, to, until, half),
        "another service, with cart's key": signed(cart, "admin", admin, audience, to, until, half),
        "another service, with cart's key and its id": signed(cart, "admin", key, audience, to, until, half),
        "another service, unsigned": b"admin." + said.partition(b".")[2] + b"." + signature,
        "a service that there is not": signed(cart, "root", key, audience, to, until, half),
        "a path for a service": signed(cart, "../cart", key, audience, to, until, half),
        "another audience": signed(cart, caller, key, "admin", admin, until, half),
        "another audience's name": signed(cart, caller, key, "admin", to, until, half),
        "no audience": signed(cart, caller, key, "", "", until, half),
        "a longer life, unsigned": ".".join((caller, key, audience, to, str(int(until) + 600), half)).encode() + b"." + signature,
        "a life of a year": signed(cart, caller, key, audience, to, str(int(until) + 365 * 86400), half),
        "long over": signed(cart, caller, key, audience, to, str(int(until) - 3600), half),
        "no time": signed(cart, caller, key, audience, to, "soon", half),
        "an endless time": signed(cart, caller, key, audience, to, "9" * 300, half),
        "another half, unsigned": ".".join((caller, key, audience, to, until, text_of(bytes([9, *bytes(31)])))).encode() + b"." + signature,
        "a half of small order": signed(cart, caller, key, audience, to, until, text_of(bytes(32))),
        "a short half": signed(cart, caller, key, audience, to, until, text_of(bytes(31))),
        "one field more": signed(cart, caller, key, audience, to, until, half, "admin"),
        "none of ASCII": "карт".encode() + said + b"." + signature,
        "huge": said + b"." + b"A" * 100_000,
        "signed for something else": said + b"." + text_of(cart.signing.sign(said)).encode(),
        "a token of a person": b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    }


def test_every_forged_introduction_is_refused():
    clock = TestClock()
    order = speaking_for("order", services=SERVICES, clock=clock)
    true = speaking_for("cart", services=SERVICES, clock=clock).introduce("cart", "order")
    for name, token in _forged(true, clock).items():
        with pytest.raises(BadIdentity):
            pytest.fail(f"{name}: {order.recognise(token).caller} was believed")
    assert order.recognise(true.token).caller == "cart"


def test_what_was_overheard_is_of_no_use_to_others_and_to_nobody_once_it_is_over():
    clock = TestClock()
    order, admin = speaking_for("order", services=SERVICES, clock=clock), speaking_for("admin", services=SERVICES, clock=clock)
    said = speaking_for("cart", services=SERVICES, clock=clock).introduce("cart", "order")
    with pytest.raises(BadIdentity, match="meant for somebody else"):
        admin.recognise(said.token)
    order.recognise(said.token)
    signature = said.calls.sign(1, *PARTS)
    clock.advance(seconds=1 + LEEWAY + 1)
    assert "expired" in order.recognise(said.token).calls.fault(signature, *PARTS)
    clock.advance(seconds=LIVES)
    with pytest.raises(BadIdentity, match="expired"):
        order.recognise(said.token)


def test_who_has_the_audiences_key_cannot_make_introductions_to_it():
    clock = TestClock()
    order = speaking_for("order", services=SERVICES, clock=clock)
    thief = Identities(StaticKeys({"order": (pair_of("order"),), "admin": (pair_of("order"),)}, order.keys.public), clock, values.randomness)  # type: ignore[attr-defined]
    with pytest.raises(BadIdentity):
        order.recognise(thief.introduce("admin", "order").token)


# ---------------------------------------------------------------- files


def folder_of(tmp_path: Path) -> Path:
    make_missing(tmp_path, SERVICES, values.randomness)
    return tmp_path


def process(folder: Path, *here: str) -> Identities:
    return Identities(KeyFolder(folder, here), values.utc_now, values.randomness)


def believed(one: Identities, caller: str, other: Identities, audience: str) -> bool:
    said = one.introduce(caller, audience)
    return other.recognise(said.token).calls.fault(said.calls.sign(5, *PARTS), *PARTS) == ""


def test_keys_are_made_once_and_the_private_ones_are_their_owners_alone(tmp_path: Path):
    folder = folder_of(tmp_path)
    assert make_missing(folder, SERVICES, values.randomness) == []
    assert list(services_of(folder)) == sorted(SERVICES)
    assert {(folder / name / "key").stat().st_mode & 0o777 for name in SERVICES} == {0o600}
    assert len({keys[0].id for keys in services_of(folder).values()}) == len(SERVICES)
    private = (folder / "order" / "key").read_text().strip()
    assert all(private not in file.read_text() for file in (folder / "public").iterdir())
    assert len(bytes_of(private)) == 32


@pytest.mark.parametrize("lost", ["order/key", "public/order"])
def test_half_a_pair_that_was_lost_is_made_good(tmp_path: Path, lost: str):
    folder = folder_of(tmp_path)
    before = services_of(folder)["order"]
    (folder / lost).unlink()
    assert make_missing(folder, SERVICES, values.randomness) == ["order"]
    assert (services_of(folder)["order"] == before) is (lost == "public/order")
    assert believed(process(folder, "cart"), "cart", process(folder, "order"), "order")


def test_a_key_is_changed_while_both_sides_run_and_no_call_is_lost(tmp_path: Path):
    folder = folder_of(tmp_path)
    cart, order = process(folder, "cart"), process(folder, "order")
    before = cart.introduce("cart", "order")
    for service in ("cart", "order", "cart"):
        rotate(folder, service, values.randomness)
        assert believed(cart, "cart", order, "order"), f"the new key of {service} was not looked for, or the old one is not believed"
        cart.keys._look()  # type: ignore[attr-defined]
        assert believed(cart, "cart", order, "order")
    assert len(services_of(folder)["cart"]) == 2
    with pytest.raises(BadIdentity, match="its key is none"):
        order.recognise(before.token)  # two changes ago


def test_a_dropped_key_is_not_believed_any_more(tmp_path: Path):
    folder = folder_of(tmp_path)
    cart, order = process(folder, "cart"), process(folder, "order")
    stolen = cart.introduce("cart", "order")
    order.recognise(stolen.token)
    rotate(folder, "cart", values.randomness, drop=True)
    order.keys._look()  # type: ignore[attr-defined]
    with pytest.raises(BadIdentity):
        order.recognise(stolen.token)


def test_what_cannot_be_read_leaves_what_was_known(tmp_path: Path):
    folder = folder_of(tmp_path)
    cart, order = process(folder, "cart"), process(folder, "order")
    (folder / "public" / "cart").write_text("nonsense\n")
    order.keys._look()  # type: ignore[attr-defined]
    assert believed(cart, "cart", order, "order")


def test_a_service_without_a_key_does_not_start_and_says_what_would_help(tmp_path: Path):
    with pytest.raises(BadKeys, match="has no key of cart: torg identities make"):
        KeyFolder(tmp_path, ("cart",))
    (tmp_path / "cart").mkdir()
    (tmp_path / "cart" / "key").write_text("short\n")
    with pytest.raises(BadKeys, match="holds no keys"):
        KeyFolder(tmp_path, ("cart",))
