"""Brand names and product titles. The source knows brands only as numbers, so the names are invented, one for each number."""

from typing import NamedTuple

from torg.demo.sizes import Size
from torg.demo.vocabulary import Category, Kind, Variety

_FIRST = (
    "Alder Amber Ash Autumn Barley Bay Beacon Birch Blue Bramble Briar Bright Brook Cedar Clay Clover Copper Coral Crane "
    "Cypress Dawn Deer Dove East Elder Elm Ember Fair Falcon Fern Field Fox Frost Glen Gold Granite Green Harbour Hawthorn "
    "Hazel Heath Heron High Hill Holly Iron Ivy Juniper Kings Lake Larch Lark Laurel Lime Linden Long Maple Marsh Meadow Mill "
    "Mist Moon Moss North Oak Old Olive Otter Pine Quail Raven Red River Robin Rose Rowan Sage Sand Silver Sky Snow South "
    "Spring Star Stone Summer Swan Thistle Thorn Timber Vale Violet West White Wild Willow Wind Winter Wren"
).split()
_LAST = (
    "field brook wood haven bridge dale ford gate grove hill house lake land mere mill mont port ridge side spring stead "
    "stone ton vale view water way well wick worth bank barn bay bourne cliff cote cove croft crest fall farm glen harbour "
    "hollow hurst ley marsh meadow park pond row shore thorpe tree wharf yard"
).split()
_CALLED = (
    "Acres Avenue Bend Canyon Chapel Corner Creek Crossing Forge Harbour Hollow Island Lane Point Prairie Road Row Square Station Terrace Tower Valley"
).split()
_SOUND = ("Al Bel Bra Cal Cor Del Do Fen Fio Gal Hal Il Jo Kel Kor Lan Lo Mar Mer Mi Nor Or Pel Pra Ra Ri Sal San Sol Ta Tel Tor Val Ve Vin Zel").split()
_ENDING = ("ana ara avia bella berg bina dora enta etta eva ielle ima inga ino isa ita olla ona ora osa ova ucci una vero via vina vita zano").split()
_STORE_BRANDS = {
    "produce": "Torg Harvest",
    "meat": "Torg Harvest",
    "seafood": "Torg Harvest",
    "flowers": "Torg Bloom",
    "natural": "Torg Leaf",
    "household": "Torg Hearth",
    "home": "Torg Hearth",
    "electronics": "Torg Hearth",
    "beauty": "Torg Care",
    "health": "Torg Care",
    "baby": "Torg Little",
    "pets": "Torg Pets",
    "deli": "Torg Kitchen",
    "bakery": "Torg Oven",
}


class Title(NamedTuple):
    name: str
    name_ru: str


def brand_names() -> list[str]:
    """Every invented brand name once, in a fixed order that mixes the styles."""
    joined = [a + b for a in _FIRST for b in _LAST if a.lower() != b]
    called = [f"{a} {b}" for a in _FIRST for b in _CALLED if a != b]
    sounding = [a + b for a in _SOUND for b in _ENDING]
    return sorted({*joined, *called, *sounding}, key=_mixed)


def brand_of(manufacturer: str, private: bool, department: str, names: list[str]) -> str:
    """The shop's own brand family for private labels, otherwise the name that belongs to the manufacturer's number."""
    if private:
        return _STORE_BRANDS.get(department, "Torg Select")
    return names[int(manufacturer) % len(names)]


def title(brand: str, kind: Kind, varieties: tuple[Variety, ...], size: Size | None) -> Title:
    """`Northfield frozen pizza, premium, pepperoni, 22 oz`, and `Пицца замороженная премиум Northfield, пепперони, 624 г`."""
    head, _, tail = kind.name_ru.partition(", ")
    words = [f"{brand} {kind.name}", *(v.name for v in varieties)]
    words_ru = [f"{head[0].upper()}{head[1:]} {brand}", *([tail] if tail else []), *(v.name_ru for v in varieties)]
    if size is not None:
        words.append(size.text)
        words_ru.append(size.metric_ru)
    return Title(", ".join(words), ", ".join(words_ru))


def description(brand: str, kind: Kind, varieties: tuple[Variety, ...], size: Size | None, category: Category) -> Title:
    kinds = kind.name[0].upper() + kind.name[1:]
    kinds_ru = kind.name_ru[0].upper() + kind.name_ru[1:]
    english = [f"{kinds} by {brand}", *(v.name for v in varieties)]
    russian = [f"{kinds_ru} марки {brand}", *(v.name_ru for v in varieties)]
    sold = f" Package: {size.text} ({size.metric})." if size and size.metric != size.text else f" Package: {size.text}." if size else ""
    sold_ru = f" Упаковка: {size.metric_ru}." if size else ""
    return Title(
        f"{', '.join(english)}.{sold} Find it in {category.department.name}, {category.name.lower()}.",
        f"{', '.join(russian)}.{sold_ru} Раздел «{category.department.name_ru}», {category.name_ru[0].lower()}{category.name_ru[1:]}.",
    )


def _mixed(name: str) -> int:
    seed = 2166136261
    for letter in name.encode():
        seed = (seed ^ letter) * 16777619 & 0xFFFFFFFF
    return seed
