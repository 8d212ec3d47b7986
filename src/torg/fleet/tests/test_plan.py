"""Topologies, and the processes that they take."""

from __future__ import annotations

from pathlib import Path

import pytest

from torg.fleet.plan import plan, read_instances, stopping_order
from torg.kit.settings import Settings
from torg.topology import ALL, CONTEXTS, GATEWAY, MAIN, NAMES, NEEDS, BadTopology, read

SERVERS = Settings(db="postgresql://torg@127.0.0.1/torg", index="elasticsearch://127.0.0.1:9200")


def test_all_is_one_process_without_a_gateway():
    assert dict(read("all").processes) == {MAIN: ALL}
    assert read("all").alone


def test_services_are_a_process_for_each_context():
    processes = read("services").processes
    assert processes == {name: (name,) for name in NAMES}


def test_groups_run_together_and_everything_else_in_the_main_process():
    processes = read("payment,order/catalog").processes
    assert set(processes) == {MAIN, "payment,order", "catalog"}
    assert processes["payment,order"] == ("order", "payment"), "in the order in which they start"
    assert set(processes[MAIN]) == {*NAMES} - {"order", "payment", "catalog"}


def test_a_file_names_a_process_for_each_context_and_one_line_moves_one_context(tmp_path: Path):
    file = tmp_path / "topology.toml"
    file.write_text('inventory = "main"\n')
    assert read(str(file)).alone
    file.write_text('inventory = "inventory"\n')
    processes = read(str(file)).processes
    assert processes["inventory"] == ("inventory",)
    assert set(processes[MAIN]) == {*NAMES} - {"inventory"}


@pytest.mark.parametrize("text", ["ordre", "order,cart/order", "", "order/", "services,all", "missing.toml"])
def test_what_is_no_topology_is_refused_with_what_would_be_one(text: str):
    with pytest.raises(BadTopology):
        read(text)


def test_bad_lines_of_a_file_are_named(tmp_path: Path):
    file = tmp_path / "topology.toml"
    file.write_text('inventory = 7\norder = "main"\n')
    with pytest.raises(BadTopology, match="wrong are inventory"):
        read(str(file))


def test_whatever_is_needed_exists():
    assert {need for needs in NEEDS.values() for need in needs} | NEEDS.keys() <= set(NAMES)


# ---------------------------------------------------------------- processes


def test_the_gateway_starts_last_and_ends_first():
    planned = plan(read("services"), {}, Settings())
    assert planned[-1].contexts == (GATEWAY,)
    assert [[process.name for process in group] for group in stopping_order(planned)][:2] == [[GATEWAY], ["web"]]
    assert sum(len(group) for group in stopping_order(planned)) == len(planned) == len(NAMES)


def test_the_sandbox_lives_with_payments_unless_there_are_several_or_none_is_wanted():
    assert {process.name for process in plan(read("order,payment"), {}, Settings()) if "acquirer" in process.contexts} == {"order,payment"}
    assert {process.name for process in plan(read("services"), {"payment": 2}, SERVERS) if "acquirer" in process.contexts} == {"acquirer"}
    elsewhere = Settings(acquirer_url="https://acquirer.example")
    assert not [process for process in plan(read("services"), {}, elsewhere) if "acquirer" in process.contexts]


def test_several_instances_need_engines_that_several_may_use():
    shop = read("services")
    with pytest.raises(BadTopology, match=r"2 instances of order need a database server.*TORG_DB"):
        plan(shop, {"order": 2}, Settings())
    with pytest.raises(BadTopology, match="TORG_INDEX"):
        plan(shop, {"catalog": 2}, Settings(db=SERVERS.db))
    assert [process.name for process in plan(shop, {"order": 2}, SERVERS) if "order" in process.contexts] == ["order", "order.2"]
    assert len(plan(shop, {"gateway": 3}, Settings())) == len(NAMES) + 2, "a gateway keeps nothing"


def test_the_whole_shop_several_times_has_a_gateway_in_each():
    planned = plan(read("all"), read_instances("3", read("all")), SERVERS)
    assert [process.name for process in planned] == ["acquirer", "main", "main.2", "main.3"]
    assert all(process.contexts == (*CONTEXTS, GATEWAY) for process in planned[1:])


def test_who_keeps_files_is_stopped_before_its_successor_starts():
    assert all(process.alone != (process.name == GATEWAY) for process in plan(read("services"), {}, Settings()))
    assert [process.name for process in plan(read("services"), {"payment": 2}, SERVERS) if process.alone] == ["acquirer"]
    assert [process.name for process in plan(read("services"), {}, SERVERS) if process.alone] == ["payment"], "the sandbox lives in there"


@pytest.mark.parametrize(("text", "counted"), [("2", {MAIN: 2}), ("main=4", {MAIN: 4})])
def test_how_many_is_said_for_all_or_by_process(text: str, counted: dict[str, int]):
    assert read_instances(text, read("all")) == counted


@pytest.mark.parametrize("text", ["0", "main", "main=", "main=x", "main=0", "65", "-1"])
def test_a_count_that_cannot_be_is_refused(text: str):
    with pytest.raises(BadTopology, match="--instances"):
        read_instances(text, read("all"))


def test_instances_of_nobody_are_refused():
    with pytest.raises(BadTopology, match="there is no process order"):
        plan(read("all"), {"order": 2}, SERVERS)
