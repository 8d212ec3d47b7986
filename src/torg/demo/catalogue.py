"""The demonstration catalogue: about 20,000 products that a retailer sold within a year, or all 91,000 it listed, as a shopper would read them.

The source gives departments, types, sizes and prices; brands and varieties (flavours, cuts, colours) are invented, always the same way."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from zlib import crc32

import msgspec

from torg.demo.naming import brand_names, brand_of, description, title
from torg.demo.sizes import Size, read_size
from torg.demo.source import SourceProduct, sold_lines, source_products
from torg.demo.vocabulary import Category, Kind, Variety, Vocabulary, read_vocabulary, slug

NOT_A_SHOP = frozenset({"COUPON", "FUEL", "CHARITABLE CONT", "POSTAL CENTER", "CNTRL/STORE SUP", "PROD-WHS SALES", "GM MERCH EXP"})
MISFILED_SHARE = 0.05  # a type that is this rare in a category, against where most of it is, was filed there by mistake
DISCOUNT_SHOWN = 0.95  # a typical buyer paid at most this share of the shelf price: the shop shows both
FIRST_LISTED = datetime(2014, 1, 1, tzinfo=UTC)
DAYS_OF_LISTING = 1095
UNKNOWN_KIND = Kind("", "", "")


class DemoProduct(msgspec.Struct, frozen=True, gc=False):
    """`category_path` holds the ids of department, category and type; money is US cents; `old_price_cents` is the shelf price when most buyers
    paid less, and `price_cents` what they paid; `popularity` is units sold in the year; `picture` and `label` are what the catalogue draws it from."""

    id: str
    name: str
    name_ru: str
    description: str
    description_ru: str
    brand: str
    category_path: tuple[str, str, str]
    category_names: tuple[str, str, str]
    category_names_ru: tuple[str, str, str]
    price_cents: int
    shelf_price_cents: int
    old_price_cents: int | None
    price_observed: bool
    attributes: dict[str, str]
    popularity: int
    created_at: datetime
    weight_grams: int
    picture: str
    label: str

    @property
    def category_id(self) -> str:
        return self.category_path[2]


class DemoCategory(msgspec.Struct, frozen=True):
    """`product_count` includes what is below."""

    id: str
    name: str
    name_ru: str
    product_count: int
    children: tuple["DemoCategory", ...] = ()


class Sales(msgspec.Struct, gc=False):
    """What the year's receipts tell about one product; prices are dollars for one unit."""

    shelf: list[float]
    paid: list[float]
    units: int = 0


class Branch(msgspec.Struct, frozen=True):
    """Where a kind of product hangs in the tree: ids and names of department, category and type."""

    ids: tuple[str, str, str]
    names: tuple[str, str, str]
    names_ru: tuple[str, str, str]


class Filed(msgspec.Struct, frozen=True, gc=False):
    source: SourceProduct
    category: Category
    kind: Kind
    kind_key: str


def products(all_products: bool = False) -> Iterator[DemoProduct]:
    """Products with an observed price, in the source's order; with `all_products` then those without, priced as the median of their like."""
    words, sales = read_vocabulary(), read_sales()
    filed = list(_filed(list(source_products()), words))
    sold = [f for f in filed if f.source.product_id in sales]
    describer = _Describer(words, sales, sold)
    yield from map(describer.product, sold)
    if all_products:
        yield from (describer.product(f) for f in filed if f.source.product_id not in sales)


def categories(listed: Iterable[DemoProduct] | None = None) -> tuple[DemoCategory, ...]:
    """The tree of departments, categories and types that hold the listed products (the observed ones, when not told)."""
    counts: Counter[tuple[str, ...]] = Counter()
    names: dict[tuple[str, ...], tuple[str, str]] = {}
    for product in products() if listed is None else listed:
        for depth in (1, 2, 3):
            path = product.category_path[:depth]
            counts[path] += 1
            names.setdefault(path, (product.category_names[depth - 1], product.category_names_ru[depth - 1]))
    below: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for path in counts:
        below[path[:-1]].append(path)

    def branch(path: tuple[str, ...]) -> DemoCategory:
        children = tuple(branch(child) for child in sorted(below[path], key=lambda child: names[child]))
        return DemoCategory(path[-1], *names[path], counts[path], children)

    shown = [department for department in read_vocabulary().departments if (department,) in counts]
    return tuple(branch((department,)) for department in shown)


