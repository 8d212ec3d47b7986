"""The drawings that pictures are made of, read from `shapes.txt`."""

from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

Place = tuple[int, int, int, str]


class Shape(NamedTuple):
    """`label` is where a text goes: middle, base line, width and colour; `colour` the thing's own, empty when the product's is taken."""

    body: str
    label: Place | None
    shadow: int
    ground: int
    colour: str


@cache
def read_shapes() -> MappingProxyType[str, Shape]:
    text = files("torg.contexts.catalog.adapters.pictures_drawn").joinpath("shapes.txt").read_text(encoding="utf-8")
    return MappingProxyType(dict(_shape(block) for block in text.split("\n@")[1:]))


def _shape(block: str) -> tuple[str, Shape]:
    heading, body = block.split("\n", 1)
    name, *settings = heading.split()
    told = dict(setting.split("=") for setting in settings)
    label = told.get("label", "").split(",")
    place = (int(label[0]), int(label[1]), int(label[2]), label[3]) if len(label) == 4 else None
    return name, Shape(body.strip(), place, int(told.get("shadow", "60")), int(told.get("ground", "219")), told.get("colour", ""))
