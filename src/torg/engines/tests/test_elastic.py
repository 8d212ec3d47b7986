from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from torg.engines.port import Place
from torg.kit.testing.engines import served

pytestmark = pytest.mark.slow

ANALYSER = {
    "tokenizer": {"type": "pattern", "pattern": "[0-9]+|\\p{L}+", "group": 0},
    "filter": [
        "lowercase", "asciifolding", {"type": "stemmer", "language": "porter2"}, {"type": "stemmer", "language": "russian"},
        {"type": "pattern_replace", "pattern": "о(?=к$)", "replacement": ""},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def elastic() -> Iterator[tuple[Place | None, Mapping[str, str]]]:
    with served("elastic") as known:
        yield known


def asked(settings: Mapping[str, str], path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        settings["TORG_INDEX"].replace("elasticsearch://", "http://") + path,
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_server_is_elasticsearch_9(elastic: tuple[Place | None, Mapping[str, str]]) -> None:
    (node,) = asked(elastic[1], "/_nodes")["nodes"].values()
    assert node["version"].startswith("9.")


def test_its_analysers_know_russian_and_english(elastic: tuple[Place | None, Mapping[str, str]]) -> None:
    answer = asked(elastic[1], "/_analyze", ANALYSER | {"text": "Running brûlée 500г кроссовок кроссовки"})
    assert [token["token"] for token in answer["tokens"]] == ["run", "brule", "500", "г", "кроссовк", "кроссовк"]


def test_it_listens_on_this_machine_alone(elastic: tuple[Place | None, Mapping[str, str]]) -> None:
    if elastic[0] is None:
        pytest.skip("somebody else's server listens where they like")
    (node,) = asked(elastic[1], "/_nodes")["nodes"].values()
    assert all(address.startswith("127.0.0.1:") for part in ("http", "transport") for address in node[part]["bound_address"])


def test_its_url_is_what_the_settings_want(elastic: tuple[Place | None, Mapping[str, str]]) -> None:
    assert elastic[1]["TORG_INDEX"].startswith("elasticsearch://")
