"""What others may ask of analytics: which products go together."""

from __future__ import annotations

import msgspec

from torg.kit.messages import Query, message


class Recommendations(msgspec.Struct, frozen=True):
    """Product ids, best first."""

    bought_together: tuple[str, ...]


@message("analytics.get_recommendations")
class GetRecommendations(Query[Recommendations], frozen=True):
    product_id: str
    limit: int = 12
