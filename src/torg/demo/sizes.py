"""Package sizes as the till writes them (`12 PK/12 OZ`, `1/2 GAL`, `L    16 OZ`), made readable in ounces and in metric units."""

import re
from typing import NamedTuple

GRAMS_PER_OUNCE = 28.3495
MILLILITRES_PER_FLUID_OUNCE = 29.5735

_UNITS = {
    unit: name
    for name, spellings in {
        "oz": "OZ OZS Z O",
        "fl oz": "FLOZ",
        "lb": "LB LBS",
        "ct": "CT C EA EACH",
        "pk": "PK P PCK PKS PACK PKG",
        "l": "L LT LTR LRT",
        "ml": "ML",
        "g": "G GM",
        "gal": "GAL GA",
        "qt": "QT",
        "pt": "PT",
        "pc": "PC PCS",
        "stem": "STEM STEMS",
        "load": "LOAD LOADS LD LDS",
        "dz": "DZ DOZ DZN",
        "sq ft": "SQFT",
        "in": "IN",
        "ft": "FT",
        "sheet": "SHEET SHEETS",
        "roll": "ROLL ROLLS",
    }.items()
    for unit in spellings.split()
}
_FLUID_OUNCES = {"fl oz": 1.0, "gal": 128.0, "qt": 32.0, "pt": 16.0, "l": 1000 / MILLILITRES_PER_FLUID_OUNCE, "ml": 1 / MILLILITRES_PER_FLUID_OUNCE}
_OUNCES = {"oz": 1.0, "lb": 16.0, "g": 1 / GRAMS_PER_OUNCE}
_PACKS = {"pk", "ct", "pc"}
_NUMBER = r"\d+ \d+/\d+|1/\d(?!\d)|\d*\.\d+|\d+"
_PART = re.compile(rf"({_NUMBER})\s*([A-Z]+)?")
_ENGLISH = {"ct": "count", "pk": "pack", "pc": "pieces", "stem": "stems", "load": "loads", "dz": "dozen", "sheet": "sheets", "roll": "rolls"}
_RUSSIAN = {
    "stem": ("стебель", "стебля", "стеблей"),
    "load": ("стирка", "стирки", "стирок"),
    "dz": ("дюжина", "дюжины", "дюжин"),
    "sheet": ("лист", "листа", "листов"),
    "roll": ("рулон", "рулона", "рулонов"),
    "sq ft": ("кв. фут", "кв. фута", "кв. футов"),
}


class Size(NamedTuple):
    """`grams` is the whole package's net weight (a millilitre counts as a gram), None when the size is a count or a length."""

    text: str
    metric: str
    metric_ru: str
    grams: float | None
    fluid: bool
    pieces: int


def read_size(written: str, fluid: bool) -> Size | None:
    """None for what is empty or says nothing to a shopper; `fluid` tells how to read a plain ounce."""
    parts = [(_number(number), _UNITS.get(unit or "", "")) for number, unit in _PART.findall(_cleaned(written))]
    parts = [(amount, unit) for amount, unit in parts if 0 < amount < 5000]
    measured = next(((amount, unit) for amount, unit in reversed(parts) if unit in _OUNCES or unit in _FLUID_OUNCES), None)
    if measured is None:
        return _counted(parts)
    packs = next((int(amount) for amount, unit in parts if (unit in _PACKS or not unit) and (amount, unit) != measured), 1)
    # "48 OZ/12 CT" names the whole box first; "12 PK/12 OZ" names one can of it
    whole_named_first = parts[0] == measured and len(parts) > 1 and parts[1][1] == "ct"
    return _measured(measured[0], measured[1], 1 if whole_named_first else packs, fluid)


def _cleaned(written: str) -> str:
    text = re.sub(r"\([^)]*\)", " ", written.upper())
    text = text.replace("SNGAL", "GAL").replace("FL OZ", "FLOZ").replace("SQ FT", "SQFT").replace("HALF GAL", "1/2 GAL")
    text = re.sub(r"^\d{5,}\s*", "", re.sub(r"^[A-Z ]+(?=[\d.])", "", text.strip()))
    text = re.sub(r"(\d)\s*(OZ|LB)\.?\s+BAG\b", r"\1 \2", re.sub(r"(?<=\d)-(?=LB)", " ", text))
    text = re.sub(r"^(\d+)-(\d/\d)", r"\1 \2", text)
    if text in ("GAL", "PT", "QT", "LB", "L"):
        return "1 " + text
    if re.match(r"^\d+(\.\d+)?-\d+(\.\d+)? (CT|LB|STEM|STEMS|FT)$", text):
        return text.split("-")[1]
    return text


def _number(written: str) -> float:
    whole, _, rest = written.partition(" ")
    if rest:
        return float(whole) + _number(rest)
    if "/" in whole:
        top, bottom = whole.split("/")
        return float(top) / float(bottom)
    return float(whole)


def _measured(amount: float, unit: str, packs: int, fluid: bool) -> Size:
    is_fluid = unit in _FLUID_OUNCES or (unit == "oz" and fluid)
    ounces = amount * (_OUNCES.get(unit) or _FLUID_OUNCES[unit])
    each = ounces * (MILLILITRES_PER_FLUID_OUNCE if is_fluid else GRAMS_PER_OUNCE)
    packs = packs if 1 < packs <= 60 else 1
    times = f"{packs} × " if packs > 1 else ""
    metric = _metric(each, is_fluid)
    english = f"{times}{_plain(amount)} {unit if unit != 'fl oz' else 'oz'}"
    russian = metric.replace("ml", "мл").replace("kg", "кг").replace("g", "г").replace("l", "л").replace(".", ",")
    return Size(english, times + metric, times + russian, each * packs, is_fluid, packs)


def _counted(parts: list[tuple[float, str]]) -> Size | None:
    found = next(((amount, unit) for amount, unit in parts if unit in _ENGLISH or unit in ("in", "ft", "sq ft")), None)
    if found is None:
        return None
    amount, unit = found
    number = _plain(amount)
    if unit in ("in", "ft"):
        centimetres = f"{_plain(round(amount * (2.54 if unit == 'in' else 30.48)))}"
        return Size(f"{number} {unit}", f"{centimetres} cm", f"{centimetres} см", None, False, 1)
    if amount == 1 and unit in ("ct", "pk", "pc", "load"):
        return None
    english = f"{number} {_ENGLISH.get(unit, unit)}".replace("1 stems", "1 stem").replace("1 rolls", "1 roll").replace("1 sheets", "1 sheet")
    pieces = int(amount * 12 if unit == "dz" else amount) if unit in ("ct", "pk", "pc", "dz", "stem", "roll") else 1
    return Size(english, english, f"{number} {_russian(amount, unit)}".replace(".", ",", 1 if "." in number else 0), None, False, max(pieces, 1))


def _russian(amount: float, unit: str) -> str:
    one, few, many = _RUSSIAN.get(unit, ("шт.", "шт.", "шт."))
    if amount != int(amount):
        return few
    if amount % 10 == 1 and amount % 100 != 11:
        return one
    return few if 2 <= amount % 10 <= 4 and not 12 <= amount % 100 <= 14 else many


def _metric(each: float, fluid: bool) -> str:
    small, large = ("ml", "l") if fluid else ("g", "kg")
    if each >= 1000:
        return f"{_plain(round(each / 1000, 2))} {large}"
    return f"{_plain(round(each) if each >= 10 else round(each, 1))} {small}"


def _plain(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
