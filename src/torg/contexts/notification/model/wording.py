"""What notifications say, in the languages the shop speaks. A feed entry and a letter use the same sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from torg.contexts.notification.contracts import Facts, Kind
from torg.kit.values import Language, Money

EN, RU = Language.EN, Language.RU


@dataclass(frozen=True)
class Words:
    """A title, a text and what the button says; {names} are filled from the facts."""

    title: str
    text: str
    button: str


@dataclass(frozen=True)
class Said:
    title: str
    text: str
    button: str
    link: str


_ORDER = {EN: "See the order", RU: "Посмотреть заказ"}
_SAFE = {EN: "See how you sign in", RU: "Посмотреть, как вы входите"}
_PRODUCT = {EN: "See the product", RU: "Посмотреть товар"}

WORDING: Mapping[Kind, Mapping[Language, Words]] = {
    "user.registered": {
        EN: Words("Welcome to Torg", "Your account is ready. We keep your cart, your orders and your addresses for you.", "Go to the shop"),
        RU: Words("Добро пожаловать в Torg", "Ваш аккаунт готов. Мы сохраним вашу корзину, заказы и адреса.", "Перейти в магазин"),
    },
    "order.placed": {
        EN: Words("We have your order {number}", "It comes to {total}. We are making sure that everything is in stock.", _ORDER[EN]),
        RU: Words("Мы получили ваш заказ {number}", "Сумма: {total}. Проверяем, что всё есть в наличии.", _ORDER[RU]),
    },
    "payment.redirected": {
        EN: Words("Order {number} waits for its payment", "Pay by card, and we will start packing. If you do not, the order is cancelled.", "Pay"),
        RU: Words("Заказ {number} ждёт оплаты", "Оплатите его картой, и мы начнём сборку. Неоплаченный заказ будет отменён.", "Оплатить"),
    },
    "order.confirmed": {
        EN: Words("Order {number} is confirmed", "Thank you! We are packing it now.{when}", _ORDER[EN]),
        RU: Words("Заказ {number} подтверждён", "Спасибо! Мы уже собираем его.{when}", _ORDER[RU]),
    },
    "order.shipped": {
        EN: Words("Order {number} is on its way", "We have handed it to the carrier. Tracking number: {tracking_number}.", _ORDER[EN]),
        RU: Words("Заказ {number} в пути", "Мы передали его в доставку. Трек-номер: {tracking_number}.", _ORDER[RU]),
    },
    "order.delivered": {
        EN: Words("Order {number} is delivered", "Enjoy it! You can return what does not suit you within 30 days.", _ORDER[EN]),
        RU: Words("Заказ {number} доставлен", "Приятных покупок! Что не подошло, можно вернуть в течение 30 дней.", _ORDER[RU]),
    },
    "order.rejected": {
        EN: Words("Order {number} could not be accepted", "{reason} Nothing was charged that is not given back.", _ORDER[EN]),
        RU: Words("Заказ {number} не удалось принять", "{reason} Если деньги были списаны, мы их вернём.", _ORDER[RU]),
    },
    "order.cancelled": {
        EN: Words("Order {number} is cancelled", "{reason} What you have paid comes back to you.", _ORDER[EN]),
        RU: Words("Заказ {number} отменён", "{reason} Всё, что вы заплатили, вернётся к вам.", _ORDER[RU]),
    },
    "order.cancellation_failed": {
        EN: Words("Order {number} could not be cancelled", "{reason} It goes on to you; you can return it after delivery.", _ORDER[EN]),
        RU: Words("Заказ {number} не удалось отменить", "{reason} Он едет к вам; после получения его можно вернуть.", _ORDER[RU]),
    },
    "order.return_requested": {
        EN: Words("Your return for order {number} is registered", "Once the goods are back we will pay you {total}.", _ORDER[EN]),
        RU: Words("Возврат по заказу {number} оформлен", "Когда товары вернутся к нам, мы выплатим {total}.", _ORDER[RU]),
    },
    "order.returned": {
        EN: Words("The goods of order {number} are back", "Your refund: {total}.", _ORDER[EN]),
        RU: Words("Товары заказа {number} вернулись к нам", "Сумма возврата: {total}.", _ORDER[RU]),
    },
    "order.return_failed": {
        EN: Words("Your return for order {number} did not work out", "{reason} Write to us if you want to try again.", _ORDER[EN]),
        RU: Words("Возврат по заказу {number} не состоялся", "{reason} Напишите нам, если хотите попробовать ещё раз.", _ORDER[RU]),
    },
    "payment.refunded": {
        EN: Words("{total} for order {number} are on their way to you", "The money comes back the way you paid.", _ORDER[EN]),
        RU: Words("Возвращаем {total} за заказ {number}", "Деньги придут тем же способом, которым вы платили.", _ORDER[RU]),
    },
    "review.published": {
        EN: Words("Your review is published", "Thank you: it helps others to choose.", _PRODUCT[EN]),
        RU: Words("Ваш отзыв опубликован", "Спасибо: он помогает другим выбирать.", _PRODUCT[RU]),
    },
    "review.rejected": {
        EN: Words("Your review was not published", "{reason} You can write it anew.", _PRODUCT[EN]),
        RU: Words("Ваш отзыв не опубликован", "{reason} Вы можете написать его заново.", _PRODUCT[RU]),
    },
    "review.replied": {
        EN: Words("The seller has answered your review", "Read what they say on the product's page.", _PRODUCT[EN]),
        RU: Words("Продавец ответил на ваш отзыв", "Ответ — на странице товара.", _PRODUCT[RU]),
    },
    "inventory.low_stock": {
        EN: Words("Product {product_id} is running out", "Units left for sale: {available}.", _PRODUCT[EN]),
        RU: Words("Товар {product_id} заканчивается", "Осталось в продаже: {available}.", _PRODUCT[RU]),
    },
    "user.confirm_email": {
        EN: Words(
            "Confirm your e-mail address",
            "Press the button, and we know that our letters come to you. The link works for three days, once. If you have no account here, do nothing.",
            "Confirm the address",
        ),
        RU: Words(
            "Подтвердите адрес почты",
            "Нажмите кнопку, и мы будем знать, что наши письма доходят до вас. Ссылка действует три дня и только один раз. "
            "Если у вас здесь нет аккаунта, ничего не делайте.",
            "Подтвердить адрес",
        ),
    },
    "user.reset_password": {
        EN: Words(
            "A new password for Torg",
            "Somebody, you we hope, has asked for a new password. The link works for 30 minutes, once. If it was not you, do nothing.",
            "Choose a new password",
        ),
        RU: Words(
            "Новый пароль для Torg",
            "Кто-то, надеемся, что вы, попросил новый пароль. Ссылка действует 30 минут, один раз. Если это были не вы, ничего не делайте.",
            "Выбрать новый пароль",
        ),
    },
    "user.email_change_asked": {
        EN: Words(
            "Another e-mail address for your account",
            "Somebody who is signed in as you wants another address. It counts once it is confirmed there. If it was not you, change your password.",
            "Go to the profile",
        ),
        RU: Words(
            "Другой адрес почты для вашего аккаунта",
            "Кто-то, войдя в ваш аккаунт, указал другой адрес. Он начнёт действовать, когда его подтвердят. Если это не вы, смените пароль.",
            "Открыть профиль",
        ),
    },
    "user.password_changed": {
        EN: Words("Your password was changed", "All your other sessions have ended. If it was not you, ask for a new password now.", "I did not do this"),
        RU: Words("Ваш пароль изменён", "Все остальные сеансы завершены. Если это были не вы, сразу запросите новый пароль.", "Это был не я"),
    },
    "user.email_changed": {
        EN: Words(
            "Your account has another e-mail address now",
            "It was confirmed, and our letters go there from now on: this one is the last that comes here. If it was not you, write to us at once.",
            "Go to the profile",
        ),
        RU: Words(
            "У вашего аккаунта теперь другой адрес почты",
            "Его подтвердили, и наши письма теперь приходят туда: это письмо — последнее на старый адрес. Если это были не вы, сразу напишите нам.",
            "Открыть профиль",
        ),
    },
    "user.signed_in_anew": {
        EN: Words(
            "Somebody has signed in to your account",
            "With {device}, which you have not come with before, or not from there. If it was you, there is nothing to do. If not, end that session, and "
            "change your password.",
            "Where I am signed in",
        ),
        RU: Words(
            "В ваш аккаунт вошли",
            "Это {device}: с такого устройства или из такой сети вы ещё не входили. Если это вы, ничего делать не нужно. Если нет, завершите этот сеанс и "
            "смените пароль.",
            "Где я вошёл",
        ),
    },
    "user.sessions_ended": {
        EN: Words(
            "We have signed you out",
            "Our staff have ended sessions of yours: you have asked for it, or we think that somebody else was using them. Sign in again; if we were right, "
            "change your password.",
            "Sign in",
        ),
        RU: Words(
            "Мы завершили ваши сеансы",
            "Это сделали наши сотрудники: по вашей просьбе или потому, что вместо вас мог войти кто-то другой. Войдите снова; если так и было, смените пароль.",
            "Войти",
        ),
    },
    "user.factor_added": {
        EN: Words(
            "Your password alone opens nothing any more",
            "A second step is asked for after it from now on. If it was not you, ask for a new password.",
            _SAFE[EN],
        ),
        RU: Words("Одного пароля больше не хватит", "После него теперь нужен второй шаг. Если это включили не вы, запросите новый пароль.", _SAFE[RU]),
    },
    "user.factor_removed": {
        EN: Words("A second step was switched off", "Your account asks for less when somebody signs in. If it was not you, ask for a new password.", _SAFE[EN]),
        RU: Words("Второй шаг отключён", "Теперь при входе ваш аккаунт спрашивает меньше. Если это сделали не вы, запросите новый пароль.", _SAFE[RU]),
    },
    "user.passkey_added": {
        EN: Words(
            "A passkey was added to your account", "It signs in without your password. If it was not you, remove it and change your password.", _SAFE[EN]
        ),
        RU: Words("К вашему аккаунту добавлен ключ доступа", "С ним входят без пароля. Если это были не вы, удалите его и смените пароль.", _SAFE[RU]),
    },
    "user.passkey_removed": {
        EN: Words("A passkey of yours was removed", "It opens nothing any more. If it was not you, change your password.", _SAFE[EN]),
        RU: Words("Ваш ключ доступа удалён", "Он больше ничего не откроет. Если это были не вы, смените пароль.", _SAFE[RU]),
    },
}
assert set(WORDING) == set(get_args(Kind)), "every kind has its words"

_WHEN = {EN: " It arrives on {date}.", RU: " Доставим {date}."}
_PROGRAM = {EN: "a program", RU: "программа"}
_MONTHS = {
    EN: "January February March April May June July August September October November December".split(),
    RU: "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split(),
}
_SIGNS: Mapping[str, str] = {"RUB": "₽", "USD": "$", "EUR": "€", "GBP": "£"}
_NARROW: Final = "\u00a0"  # keeps a sum on one line


def say(kind: Kind, language: Language, order_id: str, facts: Facts) -> Said:
    """The words for a notification, and where its button leads: a path of the shop, or a whole address."""
    words = WORDING[kind][language]
    values = {
        "number": number(order_id), "total": money(facts.total, language), "reason": _sentence(facts.reason), "product_id": facts.product_id,
        "tracking_number": facts.tracking_number, "available": str(facts.available),
        "device": facts.device or _PROGRAM[language], "when": _when(facts.delivery_date, language),
    }  # fmt: skip
    return Said(words.title.format_map(values), words.text.format_map(values).strip(), words.button, link(order_id, facts))


def link(order_id: str, facts: Facts) -> str:
    if facts.url:
        return facts.url
    if order_id:
        return f"/orders/{order_id}"
    return f"/products/{facts.product_id}" if facts.product_id else "/"


def number(order_id: str) -> str:
    """What people call an order: the end of its id, since the beginning is the time."""
    return order_id[-8:].upper()


def money(amount: Money | None, language: Language) -> str:
    """1 290,50 ₽ in Russian, ₽1,290.50 in English; two decimals, as all the shop's currencies have."""
    if amount is None:
        return ""
    whole, rest = divmod(abs(amount.amount), 100)
    sign, minus = _SIGNS.get(amount.currency, amount.currency), "-" if amount.amount < 0 else ""
    if language is RU:
        return f"{minus}{whole:,}".replace(",", _NARROW) + f",{rest:02}{_NARROW}{sign}"
    return f"{minus}{sign}{whole:,}.{rest:02}"


