"""Where cities lie, so that the nearest warehouse can be told."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

EARTH_RADIUS_KM = 6371.0


class Place(NamedTuple):
    """Degrees north and east."""

    lat: float
    lon: float


PLACES = {
    ("moscow", "москва"): Place(55.76, 37.62),
    ("saint petersburg", "st petersburg", "st. petersburg", "санкт-петербург", "петербург"): Place(59.94, 30.31),
    ("novosibirsk", "новосибирск"): Place(55.03, 82.92),
    ("yekaterinburg", "ekaterinburg", "екатеринбург"): Place(56.84, 60.61),
    ("kazan", "казань"): Place(55.79, 49.12),
    ("nizhny novgorod", "нижний новгород"): Place(56.33, 44.0),
    ("chelyabinsk", "челябинск"): Place(55.16, 61.4),
    ("krasnoyarsk", "красноярск"): Place(56.01, 92.87),
    ("samara", "самара"): Place(53.2, 50.15),
    ("ufa", "уфа"): Place(54.74, 55.97),
    ("rostov-on-don", "rostov", "ростов-на-дону", "ростов"): Place(47.24, 39.71),
    ("omsk", "омск"): Place(54.99, 73.37),
    ("krasnodar", "краснодар"): Place(45.04, 38.98),
    ("voronezh", "воронеж"): Place(51.66, 39.2),
    ("perm", "пермь"): Place(58.01, 56.25),
    ("volgograd", "волгоград"): Place(48.71, 44.51),
    ("saratov", "саратов"): Place(51.53, 46.03),
    ("tyumen", "тюмень"): Place(57.15, 65.53),
    ("tula", "тула"): Place(54.19, 37.62),
    ("yaroslavl", "ярославль"): Place(57.63, 39.87),
    ("irkutsk", "иркутск"): Place(52.29, 104.28),
    ("khabarovsk", "хабаровск"): Place(48.48, 135.07),
    ("vladivostok", "владивосток"): Place(43.12, 131.89),
    ("kaliningrad", "калининград"): Place(54.71, 20.51),
    ("sochi", "сочи"): Place(43.6, 39.73),
    ("murmansk", "мурманск"): Place(68.97, 33.07),
    ("minsk", "минск"): Place(53.9, 27.57),
    ("almaty", "алматы", "алма-ата"): Place(43.24, 76.89),
    ("tbilisi", "тбилиси"): Place(41.72, 44.79),
    ("yerevan", "ереван"): Place(40.18, 44.51),
    ("berlin", "берлин"): Place(52.52, 13.4),
    ("london", "лондон"): Place(51.51, -0.13),
    ("new york", "нью-йорк"): Place(40.71, -74.01),
}
BY_NAME = {name: place for names, place in PLACES.items() for name in names}


def find_place(city: str) -> Place | None:
    """Where a city lies, by its English or Russian name in any case; None for one that is not in the table."""
    return BY_NAME.get(" ".join(city.split()).casefold().replace("ё", "е"))


def distance_km(one: Place, other: Place) -> float:
    """Great-circle distance by the haversine formula."""
    north, east = radians(other.lat - one.lat), radians(other.lon - one.lon)
    part = sin(north / 2) ** 2 + cos(radians(one.lat)) * cos(radians(other.lat)) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(part))
