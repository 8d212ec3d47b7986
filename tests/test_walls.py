"""Each wall falls loudly: a small healthy tree passes every check, and with one violation in it fails the one check for that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import RULES, House, broken

ROOT = Path(__file__).parent.parent
HEALTHY = {
    "torg/__init__.py": "",
    "torg/cli.py": "import torg.compose\nfrom torg.contexts.order.contracts import PlaceOrder\n",
    "torg/compose.py": "import torg.contexts.cart.module\nimport torg.contexts.order.module\n",
    "torg/kit/__init__.py": "",
    "torg/kit/sql.py": "import sqlite3\n",
    "torg/kit/values.py": "import time\nMOMENT = time.time\n",
    "torg/engines/__init__.py": "",
    "torg/kit/testing/__init__.py": "import torg.engines\n",
    "torg/kit/telemetry.py": "class Switch:\n    tracer = None\ndef use(tracer: object) -> None:\n    Switch.tracer = tracer\n",
    "torg/contexts/__init__.py": "",
    "torg/contexts/cart/__init__.py": "",
    "torg/contexts/cart/contracts.py": "class GetQuote: ...\n",
    "torg/contexts/cart/module.py": "import torg.kit.sql\nimport torg.contexts.cart.contracts\n",
    "torg/contexts/cart/migrations/0001_cart.sql": "create table if not exists basket (id text primary key);\n",
    "torg/contexts/order/__init__.py": "",
    "torg/contexts/order/contracts.py": "import msgspec\nclass PlaceOrder: ...\n",
    "torg/contexts/order/model.py": "LIMITS = {'lines': 100}\ndef place(cmd: object) -> object:\n    return cmd, LIMITS['lines']\n",
    "torg/contexts/order/ports.py": "from typing import Protocol\nclass Orders(Protocol): ...\n",
    "torg/contexts/order/sagas.py": "import torg.contexts.order.ports\n",
    "torg/contexts/order/handlers.py": "from torg.contexts.cart.contracts import GetQuote\nimport torg.contexts.order.model\n",
    "torg/contexts/order/routes.py": "import torg.contexts.order.handlers\n",
    "torg/contexts/order/adapters/__init__.py": "",
    "torg/contexts/order/adapters/store_sql.py": "READ = 'select id from purchase where id = :id'\nimport torg.contexts.order.ports\n",
    "torg/contexts/order/module.py": "import torg.contexts.order.routes\nimport torg.contexts.order.adapters.store_sql\n",
    "torg/contexts/order/migrations/0001_orders.sql": "create table purchase (id text primary key);\n",
    "torg/contexts/order/tests/test_model.py": "from uuid import uuid4\n",
}
BREACHES = {
    "rooms_are_a_closed_set": [
        ("contexts/order/services.py", ""),
        ("contexts/order/templates/page.html", ""),
        ("contexts/order/__init__.py", "import torg.contexts.order.contracts"),
    ],
    "pure_rooms_import_no_driver": [
        ("contexts/order/handlers.py", "import sqlite3"),
        ("contexts/order/model.py", "from aiohttp import ClientSession"),
        ("contexts/order/contracts.py", "def late() -> None:\n    import tantivy"),
        ("contexts/order/sagas.py", "from starlette.responses import Response"),
    ],
    "outsiders_import_contracts_only": [
        ("cli.py", "from torg.contexts.order.model import place"),
        ("cli.py", "import torg.contexts.order.module"),
        ("compose.py", "from torg.contexts.order import handlers"),
    ],
    "sql_stays_in_its_context": [
        ("contexts/order/adapters/store_sql.py", "STOLEN = '''\n  SELECT id FROM Basket where id = :id'''"),
        (
            "contexts/order/adapters/store_sql.py",
            "def find(column: str) -> str:\n    return f'select {column} from purchase join basket using (id)'",
        ),
        ("contexts/cart/migrations/0002_more.sql", "alter table purchase add column note text;"),
        ("cli.py", "WIPE = 'delete from purchase'"),
    ],
    "no_module_level_mutable_state": [
        ("contexts/order/model.py", "seen = []"),
        ("contexts/order/model.py", "SEEN: dict[str, int] = {}\ndef see(what: str) -> None:\n    SEEN[what] = 1"),
        (
            "contexts/order/model.py",
            "from collections import deque\n_WAITING = deque()\ndef wait(what: str) -> None:\n    _WAITING.append(what)",
        ),
        ("contexts/order/model.py", "COUNT = 0\ndef count() -> None:\n    global COUNT\n    COUNT += 1"),
        ("contexts/order/model.py", "class State:\n    last = 0\ndef note(last: int) -> None:\n    State.last = last"),
        ("kit/sql.py", "DATABASE = sqlite3.connect(':memory:')"),
    ],
    "no_mock_patch": [
        ("contexts/order/tests/test_model.py", "from unittest.mock import patch"),
        ("contexts/order/tests/test_model.py", "def test_it(monkeypatch: object) -> None:\n    monkeypatch.setattr('a.b', 1)"),
        ("contexts/order/tests/test_model.py", "def test_it(mocker: object) -> None: ..."),
    ],
    "functions_are_short": [("kit/sql.py", "def long() -> None:\n" + "    print(1)\n" * 60)],
    "no_silent_except": [
        ("kit/sql.py", "try:\n    print()\nexcept Exception:\n    pass"),
        ("kit/sql.py", "try:\n    print()\nexcept:\n    done = True"),
        ("kit/sql.py", "import contextlib\nwith contextlib.suppress(Exception):\n    print()"),
    ],
    "no_any_where_others_look": [
        ("contexts/order/contracts.py", "from typing import Any\ndef reply() -> Any: ..."),
        ("contexts/order/ports.py", "import typing\ndef find() -> dict[str, typing.Any]: ..."),
    ],
    "names_are_the_domains": [
        ("contexts/order/model.py", "class OrderManager: ..."),
        ("contexts/order/adapters/store_sql.py", "class _AbstractStore: ..."),
        ("kit/utils.py", ""),
    ],
    "time_and_chance_come_from_deps": [
        ("contexts/order/model.py", "from datetime import datetime\nNOW = datetime.now"),
        ("contexts/order/handlers.py", "from uuid import uuid4"),
        ("kit/sql.py", "import random\nprint(random.random())"),
        ("kit/sql.py", "from random import Random\nprint(Random())"),
    ],
}
FALLS = {
    "contexts meet only at contracts": ("contexts/order/handlers.py", "import torg.contexts.cart.module"),
    "rooms": ("contexts/order/model.py", "import torg.contexts.order.handlers"),
    "kit imports no context": ("kit/sql.py", "from torg.contexts.cart.contracts import GetQuote"),
    "only compose imports a module": ("cli.py", "import torg.contexts.order.module"),
}


def build(root: Path, file: str = "", addition: str = "") -> Path:
    """Writes the healthy tree under `root`, with something added to one file."""
    for name, text in HEALTHY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if file:
        (root / "torg" / file).parent.mkdir(parents=True, exist_ok=True)
        with (root / "torg" / file).open("a") as opened:
            opened.write(addition + "\n")
    return root / "torg"


def lint_imports(folder: Path, source: Path) -> tuple[int, str]:
    """Runs import-linter with the project's contracts over the package in `source`; gives its status and its words."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    command = [sys.executable, "-P", "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_rule_has_a_breach_to_show() -> None:
    assert set(BREACHES) == {rule.__name__ for rule in RULES}


