"""The HTTP edge: routes are data over messages; bodies, answers and the API's description come from the same structs."""

from torg.kit.http.admission import Urgency
from torg.kit.http.app import App
from torg.kit.http.binding import signed_in
from torg.kit.http.request import Request, Response
from torg.kit.http.routes import Route, delete, get, page, patch, post, put
from torg.kit.http.streams import ServerEvent, event_stream

__all__ = ["App", "Request", "Response", "Route", "ServerEvent", "Urgency", "delete", "event_stream", "get", "page", "patch", "post", "put", "signed_in"]
