"""Whatever is written, decided, decided anew and voted on: ratings and votes equal a recount, and the last thing told of a product is true."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from torg.contexts.review import contracts as c
from torg.contexts.review.model import average_hundredths
from torg.contexts.review.tests.house import House, open_house, person
from torg.kit.errors import DomainError

people = st.integers(0, 3).map(lambda number: person(str(number)))
products = st.sampled_from(["1", "2"])


class Reviews(RuleBasedStateMachine):
    reviews = Bundle("reviews")

    def __init__(self) -> None:
        super().__init__()
        self._loop, self._stack = asyncio.new_event_loop(), AsyncExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._house: House = self._run(self._stack.enter_async_context(open_house(Path(folder))))
        self._rated: dict[str, dict[str, int]] = {"1": {}, "2": {}}
        self._written: dict[str, c.ReviewView] = {}

    @rule(target=reviews, product=products, rating=st.integers(1, 5), by=people)
    def write(self, product: str, rating: int, by: Any) -> str:
        try:
            review: c.ReviewView = self._run(self._house.write(product, rating, by))
        except DomainError:
            return "none"
        self._written[review.id] = review
        return review.id

    @rule(review=reviews, decision=st.sampled_from(["approve", "reject"]))
    def moderate(self, review: str, decision: c.Decision) -> None:
        if review not in self._written:
            return
        self._run(self._house.moderate(review, decision))
        of_product = self._rated[self._written[review].product_id]
        of_product.pop(review, None)
        if decision == "approve":
            of_product[review] = self._written[review].rating

    @rule(review=reviews, by=people, helpful=st.booleans())
    def vote(self, review: str, by: Any, helpful: bool) -> None:
        try:
            self._run(self._house.vote(review, helpful, by))
        except DomainError:
            return

    @invariant()
    def counts_are_right(self) -> None:
        assert self._run(self._house.deps.reviews.miscounted()) == []
        told = {event.product_id: event for event in self._run(self._house.events()) if isinstance(event, c.RatingChanged)}
        for product, rated in self._rated.items():
            shown: c.ProductReviews = self._run(self._house.shown(product, limit=100))
            assert {review.id: review.rating for review in shown.items} == rated
            assert shown.total == len(rated)
            if product in told:
                assert (told[product].count, told[product].average_hundredths) == (len(rated), average_hundredths(shown.distribution))

    def teardown(self) -> None:
        self._run(self._stack.aclose())
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)


TestReviews = Reviews.TestCase
TestReviews.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
