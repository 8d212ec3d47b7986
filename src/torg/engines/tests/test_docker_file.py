from __future__ import annotations

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from torg.engines.catalogue import ENGINES, ON_REQUEST
from torg.engines.docker import FILE
from torg.engines.port import Engine

COMPOSED: dict[str, Any] = yaml.safe_load(FILE.read_text())
IN_CONTAINERS = [engine for engine in (*ENGINES, *ON_REQUEST) if engine.image]
each_engine = pytest.mark.parametrize("engine", IN_CONTAINERS, ids=lambda engine: engine.name)


@each_engine
def test_engine_has_a_container_of_its_image_with_a_health_check(engine: Engine) -> None:
    service = COMPOSED["services"][engine.name]
    assert service["image"] == engine.image
    assert ":" in engine.image
    assert not engine.image.endswith(":latest")
    assert service["healthcheck"]["test"]


@each_engine
def test_container_is_reached_from_this_machine_alone(engine: Engine) -> None:
    ports = COMPOSED["services"][engine.name]["ports"]
    assert ports[0].startswith(f"127.0.0.1:${{{engine.name.upper()}_PORT:-{engine.port}}}:")
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_container_belongs_to_an_engine_and_every_volume_to_a_container() -> None:
    assert set(COMPOSED["services"]) == {engine.name for engine in IN_CONTAINERS}
    used = {volume.partition(":")[0] for service in COMPOSED["services"].values() for volume in service.get("volumes", [])}
    assert set(COMPOSED["volumes"]) == used