def read_sales() -> dict[str, Sales]:
    """Receipts by product, without odd lines and without what cost less than a cent."""
    found: dict[str, Sales] = {}
    for line in sold_lines():
        if line.odd:
            continue
        sales = found.get(line.product_id)
        if sales is None:
            sales = found[line.product_id] = Sales([], [])
        sales.shelf.append((line.sales_value + line.retail_disc + line.coupon_disc) / line.quantity)
        sales.paid.append(line.sales_value / line.quantity)
        sales.units += line.quantity
    return {product: sales for product, sales in found.items() if round(median(sales.shelf) * 100) >= 1}


def _filed(listed: list[SourceProduct], words: Vocabulary) -> Iterator[Filed]:
    usual = _usual_categories(listed)
    for source in listed:
        if source.department in NOT_A_SHOP or not (source.category or source.kind):
            continue
        name = _category_name(source, usual, words)
        category = words.categories.get(f"{source.department}>{name}", words.categories.get(name))
        kind = words.kinds.get(f"{name}>{source.kind}", words.kinds.get(source.kind, UNKNOWN_KIND))
        if category is not None and kind is not None:
            if kind is UNKNOWN_KIND:
                kind = Kind(f"assorted {_small(category.name)}", f"{_small(category.name_ru)} в ассортименте", "")
            yield Filed(source, category, kind, f"{name}>{source.kind}")


def _usual_categories(listed: list[SourceProduct]) -> dict[str, tuple[str, Counter[str]]]:
    """Where products of a type are: mostly, and how many in each category."""
    usual: dict[str, Counter[str]] = defaultdict(Counter)
    for source in listed:
        if source.kind and source.category:
            usual[source.kind][source.category] += 1
    return {kind: (counts.most_common(1)[0][0], counts) for kind, counts in usual.items()}


def _category_name(source: SourceProduct, usual: dict[str, tuple[str, Counter[str]]], words: Vocabulary) -> str:
    """The category the source filed the product in, or the usual one of its type when that is missing or an obvious mistake."""
    if not source.kind or f"{source.category}>{source.kind}" in words.kinds or source.kind not in usual:
        return source.category
    name, counts = usual[source.kind]
    known = source.category in words.categories or f"{source.department}>{source.category}" in words.categories
    return source.category if known and source.category and counts[source.category] >= counts[name] * MISFILED_SHARE else name


class _PriceGuess:
    """Median shelf price of the same type and category, else of the department, in cents."""

    def __init__(self, sold: list[Filed], sales: dict[str, Sales]) -> None:
        prices: dict[str, list[float]] = defaultdict(list)
        for filed in sold:
            price = median(sales[filed.source.product_id].shelf)
            for key in _likes(filed):
                prices[key].append(price)
        self._typical = {key: max(1, round(median(found) * 100)) for key, found in prices.items()}

    def of(self, filed: Filed) -> int:
        return next((self._typical[key] for key in _likes(filed) if key in self._typical), 299)


def _likes(filed: Filed) -> tuple[str, str, str]:
    return f"{filed.category.name}>{filed.kind.name}", filed.category.name, filed.category.department.slug


class _Describer:
    """Describes products one after another; remembers which names it gave, so that those of one brand, type and size get a variety each."""

    def __init__(self, words: Vocabulary, sales: dict[str, Sales], sold: list[Filed]) -> None:
        self._words = words
        self._sales = sales
        self._guess = _PriceGuess(sold, sales)
        self._brands = brand_names()
        self._second = {True: words.varieties["second food"], False: words.varieties["second"]}
        self._sizes: dict[tuple[str, bool], Size | None] = {}
        self._varieties: dict[str, tuple[Variety, ...]] = {}
        self._branches: dict[tuple[str, str], Branch] = {}
        self._taken: Counter[tuple[str, str, str]] = Counter()

    def product(self, filed: Filed) -> DemoProduct:
        source, category = filed.source, filed.category
        written = (source.package_size, category.fluid or filed.kind.fluid)
        if written not in self._sizes:
            self._sizes[written] = read_size(*written)
        size = self._sizes[written]
        if size is not None and category.holds:
            size = size._replace(grams=None)
        brand = brand_of(source.manufacturer_id, source.brand == "Private", category.department.slug, self._brands)
        branch = self._branches.get((category.name, filed.kind.name))
        if branch is None:
            branch = self._branches[category.name, filed.kind.name] = _branch(category, filed.kind)
        return _product(filed, branch, brand, size, self._next_varieties(filed, brand, size), _price(filed, self._sales, self._guess))

    def _next_varieties(self, filed: Filed, brand: str, size: Size | None) -> tuple[Variety, ...]:
        group = (brand, filed.kind.name, size.text if size else "")
        turn = self._taken[group]
        self._taken[group] = turn + 1
        found = self._varieties.get(filed.kind_key)
        if found is None:
            found = self._varieties[filed.kind_key] = self._words.varieties_of(filed.kind, filed.category)
        again, place = divmod(turn, len(found))
        first = found[(crc32(f"{brand}{filed.kind.name}".encode()) + place) % len(found)]
        return (first,) if not again else (first, self._second[filed.category.department.edible][(again - 1) % 10])


