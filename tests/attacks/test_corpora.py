"""What attackers send: headers within values, ways out of a folder, addresses of others to go on to. All of it is inert, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import aiohttp
import pytest

from tests.attacks.conftest import Town
from tests.attacks.fields import Forms
from tests.shop.goods import PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="session")
BROKEN = (
    "/x\r\nx-evil: 1",
    "/x\nx-evil: 1",
    "/x\rx-evil: 1",
    "/x\r\n\r\n<script>x-evil: 1</script>",
    "/x%0d%0ax-evil: 1",
    "/x%250d%250ax-evil: 1",
    "/x\u560d\u560ax-evil: 1",
    "/x\u2028x-evil: 1",
    "/x\u0085x-evil: 1",
    "/x\x00x-evil: 1",
    "/x\x0bx-evil: 1",
    "/x; Path=/; x-evil=1",
)
ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "////evil.example/%2e%2e",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https://evil.example",
    "HTTPS://evil.example",
    "http:\\\\evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "/\tevil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "//evil%00.example",
    "/%09/evil.example",
    "//evil\u3002example",
    "\uff0f\uff0fevil.example",
    "/\uff0fevil.example",
    "//\u2044evil.example",
    "//evil.example\\@torg.example",
    "https://torg.example@evil.example",
    "https://evil.example#torg.example",
    "https://evil.example?torg.example",
    "//google.com%2f@evil.example",
    "?//evil.example",
    "#//evil.example",
    ".evil.example",
    "@evil.example",
    ":evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/%5cevil.example",
    "/%2f%2fevil.example",
)
ROOTS = ("/static/", "/pictures/", "/admin/static/", "/mailbox/", "/", "/acquirer/pay/", "/products/")
WAYS_OUT = (
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "..%252f..%252f..%252fetc%252fpasswd",
    "..\\..\\..\\..\\etc\\passwd",
    "..%5c..%5c..%5cetc%5cpasswd",
    "..%c0%af..%c0%af..%c0%afetc%c0%afpasswd",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "..;/..;/..;/etc/passwd",
    "....//....//....//etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "file:///etc/passwd",
    "shop.css%00.png",
    "..%00/etc/passwd",
    ".%2e/.%2e/.%2e/etc/passwd",
    "..%ef%bc%8f..%ef%bc%8fetc/passwd",
    "../templates/layout.html",
    "..%2ftemplates%2flayout.html",
    "../../compose.py",
    "..%2f..%2f..%2fcompose.py",
    "secret",
    "../secret",
    "..%2fsecret",
)
SECRETS = (b"root:x:", b"root:*:", b"{% block", b"from __future__")


async def raw(town: Town, head: bytes) -> bytes:
    """What the port answers to bytes as they are."""
    address = urlsplit(town.shop.address)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head)
    await writer.drain()
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


def told(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}


@pytest.mark.parametrize("value", BROKEN, ids=ascii)
async def test_no_value_becomes_a_header(town: Town, value: str):
    sent = [
        f"/sign-in?next={quote_plus(value)}", f"/search?query={quote_plus(value)}", f"/register?next={quote_plus(value)}", f"/cart?said={quote_plus(value)}",
        f"/pictures/{quote(value, safe='')}.svg", f"/static/{quote(value, safe='')}", f"/products/{quote(value, safe='')}", f"/admin?next={quote_plus(value)}",
        f"/api/v1/products?query={quote_plus(value)}&cursor={quote_plus(value)}", f"/oauth/authorize?client_id={quote_plus(value)}&state={quote_plus(value)}",
    ]  # fmt: skip
    for target in sent:
        answer = await raw(town, f"GET {target} HTTP/1.1\r\nHost: shop\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 "), answer[:100]
        assert not answer.startswith(b"HTTP/1.1 5"), (target, answer[:200])
        assert "x-evil" not in told(answer), target
        assert b"x-evil" not in b"".join(line for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n") if not line.lower().startswith(b"location: /"))


@pytest.mark.parametrize("cookie", ["said", "language", "cart", "session", "refresh", "form"])
async def test_no_cookie_becomes_a_header_or_anything_on_a_page(town: Town, cookie: str):
    for value in ("x; x-evil=1", '"><script>evil()</script>', "%0d%0ax-evil:1", "../../etc/passwd", "{{7*7}}", "x" * 3000):
        for path in ("/", "/cart", "/sign-in", "/orders"):
            answer = await town.open("GET", path, cookie=f"{cookie}={value}")
            assert answer.status < 500
            assert "x-evil" not in answer.headers
            assert "<script>evil" not in answer.body.decode()


def leads_away(town: Town, location: str) -> bool:
    """Whether a browser that is told this leaves the shop (WHATWG URL: tabs and line ends are nothing, a backslash is a slash)."""
    meant = "".join(sign for sign in location if sign not in "\t\r\n").strip().replace("\\", "/")
    if meant.startswith(f"{town.shop.address}/") or meant == town.shop.address:
        return False
    return meant.startswith("//") or not meant.startswith("/")


@pytest.mark.parametrize("target", ELSEWHERE, ids=ascii)
async def test_nobody_is_led_elsewhere(town: Town, target: str):
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(town.shop.address, cookie_jar=jar, headers={"accept": "text/html", "sec-fetch-site": "same-origin"}) as browser:

        async def post(page: str, action: str, typed: Mapping[str, str]) -> None:
            async with browser.get(page) as shown:
                fields = next(form.fields for form in Forms(await shown.text()).found if form.action == action)
            async with browser.post(action, data={**fields, **typed}, allow_redirects=False) as answer:
                assert answer.status in (303, 403, 422, 429), (action, answer.status)
                assert not leads_away(town, answer.headers.get("location", "/")), (action, answer.headers["location"])

        asked = f"/sign-in?{urlencode({'next': target})}"
        await post(asked, "/language", {"language": "en", "back": target})
        await post(asked, "/sign-in", {"email": town.buyer.email, "password": PASSWORD, "next": target})
        for name in ("next", "back", "return_to", "redirect", "url"):
            for path in ("/sign-in", "/register", "/cart", "/oauth/logout", "/admin"):
                async with browser.get(path, params={name: target, "post_logout_redirect_uri": target}, allow_redirects=False) as answer:
                    assert not leads_away(town, answer.headers.get("location", "/")), (path, name)
    for method, path in (("GET", target), ("POST", target)):
        asked, referer = quote(path, safe="/%:@?#;."), quote(target, safe="/:.")
        line = f"{method} /{asked} HTTP/1.1\r\nHost: shop\r\nReferer: {referer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        assert not leads_away(town, told(await raw(town, line.encode())).get("location", "/"))


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_no_path_leads_out_of_its_folder(town: Town, way: str):
    for root in ROOTS:
        answer = await raw(town, f"GET {root}{way} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
        status = int(answer.split(b" ", 2)[1])
        assert status in (301, 303, 307, 308, 400, 401, 403, 404, 422), (root, way, status)
        assert not any(secret in answer for secret in SECRETS), (root, way)


STATEMENTS = (
    "'",
    "' or '1'='1",
    "'; drop table user; --",
    '" or ""="',
    "1 or 1=1",
    "1); select pg_sleep(9); --",
    "' union select null, null --",
    "\\' or 1=1 --",
    "%' or 1=1 --",
    "*/*",
    "\x00'",
)


@pytest.mark.parametrize("text", STATEMENTS, ids=ascii)
async def test_no_value_becomes_a_statement(town: Town, text: str):
    admin = await town.shop.staff("admin")
    before = (await admin.get("/admin/users", limit=1)).json
    for visitor in (town.buyer, admin):
        for path, name in (
            ("/products", "query"),
            ("/products", "category"),
            ("/products", "cursor"),
            ("/orders", "cursor"),
            ("/orders", "status"),
            ("/admin/users", "query"),
            ("/admin/users", "email"),
            ("/products/suggest", "query"),
            ("/admin/audit", "object"),
            ("/admin/audit", "actor"),
            ("/payments", "order_id"),
        ):
            answer = await visitor.get(path, **{name: text})
            assert answer.status in (200, 400, 403, 404, 422), (path, name, answer)
        for path in ("/orders/", "/products/", "/users/me/addresses/", "/reviews/", "/deliveries/", "/payments/", "/admin/sagas/"):
            answer = await visitor.get(path + quote(text, safe=""))
            assert answer.status in (400, 403, 404, 405, 422), (path, answer)
    assert (await admin.get("/admin/users", limit=1)).json == before
