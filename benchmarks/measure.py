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


def side(module: str, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run `python -m module arguments` in its own process; what its `report` printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


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
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps({**facts, **cost}))


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Rows of equal keys as a Markdown table."""
    print(f"\n{title}\n")
    heads = list(rows[0])
    print("| " + " | ".join(heads) + " |")
    print("|" + " --- |" * len(heads))
    for row in rows:
        print("| " + " | ".join(_shown(row[head]) for head in heads) + " |")


def _shown(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
