"""A program of somebody else's that speaks WebSocket, by a library of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

from torg.kit.ports import free_port

MEGABYTE = 1 << 20


class Chat:
    """Somebody's program: says again what it hears, until it is told otherwise."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.ended: list[int | None] = []
        self.open = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if request.path == "/chat/closed":
            return web.Response(status=403, text="members only", headers={"set-cookie": "mine=1"})
        if not web.WebSocketResponse().can_prepare(request).ok:
            return web.Response(text="a page of the chat")
        socket = web.WebSocketResponse(max_msg_size=4 * MEGABYTE, autoclose=True, protocols=("torg.chat",))
        await socket.prepare(request)
        self.open += 1
        try:
            await self._talk(socket)
        finally:
            self.open -= 1
            self.ended.append(socket.close_code)
        return socket

    async def _talk(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.data == "leave":
                await socket.close(code=4001, message=b"as you wish")
            elif message.data == "flood":
                await self._flood(socket)
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)

    async def _flood(self, socket: web.WebSocketResponse) -> None:
        self.sent = 0
        while self.sent < 100:
            await socket.send_bytes(bytes(MEGABYTE))
            self.sent += 1


@asynccontextmanager
async def chatting(chat: Chat, port: int = 0) -> AsyncIterator[str]:
    runner = web.AppRunner(web.Application(), handler_cancellation=True, shutdown_timeout=0.1)
    runner.app.router.add_route("*", "/chat{rest:.*}", chat.answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port or (port := free_port()))
    await site.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()