def test_a_healthy_tree_passes_every_rule(tmp_path: Path) -> None:
    house = House(build(tmp_path))
    assert [sentence for rule in RULES for sentence in broken(rule, house)] == []


@pytest.mark.parametrize(("name", "file", "addition"), [(name, *breach) for name, breaches in BREACHES.items() for breach in breaches])
def test_a_breach_is_reported_by_its_rule_alone(name: str, file: str, addition: str, tmp_path: Path) -> None:
    house = House(build(tmp_path, file, addition))
    found = {rule.__name__: broken(rule, house) for rule in RULES}
    assert [rule for rule, sentences in found.items() if sentences] == [name]
    assert Path(file).name in found[name][0] or Path(file).parts[2] in found[name][0]


def test_the_contracts_between_packages_hold_for_a_healthy_tree(tmp_path: Path) -> None:
    build(tmp_path)
    status, words = lint_imports(tmp_path, tmp_path)
    assert status == 0, words


@pytest.mark.parametrize("contract", FALLS)
def test_import_linter_reports_the_fallen_wall(contract: str, tmp_path: Path) -> None:
    build(tmp_path, *FALLS[contract])
    status, words = lint_imports(tmp_path, tmp_path)
    assert status == 1, words
    assert f"{contract} BROKEN" in words


def test_a_room_that_no_layer_names_is_reported(tmp_path: Path) -> None:
    build(tmp_path, "contexts/order/services.py")
    status, words = lint_imports(tmp_path, tmp_path)
    assert status == 1, words
    assert "services" in words


def test_the_contracts_between_packages_hold_for_torg(tmp_path: Path) -> None:
    status, words = lint_imports(tmp_path, ROOT / "src")
    assert status == 0, words
