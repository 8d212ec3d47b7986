"""Whatever happens in whatever order, nobody is given an answer of before a change that the gateway knew of when they asked."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from torg.contexts.gateway.model.keeping import SETTLING
from torg.contexts.gateway.tests.test_keeping import House, turns
from torg.kit.http.cache import CONTROL, TAGS

STEPS = st.lists(
    st.one_of(
        st.just("ask"), st.just("change"), st.just("hold"), st.just("let go"), st.just("fail"), st.just("work"), st.just("deaf"), st.just("hear"),
        st.floats(0.01, 60).map(lambda seconds: round(seconds, 2)),
    ),
    max_size=40,
)  # fmt: skip


class Shop(House):
    """The number on the shelf is how often it has changed. `lag`: so long instances behind the gateway go on telling the one before."""

    lag: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shelf, self.headers = b"0", [(CONTROL, b"max-age=60"), (TAGS, b"product:1")]
        self.changes = list[float]()

    def known(self, moment: float) -> int:
        """How often it had changed by then."""
        return sum(changed <= moment for changed in self.changes)

    def show(self) -> None:
        self.shelf = b"%d" % self.known(self.now - self.lag)

    async def ask(self) -> tuple[int, int, int]:
        """The least that may be answered, the most, and what was. Where others tell what was before for a moment, it is believed until the last change has
        settled: what was asked for then may lack what came a moment earlier, too."""
        least = self.known(self.now - (2 * SETTLING if self.lag else 0))
        given = await self.get()
        return (least, len(self.changes), int(given.body)) if given.status == 200 else (0, 0, 0)


async def play(steps: list[str | float], lag: float) -> None:
    shop = Shop()
    shop.lag = lag
    asking: list[asyncio.Future[tuple[int, int, int]]] = []
    for step in steps:
        shop.show()
        if step == "ask":
            asking.append(asyncio.ensure_future(shop.ask()))
        elif step == "change":
            shop.changes.append(shop.now)
            shop.answers.purge("product:1")
        elif step == "hold":
            shop.slow = shop.slow or asyncio.Event()
        elif step == "let go" and shop.slow:
            shop.slow.set()
            shop.slow = None
        elif step in ("fail", "work"):
            shop.status = 503 if step == "fail" else 200
        elif step in ("deaf", "hear"):
            shop.hearing = step == "hear"
        elif isinstance(step, float):
            shop.now += step
        shop.show()
        await turns()
    if shop.slow:
        shop.slow.set()
    for least, most, answered in await asyncio.gather(*asking):
        assert least <= answered <= most
    await shop.keeper.close()


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([0.0, SETTLING / 2, SETTLING * 0.99]))
def test_never_an_answer_of_before_a_change(steps: list[str | float], lag: float):
    asyncio.run(play(steps, lag))
