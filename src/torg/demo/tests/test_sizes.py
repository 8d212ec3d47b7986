"""Package sizes as tills write them."""

import pytest

from torg.demo.sizes import read_size


@pytest.mark.parametrize(
    ("written", "fluid", "text", "metric_ru"),
    [
        ("22 OZ", False, "22 oz", "624 г"),
        ("12 OZ", True, "12 oz", "355 мл"),
        ("12 PK/12 OZ", True, "12 × 12 oz", "12 × 355 мл"),
        ("12 OZ/12 PK", True, "12 × 12 oz", "12 × 355 мл"),
        ("10/6.75 OZ", True, "10 × 6.75 oz", "10 × 200 мл"),
        ("4-3 OZ", False, "4 × 3 oz", "4 × 85 г"),
        ("10 3/4 OZ", False, "10.75 oz", "305 г"),
        ("1/2 GAL", True, "0.5 gal", "1,89 л"),
        ("L    16 OZ", False, "16 oz", "454 г"),
        ("GAL", True, "1 gal", "3,79 л"),
        ("5 LB BAG", False, "5 lb", "2,27 кг"),
        ("16 OZ/24 CT", False, "16 oz", "454 г"),
        ("32 LOADS", True, "32 loads", "32 стирки"),
        ("7 STEM", False, "7 stems", "7 стеблей"),
        ("1 DZ", False, "1 dozen", "1 дюжина"),
        ("50 SQ FT", False, "50 sq ft", "50 кв. футов"),
        ("48-54 CT", False, "54 count", "54 шт."),
    ],
)
def test_size_is_read_as_a_shopper_would_say_it(written: str, fluid: bool, text: str, metric_ru: str) -> None:
    size = read_size(written, fluid)
    assert size is not None
    assert (size.text, size.metric_ru) == (text, metric_ru)


@pytest.mark.parametrize("written", ["", "974246  PK", "CTN", "CELL PK", "1 CT", "MED.", "SCAN KPC"])
def test_what_says_nothing_is_no_size(written: str) -> None:
    assert read_size(written, fluid=False) is None


def test_package_of_cans_weighs_all_of_them() -> None:
    size = read_size("12 PK/12 OZ", fluid=True)
    assert size is not None
    assert size.grams == pytest.approx(4258.6, abs=1)
