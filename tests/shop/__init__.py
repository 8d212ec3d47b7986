"""A small shop for the tests of the whole: opened on a real port in a moment, and people who use it."""

from tests.shop.opening import MODES, SOON, Shop, open_shop
from tests.shop.people import ADDRESS, COURIER, Buyer, Visitor, fresh
from torg.kit.testing.waiting import until

__all__ = ["ADDRESS", "COURIER", "MODES", "SOON", "Buyer", "Shop", "Visitor", "fresh", "open_shop", "until"]
