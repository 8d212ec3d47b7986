"""Headers that keep an answer from doing more than it should."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from torg.kit.http import Response
from torg.kit.http.guards import BY_ANYBODY, guard, policy, styles_of


def guarded(response: Response, secure: bool = False) -> dict[str, str]:
    guard(response, secure)
    assert len({name for name, _ in response.headers}) == len(response.headers), "no header comes twice"
    return {name.decode(): value.decode() for name, value in response.headers}


def test_page_runs_what_is_the_shops_alone():
    said = guarded(Response.html("<p>"))["content-security-policy"]
    assert "default-src 'none'" in said
    assert "unsafe" not in said


def test_pages_own_policy_stays():
    response = Response.html("<p>")
    response.headers.append(policy("https://bank.example", scripts="'none'"))
    said = guarded(response)["content-security-policy"]
    assert "form-action 'self' https://bank.example;" in said
    assert "script-src 'none'" in said


def test_data_is_no_page():
    headers = guarded(Response(200, b"{}", [(b"content-type", b"application/json")]))
    assert headers["content-security-policy"] == "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    assert "permissions-policy" not in headers


def test_an_answer_is_kept_by_whom_it_says_else_by_whom_its_route_says_and_a_refusal_by_nobody():
    assert guarded(Response())["cache-control"] == "no-store"
    for status, stated, expected in ((200, [], "public, no-cache"), (404, [], "no-store"), (200, [(b"cache-control", b"max-age=9")], "max-age=9")):
        response = Response(status, headers=list(stated))
        guard(response, False, BY_ANYBODY)
        assert [value.decode() for name, value in response.headers if name == b"cache-control"] == [expected]


def test_browsers_come_back_over_https_where_that_is_spoken():
    assert "strict-transport-security" not in guarded(Response.html("<p>"))
    assert guarded(Response.html("<p>"), secure=True)["strict-transport-security"].startswith("max-age=31536000")


def test_a_templates_own_styles_are_allowed_by_their_hashes():
    said = styles_of('<style>\np {}\n</style><p style="color:red">')
    hashes = [f"'sha256-{b64encode(sha256(style).digest()).decode()}'" for style in (b"\np {}\n", b"color:red")]
    assert said == f"'unsafe-hashes' {' '.join(hashes)}"
    assert "unsafe" not in styles_of("<style>p {}</style>")
