"""The rules of reviews, without a store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.review.contracts import Decision, Distribution, ReviewPublished, ReviewRejected, Status, WriteReview
from torg.contexts.review.model import Review, average_hundredths, counted, decide, decided, shown_name, total
from torg.kit.errors import Invalid
from torg.kit.messages import broken_rules
from torg.kit.values import Language

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def review(status: Status = "pending", author: str | None = None) -> Review:
    return Review("r", "1", "u", 4, "Tea", "Tasty", NOW, status=status, author=author)


@pytest.mark.parametrize(
    ("full_name", "shown"),
    [("Anna Petrova", "Anna P."), ("Анна Сергеевна Петрова", "Анна П."), ("Anna", "Anna"), ("  Anna   Petrova ", "Anna P."), ("", "")],
)
def test_a_name_is_shown_as_first_name_and_initial(full_name: str, shown: str) -> None:
    assert shown_name(full_name) == shown


def test_an_endless_first_name_is_cut() -> None:
    assert shown_name("A" * 500) == "A" * 40


@pytest.mark.parametrize(
    ("author", "language", "shown"),
    [
        ("Anna P.", Language.EN, "Anna P."),
        (None, Language.EN, "A customer"),
        (None, Language.RU, "Покупатель"),
        ("", Language.EN, "A former customer"),
        ("", Language.RU, "Бывший покупатель"),
    ],
)
def test_who_is_unknown_or_erased_is_shown_without_a_name(author: str | None, language: Language, shown: str) -> None:
    assert review(author=author).view(language).author == shown


@pytest.mark.parametrize(
    ("stars", "average"),
    [
        (Distribution(), 0),
        (Distribution(five=1), 500),
        (Distribution(four=1, five=1), 450),
        (Distribution(one=2, five=1), 233),
        (Distribution(one=1, five=2), 367),
        (Distribution(four=7, five=1), 413),  # 4.125: the half goes up
    ],
)
def test_an_average_is_in_hundredths_with_a_half_rounded_up(stars: Distribution, average: int) -> None:
    assert average_hundredths(stars) == average


@given(st.lists(st.integers(1, 5), min_size=1, max_size=50))
def test_an_average_is_the_mean_of_its_ratings(ratings: list[int]) -> None:
    counts = [ratings.count(stars) for stars in range(1, 6)]
    stars = Distribution(one=counts[0], two=counts[1], three=counts[2], four=counts[3], five=counts[4])
    assert total(stars) == len(ratings)
    assert abs(average_hundredths(stars) - 100 * sum(ratings) / len(ratings)) <= 0.5 + 1e-9


def test_the_same_decision_again_changes_nothing() -> None:
    published, rejected = review("published"), review("rejected")
    assert decide(published, "approve", "again") is published
    assert decide(rejected, "reject", "") is rejected


@pytest.mark.parametrize(
    ("before", "decision", "more"), [("pending", "approve", 1), ("rejected", "approve", 1), ("published", "reject", -1), ("pending", "reject", 0)]
)
def test_the_rating_follows_what_is_published(before: Status, decision: Decision, more: int) -> None:
    assert counted(before, decide(review(before), decision, "why").status) == more


def test_a_decision_is_told_with_its_reason() -> None:
    assert isinstance(decided(decide(review(), "approve", "")), ReviewPublished)
    told = decided(decide(review(), "reject", "off topic"))
    assert isinstance(told, ReviewRejected)
    assert told.reason == "off topic"


def test_a_rejection_needs_a_reason() -> None:
    with pytest.raises(Invalid):
        decide(review(), "reject", "")


@pytest.mark.parametrize(
    ("title", "text", "wrong"),
    [
        ("Good", "Two\nlines\tand <b>more</b>", set()),
        ("Two\nlines", "Tasty", {"title"}),
        ("  ", " \n ", {"title", "text"}),
        ("Good\x00", "Tasty\x07", {"title", "text"}),
    ],
)
def test_what_is_written_has_words_and_no_control_characters(title: str, text: str, wrong: set[str]) -> None:
    assert {fault.field for fault in broken_rules([("title", title), ("text", text)], WriteReview.RULES, NOW)} == wrong
