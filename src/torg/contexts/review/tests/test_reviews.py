"""Writing, moderating, voting, replying, and the ratings that follow."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from torg.contexts.review import contracts as c
from torg.contexts.review.tests.house import ANNA, BORIS, EN, MODERATOR, House, person
from torg.contexts.user.contracts import UserChanged, UserErased
from torg.kit.errors import ConcurrentChange, DomainError, Forbidden, Invalid, NotFound
from torg.kit.values import Language

# ---------------------------------------------------------------- writing


async def test_who_has_not_received_the_product_may_not_review_it(house: House) -> None:
    await house.deliver("2")
    await house.deliver("1", to=BORIS)
    with pytest.raises(Forbidden) as refused:
        await house.ask(c.WriteReview(product_id="1", author=ANNA, language=EN, rating=5, title="Tea", text="Tasty"))
    assert refused.value.code == "review.not_purchased"


async def test_a_review_waits_for_a_moderator_and_its_author_sees_it(house: House) -> None:
    written = await house.write()
    assert written.status == "pending"
    public, own = await house.shown(), await house.shown(viewer=ANNA)
    assert (public.items, public.total, public.own) == ((), 0, None)
    assert own.own == written
    assert (await house.shown(viewer=BORIS)).own is None
    assert await house.ask(c.GetReview(review_id=written.id, viewer=ANNA, language=EN)) == written
    assert (await house.ask(c.GetReview(review_id=written.id, viewer=MODERATOR, language=EN))).id == written.id
    for stranger in (None, BORIS):
        with pytest.raises(NotFound):
            await house.ask(c.GetReview(review_id=written.id, viewer=stranger, language=EN))


async def test_a_buyer_reviews_a_product_once(house: House) -> None:
    await house.write()
    await house.deliver("1")
    with pytest.raises(DomainError) as refused:
        await house.write()
    assert refused.value.code == "review.already_written"
    assert [type(event) for event in await house.events()] == [c.ReviewWritten]


@pytest.mark.race
async def test_a_review_that_is_sent_ten_times_at_once_is_written_once(house: House) -> None:
    await house.deliver("1")
    ends = await asyncio.gather(*(house.write() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(end, c.ReviewView) for end in ends) == 1
    assert len(await house.events()) == 1


async def test_what_was_typed_is_kept_as_it_was_typed(house: House) -> None:
    text = "Fresh and tasty, <b>would</b> buy again.\n<script>alert('чай')</script>"
    written = await house.write(text=f"  {text}\n")
    await house.moderate(written.id)
    assert (await house.shown()).items[0].text == text


async def test_the_log_does_not_keep_what_a_review_says(house: House) -> None:
    await house.moderate((await house.write(text="Unforgettable")).id)
    assert await house.deps.store.database.value("select count(*) from log where data like '%Unforgettable%'") == 0


# ---------------------------------------------------------------- moderating


async def test_an_approved_review_is_shown_and_rated(house: House) -> None:
    review = await house.publish(rating=4)
    shown = await house.shown()
    assert [item.id for item in shown.items] == [review.id]
    assert (shown.total, shown.distribution) == (1, c.Distribution(four=1))
    assert shown.items[0].reason == "", "the moderator's reason is not for readers"
    reasons = [(await house.ask(c.GetReview(review_id=review.id, viewer=who, language=EN))).reason for who in (None, BORIS, ANNA, MODERATOR)]
    assert reasons == ["", "", "seen", "seen"]
    assert (await house.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=400, count=1)


async def test_a_rejected_review_is_shown_to_nobody_but_its_author_with_the_reason(house: House) -> None:
    review = await house.write()
    await house.moderate(review.id, "reject", "off topic")
    assert (await house.shown()).items == ()
    own = (await house.shown(viewer=ANNA)).own
    assert own is not None
    assert (own.status, own.reason) == ("rejected", "off topic")
    assert [type(event) for event in await house.events()] == [c.ReviewWritten, c.ReviewRejected]


async def test_the_same_decision_twice_is_told_once(house: House) -> None:
    review = await house.publish()
    assert await house.moderate(review.id) == review
    assert [type(event) for event in await house.events()] == [c.ReviewWritten, c.ReviewPublished, c.RatingChanged]


async def test_a_changed_decision_takes_the_rating_along(house: House) -> None:
    await house.publish(rating=2, by=BORIS)
    review = await house.publish(rating=5)
    await house.moderate(review.id, "reject", "spam")
    assert (await house.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=200, count=1)
    await house.moderate(review.id)
    assert (await house.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=350, count=2)
    assert await house.miscounted() == []


async def test_the_last_review_taken_back_leaves_no_rating(house: House) -> None:
    review = await house.publish()
    await house.moderate(review.id, "reject", "spam")
    assert (await house.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=0, count=0)


async def test_a_rejection_without_a_reason_is_refused_and_changes_nothing(house: House) -> None:
    review = await house.write()
    with pytest.raises(Invalid):
        await house.moderate(review.id, "reject", " ")
    assert len(await house.events()) == 1


async def test_moderators_decide_about_others_reviews_alone(house: House) -> None:
    own = await house.write(by=MODERATOR)
    for decision in ("approve", "reject"):
        with pytest.raises(Forbidden) as refused:
            await house.ask(c.ModerateReview(review_id=own.id, moderator=MODERATOR, language=EN, decision=decision, reason="mine"))
        assert refused.value.code == "review.own"
    assert (await house.shown()).items == ()


async def test_an_unknown_review_is_not_moderated(house: House) -> None:
    with pytest.raises(NotFound):
        await house.moderate("none")


@pytest.mark.race
async def test_moderators_who_race_count_a_review_once(house: House) -> None:
    reviews = [await house.write(by=person(str(number)), rating=number % 5 + 1) for number in range(10)]
    await asyncio.gather(*(house.moderate(review.id) for review in reviews for _ in range(3)))
    assert (await house.shown()).distribution == c.Distribution(one=2, two=2, three=2, four=2, five=2)
    assert sum(isinstance(event, c.RatingChanged) for event in await house.events()) == 10
    assert await house.miscounted() == []


async def test_a_decision_on_what_somebody_else_has_decided_meanwhile_is_refused(house: House) -> None:
    review = await house.deps.reviews.find((await house.write()).id)
    assert review is not None
    await house.moderate(review.id, "reject", "spam")
    with pytest.raises(ConcurrentChange):
        async with house.deps.transaction() as tx:
            await house.deps.reviews.settle(tx, replace(review, status="published"), "pending")
    assert await house.miscounted() == []


async def test_moderators_see_those_who_waited_longest_first(house: House) -> None:
    waiting = [(await house.write(by=person(name))).id for name in "abc"]
    first = await house.ask(c.ListReviewsByStatus(language=EN, limit=2))
    rest = await house.ask(c.ListReviewsByStatus(language=EN, limit=2, cursor=first.next_cursor or ""))
    assert [review.id for review in (*first.items, *rest.items)] == waiting
    assert rest.next_cursor is None


# ---------------------------------------------------------------- lists


async def test_the_newest_come_first_page_by_page(house: House) -> None:
    written = [(await house.publish(by=person(str(number)))).id for number in range(5)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await house.shown(cursor=cursor, limit=2)
        found += [review.id for review in page.items]
        cursor = page.next_cursor
    assert found == written[::-1]


async def test_the_most_helpful_come_first_page_by_page(house: House) -> None:
    low, high, middle = [(await house.publish(by=person(name))).id for name in "abc"]
    for number in range(3):
        await house.vote(high, True, person(f"voter-{number}"))
    await house.vote(low, False)
    first = await house.shown(sort="helpful", limit=2)
    rest = await house.shown(sort="helpful", limit=2, cursor=first.next_cursor)
    assert [review.id for review in (*first.items, *rest.items)] == [high, middle, low]


@pytest.mark.parametrize(("sort", "cursor"), [("newest", "garbage"), ("newest", "/"), ("helpful", "garbage"), ("helpful", "2026-03-01T12:00:00.000000Z/x")])
async def test_a_cursor_of_another_make_is_refused(house: House, sort: str, cursor: str) -> None:
    with pytest.raises(Invalid):
        await house.shown(sort=sort, cursor=cursor)


async def test_an_author_sees_all_they_wrote(house: House) -> None:
    published, pending = await house.publish("1"), await house.write("2")
    await house.write("1", by=BORIS)
    mine = await house.ask(c.ListMyReviews(author=ANNA, language=EN))
    assert [(review.id, review.status) for review in mine.items] == [(pending.id, "pending"), (published.id, "published")]


# ---------------------------------------------------------------- names


async def test_the_author_is_shown_by_first_name_and_initial_as_it_is_now(house: House) -> None:
    await house.name(ANNA, "Anna Petrova")
    await house.publish()
    assert (await house.shown()).items[0].author == "Anna P."
    await house.tell(UserChanged(user_id=ANNA.user_id, email="", full_name="Anna Ivanova", city="", language=EN))
    assert (await house.shown()).items[0].author == "Anna I."


async def test_an_erased_author_is_a_former_customer_and_their_review_stays(house: House) -> None:
    await house.name(ANNA, "Anna Petrova")
    await house.publish()
    await house.tell(UserErased(ANNA.user_id))
    assert (await house.shown()).items[0].author == "A former customer"
    assert (await house.shown(language=Language.RU)).items[0].author == "Бывший покупатель"
    assert await house.deps.store.database.value("select count(*) from delivered") == 0
    assert (await house.shown()).total == 1


# ---------------------------------------------------------------- votes and replies


async def test_a_person_has_one_vote_and_may_change_it(house: House) -> None:
    review = await house.publish()
    assert await house.vote(review.id, True) == (1, 0)
    assert await house.vote(review.id, True) == (1, 0)
    assert await house.vote(review.id, False) == (0, 1)
    assert await house.vote(review.id, True, person("third")) == (1, 1)
    assert await house.miscounted() == []


@pytest.mark.race
async def test_votes_that_race_are_all_counted_once(house: House) -> None:
    review = await house.publish()
    await asyncio.gather(*(house.vote(review.id, number % 3 == 0, person(f"voter-{number % 10}")) for number in range(40)))
    shown = (await house.shown()).items[0]
    assert shown.helpful + shown.unhelpful == 10
    assert await house.miscounted() == []


async def test_nobody_votes_for_their_own_review_or_for_one_that_is_not_shown(house: House) -> None:
    review = await house.write()
    with pytest.raises(NotFound):
        await house.vote(review.id, True)
    await house.moderate(review.id)
    with pytest.raises(Forbidden) as refused:
        await house.vote(review.id, True, ANNA)
    assert refused.value.code == "review.own"


async def test_the_sellers_latest_reply_stands_below_the_review(house: House) -> None:
    review = await house.publish()
    for text in ("Thanks", "Thank you, Anna"):
        await house.ask(c.ReplyToReview(review_id=review.id, language=EN, text=text))
    assert (await house.shown()).items[0].reply == c.Reply("Thank you, Anna", house.clock())
    pending = await house.write("2")
    with pytest.raises(NotFound):
        await house.ask(c.ReplyToReview(review_id=pending.id, language=EN, text="Thanks"))


@pytest.mark.parametrize(
    "change",
    ["update rating set three = 1", "update rating set five = 0", "delete from rating", "update review set helpful = 1", "update review set score = 1"],
)
async def test_a_wrong_count_is_noticed(house: House, change: str) -> None:
    await house.publish()
    assert await house.miscounted() == []
    async with house.deps.transaction() as tx:
        await tx.execute(change)
    assert len(await house.miscounted()) == 1
