"""What the payment pages say, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

from torg.kit.values import Language

EN: Mapping[str, str] = {
    "title": "Card payment",
    "sandbox": "This is a sandbox: no bank is asked and no money moves. Only the test cards below work; never type a real card's number.",
    "amount": "To pay",
    "number": "Card number",
    "expiry": "Valid until",
    "expiry_shape": "MM/YY",
    "code": "Code on the back",
    "pay": "Pay",
    "back": "Back without paying",
    "test_cards": "Test cards",
    "test_hint": "Any future date and any three digits. Choosing one fills in the form.",
    "success": "is accepted",
    "refusal": "is refused by the bank",
    "confirmation": "asks for a confirmation (3-D Secure)",
    "late": "is accepted, but the bank takes a while",
    "silent": "is accepted, and the shop is never told: it has to ask",
    "number.digits": "A card number has 12 to 19 digits.",
    "number.check": "This is not a card number: look for a mistyped digit.",
    "number.not_a_test_card": "Only the test cards listed below work here.",
    "expiry.shape": "Type month and year like 09/31.",
    "expiry.past": "This card has expired.",
    "code.digits": "The code has three or four digits.",
    "confirm_title": "Your bank asks",
    "confirm_question": "Did you ask for this payment with the card ending in {card}?",
    "confirm": "Yes, confirm",
    "deny": "No, refuse",
    "done_title": "Nothing to pay here",
    "authorized": "This payment has been accepted.",
    "captured": "This payment has been made.",
    "processing": "The bank is working on this payment.",
    "failed": "This payment did not succeed. Nothing was taken.",
    "voided": "The shop has called this payment off. Nothing was taken.",
    "to_shop": "To the shop",
    "missing_title": "No such payment",
    "missing": "There is no payment at this address.",
}

RU: Mapping[str, str] = {
    "title": "Оплата картой",
    "sandbox": "Это песочница: банк не участвует, деньги не списываются. Работают только тестовые карты ниже; не вводите номер настоящей карты.",
    "amount": "К оплате",
    "number": "Номер карты",
    "expiry": "Действует до",
    "expiry_shape": "ММ/ГГ",
    "code": "Код на обороте",
    "pay": "Оплатить",
    "back": "Вернуться без оплаты",
    "test_cards": "Тестовые карты",
    "test_hint": "Любая будущая дата и любые три цифры. Выбор карты заполняет форму.",
    "success": "принимается",
    "refusal": "отклоняется банком",
    "confirmation": "просит подтверждения (3-D Secure)",
    "late": "принимается, но банк думает некоторое время",
    "silent": "принимается, но магазин не извещают: он должен спросить сам",
    "number.digits": "В номере карты от 12 до 19 цифр.",
    "number.check": "Это не номер карты: проверьте, нет ли опечатки.",
    "number.not_a_test_card": "Здесь работают только тестовые карты из списка ниже.",
    "expiry.shape": "Введите месяц и год, например 09/31.",
    "expiry.past": "Срок действия карты истёк.",
    "code.digits": "В коде три или четыре цифры.",
    "confirm_title": "Ваш банк спрашивает",
    "confirm_question": "Вы просили провести этот платёж картой, которая оканчивается на {card}?",
    "confirm": "Да, подтверждаю",
    "deny": "Нет, отклонить",
    "done_title": "Здесь нечего оплачивать",
    "authorized": "Платёж принят.",
    "captured": "Платёж проведён.",
    "processing": "Банк обрабатывает платёж.",
    "failed": "Платёж не прошёл. Деньги не списаны.",
    "voided": "Магазин отменил этот платёж. Деньги не списаны.",
    "to_shop": "В магазин",
    "missing_title": "Такого платежа нет",
    "missing": "По этому адресу нет платежа.",
}


def texts(language: Language) -> Mapping[str, str]:
    """All texts of a language, by name."""
    return RU if language is Language.RU else EN
