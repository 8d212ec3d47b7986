"""What buyers think: a product's quality, the rating it gets for it and the words that go with it, the same on every run."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

REVIEWED = 4  # one delivered order in so many is reviewed


class Opinion(NamedTuple):
    rating: int
    title: str
    text: str


_RUSSIAN_CITIES = frozenset({"Moscow", "Saint Petersburg", "Novosibirsk", "Yekaterinburg", "Kazan", "Nizhny Novgorod", "Krasnodar", "Vladivostok", "Almaty"})
_WORDS = {
    5: (
        (
            "Exactly what I wanted",
            "Fresh, well packed and here a day early. I will order it again.",
            "Именно то, что нужно",
            "Свежее, хорошо упаковано, привезли на день раньше. Закажу ещё.",
        ),
        (
            "A favourite of the house",
            "We have had it for years and it has never let us down.",
            "Любимое в нашем доме",
            "Берём не первый год, и ни разу не подвело.",
        ),
        (
            "Worth every coin",
            "Better than what the shop around the corner sells for more.",
            "Стоит своих денег",
            "Лучше, чем в магазине за углом, где просят больше.",
        ),
    ),
    4: (
        (
            "Good, with a small but",
            "All as described; only the package was a little dented.",
            "Хорошо, но есть мелочь",
            "Всё по описанию, только упаковка немного помята.",
        ),
        ("Solid choice", "Nothing to complain about, though I have seen it cheaper.", "Достойный выбор", "Придраться не к чему, хотя видели и дешевле."),
    ),
    3: (
        ("It does the job", "Neither good nor bad. For this price I expected a bit more.", "Сойдёт", "Ни хорошо ни плохо. За такую цену ждали чуть большего."),
        ("Average", "We finished it, but will try another brand next time.", "Средне", "Доели, но в следующий раз попробуем другую марку."),
    ),
    2: (
        (
            "Not for us",
            "It looks different from the picture and nobody at home liked it.",
            "Не для нас",
            "На вид не как на картинке, и дома никому не понравилось.",
        ),
    ),
    1: (("Disappointed", "It arrived close to its date and the box was open.", "Разочарованы", "Привезли на исходе срока, коробка была открыта."),),
}


def is_reviewed(basket_id: str) -> bool:
    """Whether the buyer of this basket will write about it."""
    return crc32(f"reviewed {basket_id}".encode()) % REVIEWED == 0


def opinion(product_id: str, household_id: str, city: str) -> Opinion:
    """What a household makes of a product: most products please, and everybody's taste differs a little."""
    quality = crc32(f"quality {product_id}".encode()) % 100
    taste = crc32(f"taste {product_id}/{household_id}".encode())
    liked = quality + taste % 50
    rating = 5 if liked > 60 else 4 if liked > 35 else 3 if liked > 20 else 2 if liked > 10 else 1
    title, text, title_ru, text_ru = _WORDS[rating][taste // 64 % len(_WORDS[rating])]
    return Opinion(rating, title_ru, text_ru) if city in _RUSSIAN_CITIES else Opinion(rating, title, text)


def is_let_through(basket_id: str) -> bool:
    """Whether the moderator approves; about one review in thirty is not."""
    return crc32(f"moderated {basket_id}".encode()) % 30 != 0
