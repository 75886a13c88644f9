"""A simulator in its own process, and one side of a comparison in another, with what it cost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The interpreter of the peers' own environment.
PEERS = ROOT / ".venv" / "peers" / "bin" / "python"


@dataclass(frozen=True)
class Simulated:
    """A running simulator: what it announced, and the configuration file that points at it."""

    facts: dict[str, Any]
    config: Path


@contextmanager
def simulated(tenants: int, users: int, latency: float = 0.0, *options: str) -> Iterator[Simulated]:
    """An estate of `tenants` × `users`, served until the block ends."""
    with tempfile.TemporaryDirectory(prefix="o365_etl-bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "o365_etl.simulator", "--tenants", str(tenants), "--users", str(users)]
        command += ["--latency", str(latency), "--folder", str(folder / "simulator"), *options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            config = folder / "o365_etl.toml"
            config.write_text(facts["settings_toml"], encoding="utf-8")
            try:
                yield Simulated(facts, config)
            finally:
                process.stdin.close()
                process.wait(timeout=30)


def facts_file(simulator: Simulated) -> Path:
    """What a side needs that knows nothing of our configuration: addresses, secret, tenants, the fields of a user."""
    from o365_etl.graph.streams import USER_FIELDS

    path = simulator.config.with_name("facts.json")
    path.write_text(json.dumps({**simulator.facts, "user_fields": USER_FIELDS}), encoding="utf-8")
    return path


def side(
    module: str, *arguments: str, environment: dict[str, str] | None = None, python: Path | str = sys.executable
) -> dict[str, Any]:
    """Run `python -m module arguments` in its own process; what its `report` printed."""
    done = subprocess.run(
        [str(python), "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peer(name: str, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """As `side`, of `benchmarks.peers.name` in the environment that `make bench` has made for the peers."""
    return side(f"benchmarks.peers.{name}", *arguments, environment=environment, python=PEERS)


def forget_peak() -> None:
    """From now on `peak_mib` counts anew (Linux; elsewhere the peak is that of the process)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The most memory this process has had resident since `forget_peak`."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(work: Callable[[], dict[str, Any]]) -> None:
    """Do the work and print its cost as one line of JSON: CPU and wall seconds, peak memory of this process."""
    before, started = time.process_time(), time.perf_counter()
    facts = work()
    cost = {
        "cpu_seconds": time.process_time() - before,
        "wall_seconds": time.perf_counter() - started,
        # Not `ru_maxrss`: through fork and exec that starts at what the parent has had.
        "peak_mib": peak_mib(),
    }
    # A side that measured its memory in parts knows the peak better: the parts forget each other's.
    print(json.dumps({**cost, **facts}))


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows of equal keys as a Markdown table."""
    print(f"\n{title}\n\n{markdown(rows)}")


def markdown(rows: list[dict[str, Any]]) -> str:
    """Rows of equal keys as a Markdown table; None is a dash, and a column that holds a number stands to the right."""
    heads = list(rows[0])
    right = [any(isinstance(row[head], int | float) for row in rows) for head in heads]
    lines = ["| " + " | ".join(heads) + " |", "|" + "".join(" ---: |" if each else " --- |" for each in right)]
    lines += ["| " + " | ".join(_shown(row[head]) for head in heads) + " |" for row in rows]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
