"""What delivery costs and how long it takes: a table of cities by distance, and a tariff per method."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from torg.contexts.shipping.contracts import DeliveryMethod, DeliveryQuote, PickupPoint
from torg.contexts.user.contracts import Address
from torg.kit.values import Money

FAR = 4  # the zone of a city that is in no table
HANDLING = timedelta(days=1)  # from booking to hand-over

# Zones count from the shop's hub in Moscow: 0 the city itself, 1 up to 800 km, 2 up to 2,000 km, 3 up to 4,000 km, 4 beyond. By English and Russian name.
ZONES = {
    0: ("moscow", "москва"),
    1: (
        "saint petersburg", "st petersburg", "st. petersburg", "санкт-петербург", "петербург", "nizhny novgorod", "нижний новгород", "tula", "тула",
        "yaroslavl", "ярославль", "kazan", "казань", "voronezh", "воронеж", "minsk", "минск", "saratov", "саратов",
    ),
    2: (
        "samara", "самара", "ufa", "уфа", "rostov-on-don", "rostov", "ростов-на-дону", "ростов", "krasnodar", "краснодар", "volgograd", "волгоград",
        "perm", "пермь", "yekaterinburg", "ekaterinburg", "екатеринбург", "chelyabinsk", "челябинск", "sochi", "сочи", "murmansk", "мурманск",
        "kaliningrad", "калининград", "tyumen", "тюмень", "tbilisi", "тбилиси", "yerevan", "ереван", "berlin", "берлин",
    ),
    3: ("omsk", "омск", "novosibirsk", "новосибирск", "krasnoyarsk", "красноярск", "almaty", "алматы", "алма-ата", "london", "лондон"),
}  # fmt: skip
ZONE_OF = {name: zone for zone, names in ZONES.items() for name in names}


@dataclass(frozen=True)
class Tariff:
    """Prices in minor units of the shop's currency; the first `included_grams` cost nothing more, each kilogram begun beyond them does. Days are
    (base, more per zone)."""

    base: int
    per_zone: int
    per_kg: int
    included_grams: int
    limit_grams: int
    days_min: tuple[int, int]
    days_max: tuple[int, int]

    def price(self, zone: int, weight_grams: int) -> int:
        more_kg = -(-max(0, weight_grams - self.included_grams) // 1000)
        return self.base + self.per_zone * zone + self.per_kg * more_kg


TARIFFS: dict[DeliveryMethod, Tariff] = {
    "courier": Tariff(base=299, per_zone=150, per_kg=30, included_grams=5000, limit_grams=200_000, days_min=(1, 1), days_max=(2, 2)),
    "pickup": Tariff(base=99, per_zone=60, per_kg=15, included_grams=5000, limit_grams=30_000, days_min=(1, 1), days_max=(3, 2)),
    "post": Tariff(base=199, per_zone=80, per_kg=20, included_grams=2000, limit_grams=30_000, days_min=(3, 2), days_max=(7, 4)),
}

_COUNTERS = (
    ("moscow-tverskaya", "Torg on Tverskaya", "Moscow", "Tverskaya 12", "125009"),
    ("moscow-arbat", "Torg on Arbat", "Moscow", "Arbat 24", "119002"),
    ("moscow-sokol", "Torg at Sokol", "Moscow", "Leningradsky prospekt 75", "125057"),
    ("petersburg-nevsky", "Torg on Nevsky", "Saint Petersburg", "Nevsky prospekt 48", "191011"),
    ("petersburg-moskovsky", "Torg on Moskovsky", "Saint Petersburg", "Moskovsky prospekt 137", "196084"),
    ("kazan-bauman", "Torg on Bauman", "Kazan", "Baumana 51", "420111"),
    ("nizhny-pokrovka", "Torg on Pokrovka", "Nizhny Novgorod", "Bolshaya Pokrovskaya 29", "603005"),
    ("samara-kuybysheva", "Torg on Kuybysheva", "Samara", "Kuybysheva 98", "443099"),
    ("yekaterinburg-lenina", "Torg on Lenina", "Yekaterinburg", "prospekt Lenina 46", "620075"),
    ("yekaterinburg-vaynera", "Torg on Vaynera", "Yekaterinburg", "Vaynera 15", "620014"),
    ("rostov-sadovaya", "Torg on Sadovaya", "Rostov-on-Don", "Bolshaya Sadovaya 62", "344002"),
    ("krasnodar-krasnaya", "Torg on Krasnaya", "Krasnodar", "Krasnaya 109", "350000"),
    ("novosibirsk-krasny", "Torg on Krasny", "Novosibirsk", "Krasny prospekt 37", "630099"),
    ("novosibirsk-marx", "Torg on Marx", "Novosibirsk", "prospekt Karla Marksa 20", "630073"),
    ("vladivostok-svetlanskaya", "Torg on Svetlanskaya", "Vladivostok", "Svetlanskaya 33", "690091"),
)
POINTS = {id: PickupPoint(id, name, Address(city=city, street=street, postcode=postcode)) for id, name, city, street, postcode in _COUNTERS}
_ENGLISH = {
    "москва": "moscow", "санкт-петербург": "saint petersburg", "петербург": "saint petersburg", "st petersburg": "saint petersburg",
    "st. petersburg": "saint petersburg", "казань": "kazan", "нижний новгород": "nizhny novgorod", "самара": "samara", "екатеринбург": "yekaterinburg",
    "ekaterinburg": "yekaterinburg", "ростов-на-дону": "rostov-on-don", "ростов": "rostov-on-don", "rostov": "rostov-on-don",
    "краснодар": "krasnodar", "новосибирск": "novosibirsk", "владивосток": "vladivostok",
}  # fmt: skip


def zone_of(city: str) -> int:
    """How far a city is, from 0 to FAR."""
    return ZONE_OF.get(_plain(city), FAR)


def points_in(city: str) -> tuple[PickupPoint, ...]:
    """The pick-up points of a city, by its English or Russian name."""
    name = _ENGLISH.get(_plain(city), _plain(city))
    return tuple(point for point in POINTS.values() if point.address.city.casefold() == name)


def quotes(city: str, weight_grams: int, currency: str) -> tuple[DeliveryQuote, ...]:
    """Every way that goes to the city and bears the weight."""
    zone, points = zone_of(city), points_in(city)
    return tuple(
        DeliveryQuote(
            method=method, price=Money(tariff.price(zone, weight_grams), currency), days_min=tariff.days_min[0] + tariff.days_min[1] * zone,
            days_max=tariff.days_max[0] + tariff.days_max[1] * zone, pickup_points=points if method == "pickup" else (),
        )
        for method, tariff in TARIFFS.items()
        if weight_grams <= tariff.limit_grams and (method != "pickup" or points)
    )  # fmt: skip


def obstacle(method: DeliveryMethod, weight_grams: int, pickup_point_id: str) -> str:
    """Why nobody carries a parcel this way, in a sentence; empty when somebody does."""
    limit = TARIFFS[method].limit_grams
    if weight_grams > limit:
        return f"{method} takes {limit // 1000} kg at most, and this weighs {-(-weight_grams // 1000)} kg"
    if method == "pickup" and pickup_point_id not in POINTS:
        return f"there is no pick-up point {pickup_point_id!r}"
    return ""


def travel_time(method: DeliveryMethod, city: str) -> timedelta:
    """How long it takes at most, once handed over."""
    base, per_zone = TARIFFS[method].days_max
    return timedelta(days=base + per_zone * zone_of(city))


def _plain(city: str) -> str:
    return " ".join(city.split()).casefold().replace("ё", "е")
