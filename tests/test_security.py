"""The page on security says what is so: its tests exist, and the list of parts has every part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from torg.sbom import document

HOME = Path(__file__).parent.parent
TABLE = (HOME / "docs" / "security.md").read_text()
NAME = re.compile(r"`(test_\w+)`")


def rows() -> Iterator[tuple[str, str]]:
    for line in TABLE.partition("## Keys and algorithms")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 3 and cells[1] != "asked":
            yield cells[0], cells[2].rstrip("| ")


def test_every_test_that_the_page_names_exists():
    there = {name for folder in ("src", "tests") for file in (HOME / folder).rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    missing = [f"{number}: {name}" for number, proof in rows() for name in NAME.findall(proof) if name not in there]
    assert not missing, "\n".join(missing)


def test_every_row_is_proved_or_says_why_not():
    found = list(rows())
    assert len(found) > 90
    empty = [number for number, proof in found if not NAME.search(proof) and not proof.startswith(("—", "**not yet**", "written: "))]
    assert not empty


ASKED = {
    1: (2, 9, 11, 3, 2), 2: (3, 3, 4, 1), 3: (0, 2, 4, 6, 5, 0, 2), 4: (3, 1, 2, 4), 5: (1, 3, 2, 3), 6: (3, 12, 4, 4, 5, 3, 0, 4), 7: (3, 4, 2, 5, 2, 2),
    8: (2, 3, 1, 1), 9: (3, 4), 10: (2, 2, 4, 11, 5, 2, 3), 11: (2, 3, 3, 4, 1, 1), 12: (3, 2, 4), 13: (1, 5, 2, 5), 14: (2, 4, 3), 15: (3, 3, 7),
    16: (1, 5, 4, 3, 3), 17: (1, 4, 2),
}  # fmt: skip
"""ASVS 5.0.0: how many requirements of levels 1 and 2 each section of a chapter has; in every section they are its first ones."""


def test_every_requirement_of_levels_1_and_2_is_there_and_no_other():
    wanted = [
        f"V{chapter}.{section}.{number}" for chapter, counts in ASKED.items() for section, count in enumerate(counts, 1) for number in range(1, count + 1)
    ]
    assert len(wanted) == 253
    named = [number for numbers, _ in rows() for number in numbers.split(", ") if number.startswith("V")]
    assert sorted(set(wanted) - set(named)) == []
    assert sorted(set(named) - set(wanted)) == []


def test_the_list_of_parts_names_every_library_of_the_lock_file():
    lock = (HOME / "requirements.lock").read_text()
    parts = {part["name"]: part for part in document(lock)["components"]}
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE))
    assert {name: part["version"] for name, part in parts.items()} == pinned
    assert len(pinned) > 40
    hashes = [one["hashes"][0]["content"] for part in parts.values() for one in part["externalReferences"]]
    assert sorted(hashes) == sorted(re.findall(r"sha256:(\w+)", lock))
    assert parts["cryptography"]["licenses"][0]["expression"].startswith("Apache-2.0")
    assert document(lock) == document(lock)
