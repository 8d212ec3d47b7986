"""What must stay true of ratings and votes: some products are counted anew at each look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torg.contexts.review.contracts import RatingChanged
from torg.contexts.review.model import average_hundredths, total
from torg.contexts.review.ports import ReviewStore
from torg.kit.auditing import Beginning, Fault, Invariant, Rounds, not_before, untold
from torg.kit.store import Store

AT_ONCE: Final = 200  # products
NEWEST: Final = 200  # rows of the log
TRIES, PAUSE = 3, 0.1  # something may be decided between the readings
RATING: Final = "rating/"


class SqlReviewAudit:
    """Compares what is kept of products with a recount."""

    def __init__(self, store: Store, reviews: ReviewStore) -> None:
        self._store, self._reviews = store, reviews
        self._rounds = Rounds(reviews.rated, self._miscounted, AT_ONCE, self._newest, TRIES, PAUSE)

    def invariants(self) -> tuple[Invariant, ...]:
        sentence, rounds = "Ratings and votes equal a recount of published reviews and of votes.", self._rounds
        return (Invariant("review.ratings", sentence, rounds.check, "rebuild_ratings", self._since_when, rounds.come),)

    async def _newest(self) -> list[str]:
        return [stream.removeprefix(RATING) for stream in await self._store.log.lately(NEWEST) if stream.startswith(RATING)]

    async def _miscounted(self, product_ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        found = await self._reviews.miscounted(product_ids)
        return {product_id: [Fault(sentence=said, about="product", id=product_id) for said in sentences] for product_id, sentences in found.items()}

    async def _since_when(self, fault: Fault) -> Beginning:
        """The log has each rating as it was told, not what it was made of: it can only clear itself."""
        last = await self._store.log.last_version(RATING + fault.id)
        rows = await self._store.log.stream(RATING + fault.id, after=last - 1)
        if not rows:
            return untold("no rating of the product was ever told")
        told = rows[-1].message
        counted = await self._reviews.counted(fault.id)
        if isinstance(told, RatingChanged) and (told.average_hundredths, told.count) == (average_hundredths(counted), total(counted)):
            return not_before(rows[-1], "its rating is the recount's: something that is not in the log has changed the count since")
        return untold("the log tells ratings and votes only as they were counted, and what was told last is not the recount's either")
