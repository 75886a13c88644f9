"""The simulator's own life: certificates, logs, and running in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from o365_etl.simulator import Estate, SimTenant, Simulator
from o365_etl.simulator.certificates import prepare
from tests.simulator.caller import Caller


def test_certificates_are_made_once_and_kept_private(tmp_path: Path) -> None:
    """A second start uses the same authority; keys are readable by their owner alone."""
    first = prepare(tmp_path).ca.read_bytes()

    again = prepare(tmp_path)
    assert again.ca.read_bytes() == first
    for file in (again.server, again.app):
        assert file.stat().st_mode & 0o777 == 0o600


def test_nobody_else_is_trusted(caller: Caller) -> None:
    """Without the simulator's authority the connection fails."""
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(caller.simulator.graph_url, timeout=10)


def test_the_log_tells_who_asked_what(caller: Caller, tenant: SimTenant) -> None:
    """Service, tenant, path, status and size of every request, until the log is reset."""
    caller.graph(tenant, "/v1.0/users?$top=2")
    caller.itglue("/organizations")

    records = caller.simulator.requests
    assert [record.service for record in records] == ["login", "graph", "itglue"]
    assert (records[1].tenant_id, records[1].path, records[1].query) == (tenant.tenant_id, "/v1.0/users", "$top=2")
    assert records[1].bytes_sent > 100
    assert caller.simulator.count("graph", tenant_id=tenant.tenant_id, path_prefix="/v1.0/users") == 1
    assert caller.simulator.count() == 3

    caller.simulator.reset_log()
    assert caller.simulator.count() == 0


@pytest.mark.parametrize("line", [b"nonsense\r\n\r\n", b"GET / SPDY/9\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_nonsense_ends_only_its_own_connection(caller: Caller, tenant: SimTenant, line: bytes) -> None:
    """Whoever does not speak HTTP is hung up on; everybody else is served."""
    context = ssl.create_default_context(cafile=str(caller.simulator.ca_bundle))
    port = int(caller.simulator.graph_url.rsplit(":", 1)[1])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        connection.sendall(line)
        assert connection.recv(100) == b""

    assert caller.graph(tenant, "/v1.0/organization").status_code == 200


def test_ports_can_be_chosen(folder: Path) -> None:
    """The addresses of one run can be those of the run before."""
    with Simulator(Estate.build(), folder=folder) as simulator:
        first = (simulator.graph_url, simulator.itglue_url)
    ports = (int(first[0].rsplit(":", 1)[1]), int(first[1].rsplit(":", 1)[1]), 0)
    with Simulator(Estate.build(), folder=folder, ports=ports) as simulator:
        assert (simulator.graph_url, simulator.itglue_url) == first


@pytest.mark.parametrize("ending", ["SIGTERM", "stdin"])
def test_it_runs_in_its_own_process(tmp_path: Path, ending: str) -> None:
    """One line of JSON says where it is; a signal or the end of its input stops it."""
    command = [sys.executable, "-m", "o365_etl.simulator", "--tenants", "2", "--users", "3", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        with requests.Session() as session:
            session.trust_env = False
            session.verify = said["ca_bundle"]
            key = {"x-api-key": said["itglue_api_key"]}
            rows = session.get(f"{said['itglue_url']}/organizations", headers=key, timeout=10).json()["data"]
        if ending == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(timeout=10) == 0

    assert len(rows) == len(said["tenant_ids"]) == 2
