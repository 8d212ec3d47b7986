"""Whether a shop is in order: every invariant of every context, and no message that anybody failed on."""

from __future__ import annotations

from tests.shop.opening import Shop

DOUBTS_LAST = 16  # seconds: what only time can tell counts as violated after fifteen


async def everything_holds(shop: Shop) -> None:
    """Lets what is under way come to its end, then looks twice, with the clock moved on in between, so that no doubt is left in suspense."""
    await shop.settle()
    await violations(shop)
    shop.clock.advance(seconds=DOUBTS_LAST)
    await shop.settle()
    found = await violations(shop)
    assert not found, "\n".join(found)


async def violations(shop: Shop) -> list[str]:
    admin = await shop.staff("admin")
    reports = (await admin.get("/admin/invariants")).json["items"]
    assert len(reports) >= 8, f"only {len(reports)} invariants are looked at"
    broken = [f"{report['context']}.{report['name']}: {sentence}" for report in reports if not report["holds"] for sentence in report["violations"]]
    return broken + [f"{context}: {failed.consumer} failed on {failed.name}: {failed.error}" for context, failed in await shop.failed()]
