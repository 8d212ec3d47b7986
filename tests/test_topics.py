"""The topics as this shop states them."""

from __future__ import annotations

from datetime import timedelta

from torg.background import REMEMBERED_DAYS
from torg.kit.bus.topics import DAYS, DEAD_DAYS, Topic, stated
from torg.topics import PARTITIONS
from torg.topology import CONTEXTS


def test_every_context_has_a_topic_and_the_dead_letters_another():
    topics = {topic.name: topic for topic in stated(PARTITIONS)}
    assert topics.keys() == {f"torg.{context}" for context in CONTEXTS} | {"torg.dead"}
    assert (topics["torg.dead"].days, topics["torg.order"].days, topics["torg.order"].partitions) == (DEAD_DAYS, DAYS, 12)


def test_ids_are_remembered_for_longer_than_records_can_come_again():
    segment = timedelta(milliseconds=int(Topic("torg.x", 1, DAYS).configuration(1)["segment.ms"]))
    assert timedelta(days=DAYS) + segment < timedelta(days=REMEMBERED_DAYS)
