"""`torg gateway routes`, and a shop that is to start with a front door that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.test_up import ROOT, refusal

SERVICE = "[services.chat]\nat = ['10.0.0.5:9000']\norigins = ['https://partner.example']\n[routes]\n'/chat' = { context = 'chat', upgrade = true }\n"


def routes(**settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    environment = {**kept, "PYTHONPATH": str(ROOT / "src"), **settings}
    return subprocess.run([sys.executable, "-m", "torg", "gateway", "routes"], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_shows_what_holds(tmp_path: Path):
    own = tmp_path / "gateway.toml"
    own.write_text(
        "[limits.orders]\nrequests = 777\n[limits.products]\non = false\n[countries]\nblocked = ['XX']\n[kept]\n'/products/*' = { on = false }\n" + SERVICE
    )
    shown = routes(TORG_GATEWAY=str(own), TORG_DATA=str(tmp_path / "never"))
    before, _, kept = shown.stdout.partition("Kept by gateways")
    lines = {line.split()[0]: line for line in before.splitlines() if line.strip()}
    assert (shown.returncode, shown.stderr) == (0, "")
    assert lines["/api/v1/orders"].split()[:3] == ["/api/v1/orders", "order", "checkout"]
    assert "2 to 30 s" in lines["/api/v1/products"]
    assert ("/products/* (off)" in kept, "/api/v1/categories" in kept) == (True, True)
    assert "777 in 60 s" in lines["orders"]
    assert "(off)" in lines["products"]
    assert "all but XX" in lines["countries"]
    assert lines["/chat"].endswith("WebSocket passes")
    chat = next(line for line in shown.stdout.splitlines() if line.startswith("chat "))
    assert all(word in chat for word in ("10.0.0.5:9000", "1,000 in a gateway", "120 s", "https://partner.example"))
    assert not (tmp_path / "never").exists(), "it touches nothing of the shop's"


def test_all_that_is_wrong_is_said_and_nothing_starts(tmp_path: Path):
    own = tmp_path / "gateway.toml"
    own.write_text("[limits.orders]\nrequets = 5\n[bounds]\nconnections = 0\n")
    shown = routes(TORG_GATEWAY=str(own))
    assert shown.returncode == 2
    for told in (shown.stderr, refusal("--data", str(tmp_path / "shop"), TORG_GATEWAY=str(own))[1]):
        assert f"TORG_GATEWAY={own} is wrong:" in told
        assert "unknown field `requets`; known are paths, algorithm" in told
        assert "`$.connections`" in told
        assert "Traceback" not in told


def test_a_path_that_nobody_answers_is_said(tmp_path: Path):
    own = tmp_path / "gateway.toml"
    own.write_text('[limits.some]\nalgorithm = "fixed window"\nrequests = 1\npaths = ["/checkuot"]\n')
    status, told = refusal("--data", str(tmp_path / "shop"), TORG_GATEWAY=str(own))
    assert status in (1, 2)
    assert '[limits.some] "/checkuot": no route begins like that' in told
