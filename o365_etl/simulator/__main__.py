"""The simulator in a process of its own: `python -m o365_etl.simulator --tenants 100 --users 500`.

Prints one line of JSON with addresses and ids when it is ready, and stops on SIGTERM, SIGINT or when its standard
input closes, so that it cannot outlive whoever started it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

from o365_etl.simulator.estate import Estate
from o365_etl.simulator.itglue_service import ItGlueBehaviour
from o365_etl.simulator.simulator import Simulator


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    options = _parse(arguments)
    if options.demo:
        estate = Estate.demo(options.seed)
    else:
        estate = Estate.sized(
            options.tenants,
            options.users,
            options.seed,
            contacts=not options.no_contacts,
            promoted=options.promoted,
            now=options.now,
        )
    behaviour = ItGlueBehaviour(rate_limit=(3000, 300.0) if options.rate_limit else None)
    simulator = Simulator(
        estate, latency=options.latency, folder=options.folder, ports=tuple(options.ports), itglue=behaviour
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with simulator:
        sys.stdout.write(json.dumps(_announcement(simulator)) + "\n")
        sys.stdout.flush()
        threading.Thread(target=_watch_input, args=(stop,), daemon=True).start()
        stop.wait()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m o365_etl.simulator", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="the demo's world instead of a sized one")
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--users", type=int, default=500, help="users per tenant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--folder", type=Path, help="where certificates and secrets go")
    parser.add_argument("--ports", type=int, nargs=3, default=(0, 0, 0), help="login and Graph, IT Glue, download")
    parser.add_argument("--no-contacts", action="store_true", help="IT Glue without contacts")
    parser.add_argument(
        "--promoted",
        choices=("tenant", "everywhere"),
        help="everybody of one tenant, or a thousandth of each, has another job",
    )
    parser.add_argument("--now", type=datetime.fromisoformat, help="the time of the estate; the same: the same estate")
    parser.add_argument("--rate-limit", action="store_true", help="IT Glue's limit of 3,000 requests in 300 s")
    return parser.parse_args(arguments)


def _announcement(simulator: Simulator) -> dict[str, object]:
    partner = simulator.partner
    return {
        "login_url": simulator.login_url,
        "graph_url": simulator.graph_url,
        "itglue_url": simulator.itglue_url,
        "ca_bundle": str(simulator.ca_bundle),
        "partner_tenant_id": partner.tenant_id,
        "client_id": partner.client_id,
        "client_secret": partner.client_secret,
        "certificate_pem": str(partner.certificate_pem),
        "itglue_api_key": simulator.itglue_api_key,
        "tenant_ids": [tenant.tenant_id for tenant in simulator.estate.tenants],
        "settings_toml": simulator.settings_toml("data"),
    }


def _watch_input(stop: threading.Event) -> None:
    # Read the descriptor itself: a thread that holds sys.stdin's lock would hinder the interpreter's exit
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
