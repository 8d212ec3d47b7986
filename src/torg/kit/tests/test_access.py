"""Who may do what: roles, conditions, fields, and why."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.kit.access import Access
from torg.kit.auth import Duties, Identity, Role
from torg.kit.calls import Handle
from torg.kit.errors import Forbidden, Unauthenticated
from torg.kit.http import App, Request, Response, Route
from torg.kit.messages import Message
from torg.kit.policy import ANY, GUEST, MEMBER, WHO, BadPolicy, Grant, Policy, Thing
from torg.kit.testing import TestClock, test_ids

RIGHTS = {"shelves:read": "see shelves", "shelves:write": "fill shelves", "letters:read": "read letters", "attic:write": "nobody's business"}
NOON, NIGHT = datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 1, 5, 23, 30, tzinfo=UTC)


def access(*grants: Grant, **more: object) -> Access:
    return Access(msgspec.convert({"rights": RIGHTS, "grants": grants, **more}, Policy, from_attributes=True))


def somebody(*roles: Role, duties: Duties = Duties()) -> Identity:  # noqa: B008 it is frozen
    return Identity("anna", frozenset(roles), duties=duties)


def test_nobody_has_what_is_not_granted():
    nothing = access()
    for right in RIGHTS:
        assert not nothing.allows(somebody(*set(Role) - {Role.ADMIN}), right)
        with pytest.raises(Unauthenticated):
            nothing.enter(None, right)
        with pytest.raises(Forbidden, match="nobody"):
            nothing.enter(somebody(Role.ADMIN), right)


def test_what_guests_may_everybody_may_and_what_members_may_needs_a_sign_in():
    policy = access(Grant(to=GUEST, rights=("shelves:read",)), Grant(to=MEMBER, rights=("letters:read",)))
    assert policy.allows(None, "shelves:read") and policy.allows(somebody(Role.COURIER), "shelves:read")
    assert policy.allows(somebody(), "letters:read") and not policy.allows(None, "letters:read")


def test_reading_is_no_writing():
    policy = access(Grant(to=Role.WAREHOUSE, rights=("shelves:read",)))
    assert policy.allows(somebody(Role.WAREHOUSE), "shelves:read")
    assert not policy.allows(somebody(Role.WAREHOUSE), "shelves:write")


def test_ones_own_is_ones_own():
    policy = access(Grant(to=MEMBER, rights=("letters:read",), own=True), Grant(to=Role.SUPPORT, rights=("letters:read",)))
    buyer, clerk = somebody(Role.CUSTOMER), somebody(Role.SUPPORT)
    assert policy.allows(buyer, "letters:read", Thing(owner="anna")) and not policy.allows(buyer, "letters:read", Thing(owner="boris"))
    assert policy.allows(clerk, "letters:read", Thing(owner="boris"))
    assert (policy.sees_all(buyer, "letters:read"), policy.sees_all(clerk, "letters:read")) == (False, True)


def test_who_works_somewhere_works_nowhere_else():
    policy = access(Grant(to=Role.WAREHOUSE, rights=("shelves:write",), warehouse="theirs"), Grant(to=Role.COURIER, rights=("letters:read",), city="theirs"))
    keeper, anywhere, nowhere = (somebody(Role.WAREHOUSE, duties=Duties(places)) for places in (("north",), None, ()))
    assert [policy.allows(keeper, "shelves:write", Thing(warehouse=place)) for place in ("north", "south")] == [True, False]
    assert policy.allows(anywhere, "shelves:write", Thing(warehouse="south"))
    assert not policy.allows(nowhere, "shelves:write", Thing(warehouse="north"))
    assert not policy.allows(somebody(Role.COURIER, duties=Duties(cities=("Moscow",))), "letters:read", Thing(city="Omsk"))
    with pytest.raises(Forbidden, match="in north, and this is south") as refused:
        policy.require(keeper, "shelves:write", Thing(warehouse="south"))
    assert refused.value.code == "access.condition"


def test_an_amount_is_the_most_it_may_be():
    policy = access(Grant(to=Role.SUPPORT, rights=("shelves:write",), up_to=500))
    assert [policy.allows(somebody(Role.SUPPORT), "shelves:write", Thing(amount=amount)) for amount in (0, 500, 501)] == [True, True, False]


@pytest.mark.parametrize(
    ("since", "until", "at_noon", "at_night"), [(time(8), time(20), True, False), (time(22), time(6), False, True), (None, time(13), True, False)]
)
def test_hours_of_a_day_may_go_over_midnight(since: time | None, until: time, at_noon: bool, at_night: bool):
    policy = access(Grant(to=Role.SUPPORT, rights=("shelves:write",), since=since, until=until))
    assert policy.allows(somebody(Role.SUPPORT), "shelves:write", ANY, NOON) is at_noon
    assert policy.allows(somebody(Role.SUPPORT), "shelves:write", ANY, NIGHT) is at_night


def test_hours_are_those_of_the_zone():
    policy = access(Grant(to=Role.SUPPORT, rights=("shelves:write",), since=time(14), until=time(16), zone="Europe/Moscow"))
    assert policy.allows(somebody(Role.SUPPORT), "shelves:write", ANY, NOON)


def test_one_grant_that_holds_is_enough():
    policy = access(Grant(to=MEMBER, rights=("letters:read",), own=True), Grant(to=Role.SUPPORT, rights=("letters:read",), up_to=5))
    assert policy.allows(somebody(Role.SUPPORT), "letters:read", Thing(owner="anna", amount=10))
    assert not policy.allows(somebody(Role.SUPPORT), "letters:read", Thing(owner="boris", amount=10))


class Place(msgspec.Struct, frozen=True):
    city: str
    street: Annotated[str, msgspec.Meta(min_length=1)]


class Card(msgspec.Struct, frozen=True):
    id: str
    email: str
    born: int | None
    home: Place | None = None


def test_a_record_is_shown_as_far_as_a_role_sees_it():
    policy = access(fields={"card": {"support": ("id", "email"), "courier": ("id",)}})
    card = Card("1", "anna@torg.example", 1980)
    assert policy.seen(somebody(Role.COURIER), "card", card) == Card("1", "", None)
    assert policy.seen(somebody(Role.COURIER, Role.SUPPORT), "card", card) == Card("1", "anna@torg.example", None)
    assert policy.seen(somebody(Role.ADMIN), "card", card) == card
    assert policy.seen(somebody(Role.ANALYST), "card", card) == Card("", "", None)
    assert policy.seen(None, "card", card) == Card("", "", None)
    assert policy.seen(somebody(Role.ANALYST), "card", card, owner="anna") == card, "one's own is shown as it is"
    assert policy.seen(somebody(Role.COURIER), "letter", card) == Card("", "", None), "what the policy doesn't speak of is shown to nobody"


def test_of_a_record_within_a_record_some_fields_are_shown():
    policy = access(fields={"card": {"member": ("id",), "support": ("home",), "courier": ("home.city",)}})
    card = Card("1", "anna@torg.example", 1980, Place("Omsk", "Lenina 1"))
    assert policy.seen(somebody(Role.COURIER), "card", card) == Card("1", "", None, Place("Omsk", "—"))
    assert policy.seen(somebody(Role.COURIER, Role.SUPPORT), "card", card) == Card("1", "", None, card.home)
    assert policy.seen(somebody(), "card", card) == Card("1", "", None, None)
    assert policy.seen(None, "card", card) == Card("", "", None, None)


def test_a_decision_names_the_lines_it_was_made_by():
    policy = access(Grant(to=MEMBER, rights=("letters:read",), own=True), Grant(to=Role.SUPPORT, rights=("letters:read",)))
    refused = policy.why(somebody(Role.CUSTOMER), "letters:read", Thing(owner="boris"))
    assert refused.because == (
        "- member has letters:read (their own): only for what is their own",
        "- support has letters:read, and they are not support",
    )
    assert policy.why(somebody(Role.SUPPORT), "letters:read", Thing(owner="boris")).allowed
    assert policy.why(somebody(Role.ADMIN), "attic:write").because == ("- nobody has attic:write",)
    assert policy.why(somebody(Role.ADMIN), "cellar:read").because == ("there is no right cellar:read",)


LENT = {"never": ("attic:write",), "as_guests": ("shelves:read",), "scopes": {"letters:read": {"en": "", "ru": "", "rights": ("letters:read",)}}}
TO_ALL = (Grant(to=GUEST, rights=("shelves:read",)), Grant(to=MEMBER, rights=("letters:read",), own=True), Grant(to=Role.ADMIN, rights=("*",)))


def test_a_program_has_of_its_persons_rights_what_it_was_lent():
    policy = access(*TO_ALL, programs=LENT)
    boss = somebody(Role.ADMIN)
    reader, idle = (msgspec.structs.replace(boss, scopes=frozenset(scopes)) for scopes in ({"letters:read"}, {"gone:read"}))
    assert [policy.allows(reader, right) for right in RIGHTS] == [True, False, True, False]
    assert [policy.allows(idle, right) for right in RIGHTS] == [True, False, False, False], "a scope that the policy has no more lends nothing"
    assert [grant.to for grant in policy.grants(reader, "shelves:read")] == [GUEST], "what everybody may, it may as everybody"
    with pytest.raises(Forbidden, match="lacks the scope letters:read") as refused:
        policy.enter(idle, "letters:read")
    assert refused.value.code == "scope.required"
    with pytest.raises(Forbidden, match="for people alone") as refused:
        policy.require(reader, "attic:write")
    assert refused.value.code == "scope.never"


def test_people_are_offered_the_scopes_that_lend_something_of_theirs():
    shop = Access.of_the_shop()
    buyer, keeper = shop.scopes_of_use(somebody(Role.CUSTOMER)), shop.scopes_of_use(somebody(Role.WAREHOUSE))
    assert {"orders:read", "cart:write", "reviews:write"} <= set(buyer)
    assert not {"catalog:read", "inventory:read", "admin:read", "openid"} & set(buyer), "what everybody may takes no scope"
    assert set(keeper) - set(buyer) == {"inventory:read", "inventory:write"}
    assert set(shop.scopes_of_use(somebody(Role.ADMIN))) == {name for name in shop.policy.programs.scopes if ":" in name}


def test_a_program_of_somebody_without_the_right_has_it_no_more_than_they():
    policy, program = access(*TO_ALL, programs=LENT), msgspec.structs.replace(somebody(), scopes=frozenset({"letters:read"}))
    assert not policy.allows(program, "letters:read", Thing(owner="boris"))
    assert policy.why(program, "letters:read", Thing(owner="boris")).because[0] == "- member has letters:read (their own): only for what is their own"
    assert policy.why(program, "shelves:write").because == ("- no program may do this for you: sign in yourself (shelves:write is for people alone)",)


PLACES = st.none() | st.lists(st.sampled_from(["north", "south"]), unique=True).map(tuple)
GRANTS = st.builds(
    Grant, to=st.sampled_from([MEMBER, *Role]), rights=st.lists(st.sampled_from([*RIGHTS, "*"]), min_size=1).map(tuple), own=st.booleans(),
    warehouse=st.sampled_from(["", "theirs"]), up_to=st.none() | st.integers(0, 9),
)  # fmt: skip
THINGS = st.builds(
    Thing, owner=st.sampled_from([None, "anna", "boris"]), warehouse=st.sampled_from(["", "north", "south"]), amount=st.none() | st.integers(0, 9)
)
SCOPES = st.none() | st.frozensets(st.sampled_from(["letters:read", "gone:read"]))
PEOPLE = st.none() | st.builds(
    lambda roles, places, scopes: Identity("anna", frozenset(roles), scopes=scopes, duties=Duties(places)), st.sets(st.sampled_from(list(Role))), PLACES, SCOPES
)


@given(st.lists(GRANTS, max_size=6), PEOPLE, st.sampled_from(list(RIGHTS)), THINGS)
def test_deciding_and_explaining_agree_and_more_roles_never_take_a_right_away(grants: list[Grant], who: Identity | None, right: str, of: Thing):
    policy = access(*grants, programs=LENT)
    allowed = policy.allows(who, right, of)
    assert policy.why(who, right, of).allowed is allowed
    assert not allowed or policy.grants(who, right), "what is allowed was let in at the edge"
    if who and allowed:
        for role in Role:
            assert policy.allows(msgspec.structs.replace(who, roles=who.roles | {role}), right, of)
        assert policy.allows(msgspec.structs.replace(who, scopes=None), right, of), "no scope gives what its person hasn't"


# ---------------------------------------------------------------- the file


def test_everything_that_is_wrong_with_a_file_is_said_at_once(tmp_path: Path):
    file = tmp_path / "policy.toml"
    file.write_text("""
        [rights]
        "shelves:read" = ""
        "shelves" = ""
        "self:write" = ""
        [[grants]]
        to = "boss"
        rights = ["shelves:sell"]
        zone = "Mars/Olympus"
        [[grants]]
        to = "guest"
        rights = ["shelves:read"]
        own = true
        [programs]
        never = ["shelves:sell"]
        as_guests = ["self:write"]
        scopes = { reading = { en = "", ru = "", rights = ["shelves:read"] }, openid = { en = "", ru = "" } }
        [fields.card]
        boss = ["id"]
    """)
    with pytest.raises(BadPolicy) as refused:
        Access.read(file)
    said = str(refused.value)
    for fault in (
        "'shelves' is no right",
        "'boss' is no role",
        "'shelves:sell'",
        "Mars/Olympus",
        "guests have nothing of their own",
        "shown to 'boss'",
        "'reading' is no scope",
        "say of 'shelves' what programs may",
        "'self:write' is for people alone",
        "guests don't have it",
        "the scope 'email' is missing",
        "programs are spoken of with 'shelves:sell'",
    ):
        assert fault in said


@pytest.mark.parametrize("text", ["rights = 3", "[rights]\ngrants = 1", "=", "[rights]\n[[grants]]\nto = 'admin'\nrights = []\nhow = 1"])
def test_a_file_that_is_no_policy_is_refused_by_name(tmp_path: Path, text: str):
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(BadPolicy, match=r"policy\.toml"):
        Access.read(tmp_path / "policy.toml")
    with pytest.raises(BadPolicy, match="can't be read"):
        Access.read(tmp_path / "none.toml")


def test_the_shops_own_policy_gives_every_role_something_and_an_administrator_everything():
    policy = Access.of_the_shop()
    given = {grant.to for grant in policy.policy.grants}
    assert given == set(WHO) - {Role.CUSTOMER}, "a customer is a member"
    assert all(policy.allows(somebody(Role.ADMIN), right) for right in policy.policy.rights)


# ---------------------------------------------------------------- at the edge


async def nobody(_: str) -> Identity | None:
    return None


async def fine(_: Request) -> Response:
    return Response(204)


def test_a_route_without_a_right_of_the_policy_does_not_start():
    app = App(TestClock(), test_ids(), nobody)
    for right in ("", "shelves:sell"):
        with pytest.raises(BadPolicy, match="GET /shelves"):
            app.add([Route(method="GET", path="/shelves", endpoint=fine, right=right)], dict[type[Message], Handle]().__getitem__)


def test_what_guests_may_not_read_is_kept_for_nobody():
    app = App(TestClock(), test_ids(), nobody, access=access(Grant(to=MEMBER, rights=("shelves:read",))))
    app.add([Route(method="GET", path="/shelves", endpoint=fine, right="shelves:read", cached=60)], dict[type[Message], Handle]().__getitem__)
    assert app.routes[0].cached == 0
