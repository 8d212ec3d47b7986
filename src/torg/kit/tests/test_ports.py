from __future__ import annotations

import socket
import subprocess
import sys

from torg.kit.ports import FIRST, PAST, free_port


def test_a_port_is_free_below_those_of_outgoing_connections_and_given_once():
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    assert all(FIRST <= port < PAST for port in ports)
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_where_somebody_listens_is_passed_over():
    following = free_port() + 1
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", following))
        assert free_port() != following


def test_processes_that_choose_at_the_same_time_choose_different_ones():
    following = free_port() + 1
    other = f"from itertools import count; from torg.kit import ports; ports._turns = count({following - FIRST}); print(ports.free_port()); input()"
    with subprocess.Popen([sys.executable, "-c", other], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        theirs = int(process.stdout.readline())
        assert theirs not in [following - 1, *(free_port() for _ in range(5))], "which begin with the one that it was told to try first"
        process.communicate("\n")
