"""What the command line says of itself, and to whoever asks for what cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_up import ROOT


def said(*arguments: str, **settings: str) -> tuple[int, str]:
    """How it ends, and what it says; without a terminal, as in a job at night."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    environment = {**kept, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80", **settings}
    ended = subprocess.run(
        [sys.executable, "-m", "torg", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    return ended.returncode, ended.stdout


def rows(page: str) -> list[tuple[str, str]]:
    """Commands and what is said of each: the name stands at the left, in what follows it are spaces."""
    lines = [line.strip("│ ") for line in page.splitlines() if line.startswith("│ ") and not line.startswith("│  ")]
    return [(name, what.strip()) for name, _, what in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("asked", [(), ("--help",)])
def test_the_list_of_commands_says_what_each_is_for(asked: tuple[str, ...]):
    status, page = said(*asked)
    commands = dict(rows(page))
    assert status == 0
    assert {"up", "backup", "restore", "rebuild", "redrive", "audit", "policy", "engines"} <= set(commands)
    assert [name for name, what in commands.items() if not what] == []


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (("--seeds", "0"), "no seeds"),
        (("--seeds", "-3"), "no seeds"),
        (("--seed", "1", "--orders", "0"), "1 is the least"),
        (("--seed", "1", "--jobs", "0"), "1 is the least"),
        (("--seeds", "2", "--story", "story.txt"), "name it by --seed"),
        (("--seed", "1", "--story", "/nowhere/story.txt"), "there is no folder /nowhere"),
    ],
)
def test_a_simulation_of_nothing_is_refused_instead_of_found_in_order(asked: tuple[str, ...], wrong: str):
    status, told = said("simulate", *asked)
    assert (status, wrong in told, "violations" in told) == (2, True, False)


def test_where_nobody_can_type_a_password_it_is_said_how_else(tmp_path: Path):
    status, told = said("audit", "verify", TORG_DATA=str(tmp_path))
    assert (status, told.count("\n")) == (1, 1)
    assert told.startswith("torg: there is no terminal to ask for the password of admin@torg.example: say it with --password")


def test_an_address_that_is_none_is_said(tmp_path: Path):
    status, told = said("redrive", "notification", "--to", "shop.example:8000", "--password", "any", TORG_DATA=str(tmp_path))
    assert (status, told) == (1, "torg: --to shop.example:8000 is no address of a shop: write it as http://127.0.0.1:8000\n")
