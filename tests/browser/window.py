"""A browser's window that remembers everything that went wrong in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response

PATIENCE = 60_000  # milliseconds


class Window:
    """One visitor's window. `went_wrong` holds script errors, console errors, failed requests, and refusals that nobody expected; those of paths that begin
    like one of `lacking` (503) or `refused` (401, 403, 422) are what a test is about."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.lacking: tuple[str, ...] = ()
        self.refused: tuple[str, ...] = ()
        self.went_wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.went_wrong.append(f"a script died: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    async def go(self, path: str) -> None:
        reply = await self.page.goto(self.address + path)
        assert reply is not None
        assert reply.ok or self._lacks(reply.url, reply.status), f"{path} answered {reply.status}"

    async def click(self, name: str, role: str = "button") -> None:
        """The first visible button (or link) of that name."""
        await self.page.get_by_role(role, name=name).locator("visible=true").first.click()  # type: ignore[arg-type]

    async def fill(self, **fields: str) -> None:
        """Input by the names of their fields."""
        for name, value in fields.items():
            await self.page.locator(f"main [name={name}]:visible").first.fill(value)

    async def shows(self, selector: str, text: str, seconds: float = PATIENCE / 1000) -> None:
        """Waits until an element shows a text."""
        await self.page.locator(selector, has_text=text).first.wait_for(timeout=seconds * 1000)

    async def is_at(self, status: str) -> None:
        """Waits until the open order's page shows a status, by itself."""
        await self.page.locator(f"[data-test=order-status][data-status={status}]").wait_for()

    async def fits(self) -> bool:
        """Whether nothing sticks out to the side."""
        wide: bool = await self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        return wide

    def _console(self, message: ConsoleMessage) -> None:
        told = [status for status in (503, 401, 403, 422) if str(status) in message.text]
        if message.type in ("error", "warning") and not any(self._lacks(message.location["url"], status) for status in told):
            self.went_wrong.append(f"console {message.type} at {self.page.url}: {message.text}")

    def _failed(self, request: Request) -> None:
        """Leaving a page ends its streams and beacons: that is no failure."""
        if request.failure != "net::ERR_ABORTED" and not self._lacks(request.url, 503):
            self.went_wrong.append(f"{request.method} {request.url} failed: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and not self._lacks(response.url, response.status):
            self.went_wrong.append(f"{response.request.method} {response.url} answered {response.status}")

    def _lacks(self, url: str, status: int) -> bool:
        expected = {503: self.lacking, 401: self.refused, 403: self.refused, 422: self.refused}.get(status, ())
        return bool(expected) and url.removeprefix(self.address).startswith(expected)


@asynccontextmanager
async def opened(browser: Browser, address: str, width: int, height: int) -> AsyncIterator[Window]:
    context = await browser.new_context(viewport={"width": width, "height": height}, locale="en-GB")
    context.set_default_timeout(PATIENCE)
    window = Window(await context.new_page(), address)
    yield window
    await context.close()
    assert not window.went_wrong, "\n".join(window.went_wrong)
