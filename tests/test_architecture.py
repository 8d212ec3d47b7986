"""The real tree keeps the rules of tests/architecture.py, and every exception from them is still needed."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tests.architecture import EXCEPTIONS, RULES, House, Rule, broken, lengths

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT / "src/torg", ROOT / "tests")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule, house: House) -> None:
    sentences = broken(rule, house)
    assert not sentences, "\n".join(["", *sentences])


def test_no_exception_has_outlived_its_reason(house: House) -> None:
    rules = {rule.__name__: rule for rule in RULES}
    for name, paths in EXCEPTIONS.items():
        reported = {sentence.partition(":")[0] for sentence in rules[name](house)}
        assert paths <= reported, f"{name} excuses {sorted(paths - reported)}, which keep the rule"


def test_the_median_function_is_about_ten_lines(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = sorted(lines for lines, *_ in lengths(house))
    ninth = sizes[len(sizes) * 9 // 10]
    with capsys.disabled():
        print(f" [{len(sizes)} functions: median {median(sizes):.0f}, nine in ten up to {ninth}, longest {sizes[-1]} lines]", end="")
    assert median(sizes) <= 12
