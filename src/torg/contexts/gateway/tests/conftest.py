"""What tests of the gateway share."""

from __future__ import annotations

import pytest

from torg.contexts.gateway.tests.chat import Chat
from torg.contexts.gateway.tests.fronting import Context


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def chat() -> Chat:
    return Chat()
