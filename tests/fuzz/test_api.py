"""Whatever is sent to the API, in whoever's name: no defect shows, and every answer is one that the description promises.

TORG_FUZZ is how many examples each operation gets (5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.fuzz.conftest import Beside
from tests.shop import Buyer, Visitor
from tests.shop.inhabited import inhabited
from torg.kit.access import Access

Operation = APIOperation[Any, Any, Any, Any]
EXAMPLES = int(os.environ.get("TORG_FUZZ", "5"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ACCESS = Access.of_the_shop()
BUYERS, STAFF = ("buyer", "admin", "guest"), ("admin", "admin", "admin", "admin", "buyer", "guest")
ORDER = ("get", "post", "put", "patch", "delete")
"""What takes things away comes last."""
LAST_THINGS = ("/api/v1/sessions", "/api/v1/users/me")
"""Below these a success may end the caller's session, or the caller: somebody new asks there each time."""


@dataclass(frozen=True)
class Town:
    """Who asks, and what there is to ask about."""

    beside: Beside
    address: str
    buyer: Buyer
    known: dict[str, str]

    def headers(self, caller: str, operation: Operation) -> dict[str, str]:
        if caller == "guest":
            return {}
        shop = self.beside.shop
        if operation.method.upper() != "GET" and operation.path.startswith(LAST_THINGS):
            return _signed(self.beside.do(shop.buyer(0)))
        return _signed(self.beside.do(shop.staff("admin")) if caller == "admin" else self.buyer)


def _signed(visitor: Visitor) -> dict[str, str]:
    return {"Authorization": f"Bearer {visitor.token}"}


@pytest.fixture(scope="module")
def town(beside: Beside) -> Town:
    buyer, known = beside.do(inhabited(beside.shop))
    return Town(beside, beside.shop.address, buyer, known)


@pytest.fixture(scope="module")
def operations(town: Town) -> list[Operation]:
    schema = schemathesis.openapi.from_url(f"{town.address}/openapi.json")
    described = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return sorted((operation for operation in described if not _streams(operation)), key=lambda operation: ORDER.index(operation.method))


def test_what_the_description_allows_is_answered_as_it_says(town: Town, operations: list[Operation]):
    assert len(operations) > 80
    _ask_all(town, operations, GenerationMode.POSITIVE)


def test_what_the_description_forbids_is_refused_as_it_says(town: Town, operations: list[Operation]):
    _ask_all(town, [operation for operation in operations if len(operation.query) or operation.body], GenerationMode.NEGATIVE)


def _ask_all(town: Town, operations: list[Operation], mode: GenerationMode) -> None:
    """All operations, whatever one of them does; then every failure at once."""
    found = [f"{operation.method.upper()} {operation.path}: {fault}" for operation in operations for fault in _faults(town, operation, mode)]
    assert not found, "\n\n".join(found)


def _faults(town: Town, operation: Operation, mode: GenerationMode) -> Iterator[str]:
    try:
        _asking(town, operation, mode)()
    except BaseExceptionGroup as group:
        yield " / ".join(str(error) for error in group.exceptions)
    except AssertionError as error:
        yield str(error)


def _asking(town: Town, operation: Operation, mode: GenerationMode) -> Callable[[], None]:
    browser = requests.Session()
    callers = STAFF if ACCESS.for_staff_only(operation.definition.raw["x-right"]) else BUYERS

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 50, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), caller=st.sampled_from(callers), real=st.booleans())
    def ask(case: schemathesis.Case[Any], caller: str, real: bool) -> None:
        if real:
            case.path_parameters = {name: town.known.get(name, value) for name, value in (case.path_parameters or {}).items()}
        headers = town.headers(caller, operation)
        response = case.call(base_url=town.address, headers=headers, session=browser, timeout=60)
        case.validate_response(response, checks=CHECKS, headers=headers)

    return ask


def _streams(operation: Operation) -> bool:
    return "text/event-stream" in operation.definition.raw["responses"]["200"].get("content", {}) if "200" in operation.definition.raw["responses"] else False
