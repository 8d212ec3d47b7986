"""Whatever is written, decided, decided anew and voted on: ratings and votes equal a recount, and the last thing told of a product is true."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, rule

from torg.contexts.review import contracts as c
from torg.contexts.review.model import average_hundredths
from torg.contexts.review.tests.house import open_house, person
from torg.kit.errors import DomainError
from torg.kit.testing.machines import AsyncMachine

people = st.integers(0, 3).map(lambda number: person(str(number)))
products = st.sampled_from(["1", "2"])


class Reviews(AsyncMachine):
    reviews = Bundle("reviews")

    def __init__(self) -> None:
        super().__init__()
        self.house = self.open(open_house(self.folder))
        self._rated: dict[str, dict[str, int]] = {"1": {}, "2": {}}
        self._written: dict[str, c.ReviewView] = {}

    @rule(target=reviews, product=products, rating=st.integers(1, 5), by=people)
    def write(self, product: str, rating: int, by: Any) -> str:
        try:
            review: c.ReviewView = self.run(self.house.write(product, rating, by))
        except DomainError:
            return "none"
        self._written[review.id] = review
        return review.id

    @rule(review=reviews, decision=st.sampled_from(["approve", "reject"]))
    def moderate(self, review: str, decision: c.Decision) -> None:
        if review not in self._written:
            return
        self.run(self.house.moderate(review, decision))
        of_product = self._rated[self._written[review].product_id]
        of_product.pop(review, None)
        if decision == "approve":
            of_product[review] = self._written[review].rating

    @rule(review=reviews, by=people, helpful=st.booleans())
    def vote(self, review: str, by: Any, helpful: bool) -> None:
        try:
            self.run(self.house.vote(review, helpful, by))
        except DomainError:
            return

    @invariant()
    def counts_are_right(self) -> None:
        assert self.run(self.house.miscounted()) == []
        told = {event.product_id: event for event in self.run(self.house.events()) if isinstance(event, c.RatingChanged)}
        for product, rated in self._rated.items():
            shown: c.ProductReviews = self.run(self.house.shown(product, limit=100))
            assert {review.id: review.rating for review in shown.items} == rated
            assert shown.total == len(rated)
            if product in told:
                assert (told[product].count, told[product].average_hundredths) == (len(rated), average_hundredths(shown.distribution))


TestReviews = Reviews.TestCase
TestReviews.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
