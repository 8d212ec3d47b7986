"""Who may speak for the fleet."""

from __future__ import annotations

import pytest

from torg.kit.rpc.signing import LEEWAY, Signer
from torg.kit.testing import TestClock

PARTS = (b"POST", b"/rpc/order.place", b"gateway", b'{"lines":[]}')


def test_a_signature_is_believed_for_just_what_was_signed():
    signer = Signer((b"secret",), b"torg.rpc", TestClock())
    signature = signer.sign(5, *PARTS)
    assert signer.fault(signature, *PARTS) == ""
    for place in range(len(PARTS)):
        changed = [part + b"x" if number == place else part for number, part in enumerate(PARTS)]
        assert signer.fault(signature, *changed) == "it is not true"
    assert signer.fault(signature, *PARTS[:2], PARTS[2] + PARTS[3]) == "it is not true"


def test_it_expires_and_that_cannot_be_put_off():
    clock = TestClock()
    signer = Signer((b"secret",), b"torg.rpc", clock)
    signature = signer.sign(5, *PARTS)
    clock.advance(seconds=5 + LEEWAY + 1)
    assert "expired" in signer.fault(signature, *PARTS)
    expires, _, digest = signature.partition(b".")
    assert signer.fault(b"%d.%b" % (int(expires) + 60, digest), *PARTS) == "it is not true"


@pytest.mark.parametrize("signature", [b"", b"x", b"12", b"12.", b".12", b"soon.abc"])
def test_what_is_none_is_missing_or_not_true(signature: bytes):
    assert Signer((b"secret",), b"torg.rpc", TestClock()).fault(signature, *PARTS)


def test_another_secret_or_another_purpose_is_not_believed():
    clock = TestClock()
    signature = Signer((b"secret",), b"torg.rpc", clock).sign(5, *PARTS)
    assert Signer((b"another",), b"torg.rpc", clock).fault(signature, *PARTS)
    assert Signer((b"secret",), b"torg.gateway", clock).fault(signature, *PARTS)


def test_an_old_and_a_new_secret_stand_side_by_side():
    clock = TestClock()
    old, both, new = (Signer(secrets, b"torg.rpc", clock) for secrets in ((b"old",), (b"new", b"old"), (b"new",)))
    assert both.fault(old.sign(5, *PARTS), *PARTS) == ""
    assert new.fault(both.sign(5, *PARTS), *PARTS) == ""
    assert new.fault(old.sign(5, *PARTS), *PARTS)


def test_no_secret_is_refused():
    with pytest.raises(ValueError, match="TORG_SECRET"):
        Signer((b"",), b"torg.rpc", TestClock())
