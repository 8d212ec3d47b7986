"""The pages' style sheet and script."""

from __future__ import annotations

from torg.contexts.admin.ports import PageDeps
from torg.kit.errors import NotFound
from torg.kit.http import Request, Response
from torg.kit.http.routes import Endpoint


def file(deps: PageDeps) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        found = deps.statics.get(request.path_values["name"])
        if found is None:
            raise NotFound("static.not_found", f"there is no {request.path}")
        headers = [(b"content-type", found.media.encode()), (b"cache-control", b"public, max-age=31536000, immutable"), (b"vary", b"accept-encoding")]
        if "gzip" not in request.header("accept-encoding"):
            return Response(200, found.body, headers)
        return Response(200, found.gzipped, [*headers, (b"content-encoding", b"gzip")])

    return endpoint
