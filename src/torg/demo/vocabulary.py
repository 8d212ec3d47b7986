"""The words of the demonstration shop: what the till's abbreviations mean, in English and Russian.

Four plain text tables in `data/words` hold them; this module only reads those tables."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

NOT_GOODS = "-"
EDIBLE = frozenset({"produce", "dairy", "bakery", "meat", "seafood", "deli", "frozen", "pantry", "breakfast", "snacks", "drinks", "alcohol", "natural"})
# a kind that names one word of such a row is never of a variety that names another: no beef turkey, no cherry grape juice
_RIVALS = tuple(
    frozenset(row.split())
    for row in (
        "chicken turkey beef pork ham veal lamb tuna salmon shrimp crab fish bacon sausage seafood ocean whitefish duck",
        "apple grape orange cranberry grapefruit lemon pineapple prune tomato vegetable cherry peach mango berry kiwi raspberry strawberry tropical",
        "red white green yellow black gold pink purple blue brown",
        "cocoa chocolate vanilla",
    )
)
_POURED = frozenset("juice juicebox bottle bottle6 can can6 tallcan milk carton jug water sport cup beer wine shampoo mouthwash".split())
_APPLE_TO_PIE = frozenset({"pie", "cake", "cookies", "filled", "bread", "fruit"})  # these may be of any fruit


class Department(NamedTuple):
    slug: str
    name: str
    name_ru: str
    typical_grams: int

    @property
    def edible(self) -> bool:
        return self.slug in EDIBLE


class Category(NamedTuple):
    """`fluid` tells that an ounce of these goods is a fluid ounce, `holds` that the size is what fits in, not what the goods weigh."""

    department: Department
    name: str
    name_ru: str
    picture: str
    typical_grams: int
    fluid: bool
    holds: bool

    @property
    def id(self) -> str:
        return f"{self.department.slug}.{slug(self.name)}"


class Kind(NamedTuple):
    """What a product is, as a shopper calls it: `frozen pizza, premium`; `picture` is empty when the category's will do."""

    name: str
    name_ru: str
    picture: str

    @property
    def fluid(self) -> bool:
        return self.picture.partition(".")[0] in _POURED


class Variety(NamedTuple):
    name: str
    name_ru: str


class Vocabulary(NamedTuple):
    """`categories` and `kinds` are keyed by the source's words; None marks what a shop does not sell."""

    departments: dict[str, Department]
    categories: dict[str, Category | None]
    kinds: dict[str, Kind | None]
    varieties: dict[str, tuple[Variety, ...]]

    def varieties_of(self, kind: Kind, category: Category) -> tuple[Variety, ...]:
        """The flavours, cuts or colours this kind comes in, without those its name already says."""
        found = self.varieties.get("=" + kind.name) or self.varieties.get(category.name) or self.varieties["*"]
        said, said_ru = _words(kind.name), _words(kind.name_ru)
        rivals = frozenset().union(*(row for row in _RIVALS if row & said and not said & _APPLE_TO_PIE))
        fitting = tuple(v for v in found if not (said | rivals) & _words(v.name) and not said_ru & _words(v.name_ru))
        return fitting or found


def read_vocabulary() -> Vocabulary:
    departments = {row[0]: Department(row[0], row[1], row[2], int(row[3])) for row in _rows("departments.tsv", "\t")}
    kinds: dict[str, Kind | None] = {}
    for table in ("types_fresh.txt", "types_grocery.txt", "types_home.txt"):
        kinds.update((row[0], _kind(row)) for row in _rows(table))
    categories = {row[0]: _category(row, departments) for row in _rows("categories.txt")}
    return Vocabulary(departments, categories, kinds, dict(_varieties()))


@cache
def _words(name: str) -> frozenset[str]:
    """Words and their singulars, without the little ones that may well come twice."""
    found = frozenset(name.lower().replace(",", " ").replace("-", " ").split())
    return (found | {word.removesuffix("s") for word in found}) - {"and", "in", "with", "for", "of", "и", "с", "в", "для", "без", "со"}


def slug(name: str) -> str:
    """`Beer, wine and spirits` -> `beer-wine-and-spirits`."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower().replace("'", "")).split())


def _rows(table: str, separator: str = "|") -> Iterator[list[str]]:
    text = files("torg.demo").joinpath("data", "words", table).read_text(encoding="utf-8")
    return (line.split(separator) for line in text.splitlines() if line and not line.startswith("#"))


def _kind(row: list[str]) -> Kind | None:
    return None if row[1] == NOT_GOODS else Kind(row[1], row[2], row[3] if len(row) > 3 else "")


def _category(row: list[str], departments: dict[str, Department]) -> Category | None:
    if row[1] == NOT_GOODS:
        return None
    return Category(departments[row[1]], row[2], row[3], row[4], int(row[5]), row[-1] == "f", row[-1] == "c")


def _varieties() -> Iterator[tuple[str, tuple[Variety, ...]]]:
    for _, users, listed in _rows("varieties.txt"):
        varieties = tuple(Variety(*pair.strip().split("=")) for pair in listed.split(";"))
        for user in users.split(";"):
            yield user, varieties
