"""Writing, moderating, voting, replying, and the ratings that follow."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from torg.contexts.review import contracts as c
from torg.contexts.review.tests.desk import ANNA, BORIS, EN, MODERATOR, Desk, person
from torg.contexts.user.contracts import UserChanged, UserErased
from torg.kit.errors import ConcurrentChange, DomainError, Forbidden, Invalid, NotFound
from torg.kit.values import Language

# ---------------------------------------------------------------- writing


async def test_who_has_not_received_the_product_may_not_review_it(desk: Desk) -> None:
    await desk.deliver("2")
    await desk.deliver("1", to=BORIS)
    with pytest.raises(Forbidden) as refused:
        await desk.ask(c.WriteReview(product_id="1", author=ANNA, language=EN, rating=5, title="Tea", text="Tasty"))
    assert refused.value.code == "review.not_purchased"


async def test_a_review_waits_for_a_moderator_and_its_author_sees_it(desk: Desk) -> None:
    written = await desk.write()
    assert written.status == "pending"
    public, own = await desk.shown(), await desk.shown(viewer=ANNA)
    assert (public.items, public.total, public.own) == ((), 0, None)
    assert own.own == written
    assert (await desk.shown(viewer=BORIS)).own is None
    assert await desk.ask(c.GetReview(review_id=written.id, viewer=ANNA, language=EN)) == written
    assert (await desk.ask(c.GetReview(review_id=written.id, viewer=MODERATOR, language=EN))).id == written.id
    for stranger in (None, BORIS):
        with pytest.raises(NotFound):
            await desk.ask(c.GetReview(review_id=written.id, viewer=stranger, language=EN))


async def test_a_buyer_reviews_a_product_once(desk: Desk) -> None:
    await desk.write()
    await desk.deliver("1")
    with pytest.raises(DomainError) as refused:
        await desk.write()
    assert refused.value.code == "review.already_written"
    assert [type(event) for event in await desk.events()] == [c.ReviewWritten]


@pytest.mark.race
async def test_a_review_that_is_sent_ten_times_at_once_is_written_once(desk: Desk) -> None:
    await desk.deliver("1")
    ends = await asyncio.gather(*(desk.write() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(end, c.ReviewView) for end in ends) == 1
    assert len(await desk.events()) == 1


async def test_what_was_typed_is_kept_as_it_was_typed(desk: Desk) -> None:
    text = "Fresh and tasty, <b>would</b> buy again.\n<script>alert('чай')</script>"
    written = await desk.write(text=f"  {text}\n")
    await desk.moderate(written.id)
    assert (await desk.shown()).items[0].text == text


async def test_the_log_does_not_keep_what_a_review_says(desk: Desk) -> None:
    await desk.moderate((await desk.write(text="Unforgettable")).id)
    assert await desk.deps.store.database.value("select count(*) from log where data like '%Unforgettable%'") == 0


# ---------------------------------------------------------------- moderating


async def test_an_approved_review_is_shown_and_rated(desk: Desk) -> None:
    review = await desk.publish(rating=4)
    shown = await desk.shown()
    assert [item.id for item in shown.items] == [review.id]
    assert (shown.total, shown.distribution) == (1, c.Distribution(four=1))
    assert shown.items[0].reason == "", "the moderator's reason is not for readers"
    reasons = [(await desk.ask(c.GetReview(review_id=review.id, viewer=who, language=EN))).reason for who in (None, BORIS, ANNA, MODERATOR)]
    assert reasons == ["", "", "seen", "seen"]
    assert (await desk.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=400, count=1)


async def test_a_rejected_review_is_shown_to_nobody_but_its_author_with_the_reason(desk: Desk) -> None:
    review = await desk.write()
    await desk.moderate(review.id, "reject", "off topic")
    assert (await desk.shown()).items == ()
    own = (await desk.shown(viewer=ANNA)).own
    assert own is not None
    assert (own.status, own.reason) == ("rejected", "off topic")
    assert [type(event) for event in await desk.events()] == [c.ReviewWritten, c.ReviewRejected]


async def test_the_same_decision_twice_is_told_once(desk: Desk) -> None:
    review = await desk.publish()
    assert await desk.moderate(review.id) == review
    assert [type(event) for event in await desk.events()] == [c.ReviewWritten, c.ReviewPublished, c.RatingChanged]


async def test_a_changed_decision_takes_the_rating_along(desk: Desk) -> None:
    await desk.publish(rating=2, by=BORIS)
    review = await desk.publish(rating=5)
    await desk.moderate(review.id, "reject", "spam")
    assert (await desk.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=200, count=1)
    await desk.moderate(review.id)
    assert (await desk.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=350, count=2)
    assert await desk.deps.reviews.miscounted() == []


async def test_the_last_review_taken_back_leaves_no_rating(desk: Desk) -> None:
    review = await desk.publish()
    await desk.moderate(review.id, "reject", "spam")
    assert (await desk.events())[-1] == c.RatingChanged(product_id="1", average_hundredths=0, count=0)


async def test_a_rejection_without_a_reason_is_refused_and_changes_nothing(desk: Desk) -> None:
    review = await desk.write()
    with pytest.raises(Invalid):
        await desk.moderate(review.id, "reject", " ")
    assert len(await desk.events()) == 1


async def test_an_unknown_review_is_not_moderated(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.moderate("none")


@pytest.mark.race
async def test_moderators_who_race_count_a_review_once(desk: Desk) -> None:
    reviews = [await desk.write(by=person(str(number)), rating=number % 5 + 1) for number in range(10)]
    await asyncio.gather(*(desk.moderate(review.id) for review in reviews for _ in range(3)))
    assert (await desk.shown()).distribution == c.Distribution(one=2, two=2, three=2, four=2, five=2)
    assert sum(isinstance(event, c.RatingChanged) for event in await desk.events()) == 10
    assert await desk.deps.reviews.miscounted() == []


async def test_a_decision_on_what_somebody_else_has_decided_meanwhile_is_refused(desk: Desk) -> None:
    review = await desk.deps.reviews.find((await desk.write()).id)
    assert review is not None
    await desk.moderate(review.id, "reject", "spam")
    with pytest.raises(ConcurrentChange):
        async with desk.deps.transaction() as tx:
            await desk.deps.reviews.settle(tx, replace(review, status="published"), "pending")
    assert await desk.deps.reviews.miscounted() == []


async def test_moderators_see_those_who_waited_longest_first(desk: Desk) -> None:
    waiting = [(await desk.write(by=person(name))).id for name in "abc"]
    first = await desk.ask(c.ListReviewsByStatus(language=EN, limit=2))
    rest = await desk.ask(c.ListReviewsByStatus(language=EN, limit=2, cursor=first.next_cursor or ""))
    assert [review.id for review in (*first.items, *rest.items)] == waiting
    assert rest.next_cursor is None


# ---------------------------------------------------------------- lists


async def test_the_newest_come_first_page_by_page(desk: Desk) -> None:
    written = [(await desk.publish(by=person(str(number)))).id for number in range(5)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await desk.shown(cursor=cursor, limit=2)
        found += [review.id for review in page.items]
        cursor = page.next_cursor
    assert found == written[::-1]


async def test_the_most_helpful_come_first_page_by_page(desk: Desk) -> None:
    low, high, middle = [(await desk.publish(by=person(name))).id for name in "abc"]
    for number in range(3):
        await desk.vote(high, True, person(f"voter-{number}"))
    await desk.vote(low, False)
    first = await desk.shown(sort="helpful", limit=2)
    rest = await desk.shown(sort="helpful", limit=2, cursor=first.next_cursor)
    assert [review.id for review in (*first.items, *rest.items)] == [high, middle, low]


@pytest.mark.parametrize(("sort", "cursor"), [("newest", "garbage"), ("newest", "/"), ("helpful", "garbage"), ("helpful", "2026-03-01T12:00:00.000000Z/x")])
async def test_a_cursor_of_another_make_is_refused(desk: Desk, sort: str, cursor: str) -> None:
    with pytest.raises(Invalid):
        await desk.shown(sort=sort, cursor=cursor)


async def test_an_author_sees_all_they_wrote(desk: Desk) -> None:
    published, pending = await desk.publish("1"), await desk.write("2")
    await desk.write("1", by=BORIS)
    mine = await desk.ask(c.ListMyReviews(author=ANNA, language=EN))
    assert [(review.id, review.status) for review in mine.items] == [(pending.id, "pending"), (published.id, "published")]


# ---------------------------------------------------------------- names


async def test_the_author_is_shown_by_first_name_and_initial_as_it_is_now(desk: Desk) -> None:
    await desk.name(ANNA, "Anna Petrova")
    await desk.publish()
    assert (await desk.shown()).items[0].author == "Anna P."
    await desk.tell(UserChanged(user_id=ANNA.user_id, email="", full_name="Anna Ivanova", city="", language=EN))
    assert (await desk.shown()).items[0].author == "Anna I."


async def test_an_erased_author_is_a_former_customer_and_their_review_stays(desk: Desk) -> None:
    await desk.name(ANNA, "Anna Petrova")
    await desk.publish()
    await desk.tell(UserErased(ANNA.user_id))
    assert (await desk.shown()).items[0].author == "A former customer"
    assert (await desk.shown(language=Language.RU)).items[0].author == "Бывший покупатель"
    assert await desk.deps.store.database.value("select count(*) from delivered") == 0
    assert (await desk.shown()).total == 1


# ---------------------------------------------------------------- votes and replies


async def test_a_person_has_one_vote_and_may_change_it(desk: Desk) -> None:
    review = await desk.publish()
    assert await desk.vote(review.id, True) == (1, 0)
    assert await desk.vote(review.id, True) == (1, 0)
    assert await desk.vote(review.id, False) == (0, 1)
    assert await desk.vote(review.id, True, person("third")) == (1, 1)
    assert await desk.deps.reviews.miscounted() == []


@pytest.mark.race
async def test_votes_that_race_are_all_counted_once(desk: Desk) -> None:
    review = await desk.publish()
    await asyncio.gather(*(desk.vote(review.id, number % 3 == 0, person(f"voter-{number % 10}")) for number in range(40)))
    shown = (await desk.shown()).items[0]
    assert shown.helpful + shown.unhelpful == 10
    assert await desk.deps.reviews.miscounted() == []


async def test_nobody_votes_for_their_own_review_or_for_one_that_is_not_shown(desk: Desk) -> None:
    review = await desk.write()
    with pytest.raises(NotFound):
        await desk.vote(review.id, True)
    await desk.moderate(review.id)
    with pytest.raises(Forbidden) as refused:
        await desk.vote(review.id, True, ANNA)
    assert refused.value.code == "review.own"


async def test_the_sellers_latest_reply_stands_below_the_review(desk: Desk) -> None:
    review = await desk.publish()
    for text in ("Thanks", "Thank you, Anna"):
        await desk.ask(c.ReplyToReview(review_id=review.id, language=EN, text=text))
    assert (await desk.shown()).items[0].reply == c.Reply("Thank you, Anna", desk.clock())
    pending = await desk.write("2")
    with pytest.raises(NotFound):
        await desk.ask(c.ReplyToReview(review_id=pending.id, language=EN, text="Thanks"))


@pytest.mark.parametrize(
    "change",
    ["update rating set three = 1", "update rating set five = 0", "delete from rating", "update review set helpful = 1", "update review set score = 1"],
)
async def test_a_wrong_count_is_noticed(desk: Desk, change: str) -> None:
    await desk.publish()
    assert await desk.deps.reviews.miscounted() == []
    async with desk.deps.transaction() as tx:
        await tx.execute(change)
    assert len(await desk.deps.reviews.miscounted()) == 1
