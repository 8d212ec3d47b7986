"""The code after the password, and the page that sets a second factor up."""

from __future__ import annotations

from torg.contexts.user.contracts import ConfirmTotp, EraseMe, Factors, GetFactors, GiveCode, Proof, ProveAgain, SignIn
from torg.contexts.web.tests.house import Shop, visible
from torg.kit.errors import FieldError, Forbidden, Invalid, Unauthenticated
from torg.kit.testing import START


async def test_the_right_password_alone_leads_to_the_page_for_the_code_and_on_from_there(shop: Shop) -> None:
    def more(_: object) -> None:
        refusal = Unauthenticated("session.second_factor", "now a code")
        refusal.errors = (FieldError("ticket", "issued", "t1cket"),)
        raise refusal

    shop.answers(SignIn, more)
    page = await shop.post("/sign-in", {"email": "a@b.cc", "password": "x", "next": "/orders"})
    assert (page.status, 'name="ticket" value="t1cket"' in page.body.decode()) == (401, True)
    assert "set-cookie" not in page.headers or "session=" not in page.headers["set-cookie"]
    answer = await shop.post("/sign-in/code", {"ticket": "t1cket", "code": "123456", "next": "/orders"})
    assert (answer.status, answer.headers["location"]) == (303, "/orders")
    assert [(cmd.ticket, cmd.code) for cmd in shop.told(GiveCode)] == [("t1cket", "123456")]


async def test_a_wrong_code_may_be_given_again(shop: Shop) -> None:
    def refuse(_: object) -> None:
        raise Unauthenticated("session.bad_code", "wrong")

    shop.answers(GiveCode, refuse)
    page = await shop.post("/sign-in/code", {"ticket": "t1cket", "code": "123456"})
    assert (page.status, 'value="t1cket"' in page.body.decode()) == (401, True)
    assert "wrong, too old" in visible(page)


async def test_setting_up_shows_a_drawing_and_then_the_recovery_codes_once(shop: Shop) -> None:
    assert "/profile/second-factor" in (await shop.get("/profile", member=True)).body.decode()
    begun = await shop.post("/profile/second-factor", {"password": "x"}, member=True)
    page = begun.body.decode()
    assert "<svg" in page
    assert "style=" not in page, "the policy of pages allows none"
    assert begun.headers["cache-control"] == "private, no-store"
    form = {"code": "123456", "secret": "SECRET", "uri": "otpauth://totp/Torg:anna?secret=SECRET"}
    assert "aaaa-bbbb" in visible(await shop.post("/profile/second-factor/confirm", form, member=True))
    assert "aaaa-bbbb" not in visible(await shop.get("/profile/second-factor", member=True))

    def refuse(_: object) -> None:
        raise Invalid.fields(FieldError("code", "wrong", "no"))

    shop.answers(ConfirmTotp, refuse)
    again = await shop.post("/profile/second-factor/confirm", form, member=True, accept_language="ru")
    assert (again.status, "<svg" in again.body.decode(), "Это не тот код" in visible(again)) == (422, True, True)


async def test_what_takes_a_proof_asks_for_it_and_goes_on_with_what_was_sent(shop: Shop) -> None:
    proven: list[str] = []

    def erase(_: object) -> None:
        if not proven:
            raise Forbidden("session.reauthenticate", "once more")

    def prove(cmd: ProveAgain) -> Proof:
        if cmd.password != "right":
            raise Invalid.fields(FieldError("password", "wrong", "no"))
        proven.append(cmd.holder.user_id)
        return Proof(START)

    shop.answers(EraseMe, erase)
    shop.answers(ProveAgain, prove)
    shop.answers(GetFactors, lambda _: Factors(totp=False, recovery_codes=0, missing=False, proven=bool(proven)))
    asked = await shop.post("/profile/erase", {"sure": "yes"}, member=True)
    page = asked.body.decode()
    assert (asked.status, 'action="/profile/erase"' in page, 'name="sure" value="yes"' in page) == (403, True, True)
    wrong = await shop.post("/profile/erase", {"sure": "yes", "proof_password": "wrong"}, member=True)
    assert (wrong.status, "not your password" in visible(wrong), 'name="sure" value="yes"' in wrong.body.decode()) == (422, True, True)
    assert 'value="wrong"' not in wrong.body.decode(), "no password stands on a page"
    assert not proven
    done = await shop.post("/profile/erase", {"sure": "yes", "proof_password": "right"}, member=True)
    assert (done.status, done.headers["location"], proven) == (303, "/", ["anna"])


async def test_a_proof_that_nobody_needs_is_not_looked_at(shop: Shop) -> None:
    """Else any form of any page is a way to have passwords hashed as often as pages may be asked for."""
    shop.answers(GetFactors, lambda _: Factors(totp=False, recovery_codes=0, missing=False, proven=True))
    looked_at = list[str]()
    shop.answers(ProveAgain, lambda cmd: looked_at.append(cmd.password))
    for path in ("/language", "/profile/proof"):
        assert (await shop.post(path, {"proof_password": "right"}, member=True)).status == 303
    assert looked_at == []


async def test_a_page_that_takes_a_proof_comes_after_it(shop: Shop) -> None:
    shop.answers(GetFactors, lambda _: Factors(totp=True, recovery_codes=3, missing=False))
    asked = await shop.get("/profile/second-factor", member=True)
    page = asked.body.decode()
    assert (asked.status, 'action="/profile/proof"' in page, 'name="next" value="/profile/second-factor"' in page) == (403, True, True)
    assert 'name="proof_code"' in page
    shop.answers(ProveAgain, lambda _: Proof(START))
    done = await shop.post("/profile/proof", {"next": "/profile/second-factor", "proof_password": "x", "proof_code": "123456"}, member=True)
    assert (done.status, done.headers["location"]) == (303, "/profile/second-factor")
    away = await shop.post("/profile/proof", {"next": "https://evil.example/", "proof_password": "x"}, member=True)
    assert away.headers["location"] == "/"