class _Price(msgspec.Struct, frozen=True, gc=False):
    cents: int
    shelf_cents: int
    old_cents: int | None
    observed: bool
    units: int


def _price(filed: Filed, sales: dict[str, Sales], guess: _PriceGuess) -> _Price:
    sold = sales.get(filed.source.product_id)
    if sold is None:
        typical = guess.of(filed)
        return _Price(typical, typical, None, False, 0)
    shelf, paid = round(median(sold.shelf) * 100), round(median(sold.paid) * 100)
    if 1 <= paid <= shelf * DISCOUNT_SHOWN:
        return _Price(paid, shelf, shelf, True, sold.units)
    return _Price(shelf, shelf, None, True, sold.units)


def _listed_at(product_id: str) -> datetime:
    number = crc32(product_id.encode())
    return FIRST_LISTED + timedelta(days=number % DAYS_OF_LISTING, seconds=number % 86_399)


def _branch(category: Category, kind: Kind) -> Branch:
    department = category.department
    return Branch(
        (department.slug, category.id, f"{category.id}.{slug(kind.name)}"),
        (department.name, category.name, _capital(kind.name)),
        (department.name_ru, category.name_ru, _capital(kind.name_ru)),
    )


def _product(filed: Filed, branch: Branch, brand: str, size: Size | None, varieties: tuple[Variety, ...], price: _Price) -> DemoProduct:
    category, kind, source = filed.category, filed.kind, filed.source
    named = title(brand, kind, varieties, size)
    told = description(brand, kind, varieties, size, category)
    return DemoProduct(
        id=source.product_id,
        name=named.name,
        name_ru=named.name_ru,
        description=told.name,
        description_ru=told.name_ru,
        brand=brand,
        category_path=branch.ids,
        category_names=branch.names,
        category_names_ru=branch.names_ru,
        price_cents=price.cents,
        shelf_price_cents=price.shelf_cents,
        old_price_cents=price.old_cents,
        price_observed=price.observed,
        attributes=_attributes(filed, size, varieties, price),
        popularity=price.units,
        created_at=_listed_at(source.product_id),
        weight_grams=_weight(category, size),
        picture=kind.picture or category.picture,
        label=size.text if size else "",
    )


def _attributes(filed: Filed, size: Size | None, varieties: tuple[Variety, ...], price: _Price) -> dict[str, str]:
    attributes = {"brand_kind": "store" if filed.source.brand == "Private" else "national", "item_number": filed.source.product_id}
    if varieties:
        attributes["variety"] = ", ".join(v.name for v in varieties)
    if size is not None:
        attributes["size"] = size.text
        if size.metric != size.text:
            attributes["size_metric"] = size.metric
        if size.grams:
            unit = "l" if size.fluid else "kg"
            attributes["unit_price"] = f"{price.cents * 10 / size.grams:.2f} USD per {unit}"
        elif size.pieces > 1:
            attributes["unit_price"] = f"{price.cents / 100 / size.pieces:.2f} USD each"
    if filed.category.department.slug == "alcohol":
        attributes["age"] = "18+"
    return attributes


def _weight(category: Category, size: Size | None) -> int:
    typical = category.typical_grams or category.department.typical_grams
    net = size.grams if size and size.grams else typical
    return max(20, min(25_000, round(net * 1.08)))


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