def rest_of(facts: Facts) -> Money | None:
    """What a receipt's total holds beside its lines: delivery, less the discount."""
    if facts.total is None or not facts.lines:
        return None
    return facts.total - Money(sum(line.total.amount for line in facts.lines), facts.total.currency) or None


def date(moment: datetime, language: Language) -> str:
    """5 March, 5 марта."""
    return f"{moment.day}{_NARROW}{_MONTHS[language][moment.month - 1]}"


def _when(moment: datetime | None, language: Language) -> str:
    return _WHEN[language].format(date=date(moment, language)) if moment else ""


def _sentence(reason: str) -> str:
    """A reason as a sentence of its own."""
    text = reason.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?' else '.'}" if text else ""


# ---------------------------------------------------------------- what only letters say


@dataclass(frozen=True)
class Frame:
    """What stands around a letter's text."""

    greeting: str
    greeting_to_anybody: str
    total: str
    pieces: str
    rest: str
    link_hint: str
    footer: str


FRAMES: Mapping[Language, Frame] = {
    EN: Frame(
        "Hello, {name}!", "Hello!", "Total", "pcs", "Delivery and discounts", "If the button does not work, open this address:",
        "You get this letter because you have an account at Torg. Choose in your profile which letters you want.",
    ),
    RU: Frame(
        "Здравствуйте, {name}!", "Здравствуйте!", "Итого", "шт.", "Доставка и скидки", "Если кнопка не работает, откройте этот адрес:",
        "Вы получили это письмо, потому что у вас есть аккаунт в Torg. В профиле можно выбрать, какие письма вы хотите получать.",
    ),
}  # fmt: skip
