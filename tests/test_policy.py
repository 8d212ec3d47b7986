"""`torg policy`, as an operator asks."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from torg.contexts.order.contracts import OrderView
from torg.contexts.payment.contracts import PaymentView
from torg.contexts.review.contracts import ReviewView
from torg.contexts.shipping.contracts import DeliveryView
from torg.contexts.user.contracts import User
from torg.kit.access import Access
from torg.kit.auth import Identity, Role
from torg.kit.policy import EVERYTHING, POLICY
from torg.policy import app


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        app(arguments, result_action="return_value")
    except SystemExit as end:
        return int(end.code or 0), "".join(capsys.readouterr())
    return 0, "".join(capsys.readouterr())


def test_every_right_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "160")
    status, said = told([], capsys)
    assert status == 0
    assert all(word in said for word in ("stock:write", "their warehouses", "their own", "admin", "inventory:write", "as a guest", "fill your cart"))


RECORDS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "user": (User, "users:read"), "order": (OrderView, "orders:read"), "delivery": (DeliveryView, "deliveries:read"),
    "payment": (PaymentView, "payments:read"), "review": (ReviewView, "reviews:read"),
}  # fmt: skip


def blank_of(kind: type[msgspec.Struct]) -> msgspec.Struct:
    """One of the kind with as little in it as there may be."""
    blanks: dict[str, object] = {"datetime": datetime(2026, 11, 22, tzinfo=UTC), "str": "x", "int": 1, "bool": False, "tuple": ()}
    values: dict[str, object] = {}
    for info in msgspec.structs.fields(kind):
        inner = msgspec.inspect.type_info(info.type)
        if isinstance(inner, msgspec.inspect.StructType):
            values[info.name] = blank_of(inner.cls)
        elif isinstance(inner, msgspec.inspect.LiteralType):
            values[info.name] = inner.values[0]
        elif info.required:
            values[info.name] = blanks.get(str(info.type).split("[")[0], blanks.get(getattr(info.type, "__name__", ""), "x"))
    return kind(**values)


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_what_is_shown_there_is_and_what_is_hidden_may_be_missing(kind: str):
    """A name that is spelled wrongly would show nothing; what stands for a hidden field has to be of its type."""
    access = Access.of_the_shop()
    assert access.policy.fields.keys() == RECORDS.keys()
    record, right = RECORDS[kind]
    sample = blank_of(record)
    for role, fields in access.policy.fields[kind].items():
        for name in set(fields) - {EVERYTHING}:
            assert operator.attrgetter(name)(sample) is not sample, (role, name)
        viewer = Identity("somebody", frozenset({Role(role)} if role in set(Role) else ()))
        seen = access.seen(viewer, kind, sample)
        if access.sees_all(viewer, right):
            assert msgspec.json.decode(msgspec.json.encode(seen), type=record) == seen, role


@pytest.mark.parametrize(
    ("question", "status", "line"),
    [
        ("warehouse stock:write --warehouse SPB --works-at MSK", 1, "- warehouse has stock:write (their warehouses): only in MSK, and this is SPB"),
        ("warehouse stock:write --warehouse MSK --works-at MSK", 0, "+ warehouse has stock:write (their warehouses)"),
        ("member orders:read --no-theirs", 1, "- member has orders:read (their own): only for what is their own"),
        ("member orders:read --theirs", 0, "+ member has orders:read (their own)"),
        ("guest orders:read", 1, "- member has orders:read (their own), and they are not member"),
        ("courier,support deliveries:read --city Omsk --works-in Moscow", 0, "+ support has deliveries:read"),
        ("member orders:read --theirs --scopes orders:read,cart:read", 0, "+ member has orders:read (their own)"),
        ("member orders:write --theirs --scopes orders:read", 1, "lacks the scope orders:write, which lends orders:write; it has orders:read"),
        ("admin self:write --scopes account:write", 1, "- no program may do this for you"),
        ("admin catalog:read --scopes orders:read", 0, "a program may do this as a guest"),
        ("admin orders:read --scopes orders", 2, "orders is no scope: there are openid"),
        (
            "support charges:write --amount 60000 --at 2026-11-22T03:00+03:00",
            1,
            "(09:00 to 21:00 Europe/Moscow): only from 09:00:00",
        ),
        ("support charges:write --amount 60000 --at 2026-11-22T09:00", 0, "+ support has charges:write (09:00 to 21:00 Europe/Moscow)"),
        ("support charges:write --amount 500 --at 2026-11-22T00:00", 0, "+ support has charges:write (up to 50000)"),
        ("admin cellar:read", 1, "there is no right cellar:read"),
        ("boss orders:read", 2, "boss is no role"),
    ],
)
def test_a_decision_is_explained(question: str, status: int, line: str, capsys: pytest.CaptureFixture[str]):
    ended, said = told(["why", *question.split()], capsys)
    assert (ended, line in said) == (status, True), said


def test_another_policy_is_read_where_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "strict.toml"
    file.write_text(POLICY.read_text().replace('"cart:write", ', ""))
    monkeypatch.setenv("TORG_POLICY", str(file))
    assert told(["why", "guest", "cart:write"], capsys)[0] == 1
    file.write_text("[rights]")
    status, said = told([], capsys)
    assert (status, "grants" in said) == (2, True), said
