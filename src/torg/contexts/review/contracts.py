"""What others may know of reviews: a product's rating."""

from __future__ import annotations

from torg.kit.messages import Event, message


@message("review.rating_changed")
class RatingChanged(Event, frozen=True, kw_only=True):
    """A product's rating over all published reviews, as of now: the average in hundredths (450 is 4.5), and how many there are."""

    product_id: str
    average_hundredths: int
    count: int
