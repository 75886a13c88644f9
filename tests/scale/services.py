"""What an installation on several machines needs, started on this one: PostgreSQL, Redis, the simulator, workers.

Everything listens on loopback or on a socket in a folder of its own, and ends with its block.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

ROOT = Path(__file__).parents[2]
DATABASES = ("o365_state", "o365_lake", "o365_dagster")
# A server refuses to run as root; Debian's package makes a user for it.
SERVER_USER = "postgres"


@contextlib.contextmanager
def postgres() -> Iterator[Path]:
    """A server with the three databases; gives the folder of its socket. Its user needs no password."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1].parent
    owner = SERVER_USER if os.geteuid() == 0 else None
    who: dict[str, Any] = {"user": owner, "group": owner, "extra_groups": []} if owner else {}
    # Not below pytest's own folder: no other user may enter that one, and the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="o365-pg-") as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner, owner)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        initdb = [programs / "initdb", "-D", folder / "data", "-U", SERVER_USER, "-A", "trust", "-E", "UTF8"]
        subprocess.run(
            [*initdb, "--no-sync"], check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL, **who
        )
        options = {"listen_addresses": "", "unix_socket_directories": name, "fsync": "off", "max_connections": "200"}
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            command = [programs / "postgres", "-D", folder / "data", *flags]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, **who)
        try:
            with _first(lambda: psycopg.connect(host=name, user=SERVER_USER, autocommit=True), psycopg.Error) as server:
                for database in DATABASES:
                    server.execute(f"CREATE DATABASE {database}")
            yield folder
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs the data any more
            process.wait(timeout=60)


class Broker:
    """A Redis that keeps what it is told on disk, and can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with what it knew."""
        options = ["--bind", "127.0.0.1", "--dir", str(self._folder), "--appendonly", "yes", "--save", ""]
        command = ["redis-server", "--port", str(self._port), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            _first(client.ping, redis.RedisError)

    def stop(self) -> None:
        """End it as a restart of its machine would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """A running broker."""
    folder.mkdir()
    made = Broker(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def simulator(tenants: int, users: int, folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """A simulated estate in a process of its own; gives what it announced."""
    command = [sys.executable, "-m", "o365_etl.simulator", "--tenants", str(tenants), "--users", str(users)]
    command += ["--folder", str(folder), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=30)


@dataclass
class Installation:
    """A configuration file, the environment its secrets are in, and the processes that work for it."""

    config: Path
    environment: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.config.parent / "data"

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Start a command of the program in a process group of its own; what it says goes to a file beside the
        configuration.
        """
        with (self.config.parent / log).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "o365_etl", *command, "--config", str(self.config)],
                env={**os.environ, **self.environment},
                cwd=self.config.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def add_worker(self) -> None:
        """One worker more."""
        self.workers.append(self.start("worker", log=f"worker-{len(self.workers) + 1}.log"))

    def said(self, log: str) -> str:
        """What a command wrote."""
        return (self.config.parent / log).read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def installation(folder: Path, settings: str, environment: dict[str, str], workers: int) -> Iterator[Installation]:
    """An installation and so many workers."""
    folder.mkdir()
    made = Installation(folder / "o365_etl.toml", environment)
    made.config.write_text(settings, encoding="utf-8")
    home = made.data_dir / "dagster"
    home.mkdir(parents=True)
    if workers:
        shutil.copyfile(ROOT / "docs" / "scale" / "dagster.yaml", home / "dagster.yaml")
    try:
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        for worker in made.workers:
            kill(worker)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, at once, as a machine that loses power."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def wait_until(condition: Any, seconds: float, what: str) -> None:
    """Wait for something; an error that names it if it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.2)


def _first(attempt: Any, error: type[Exception]) -> Any:
    for _ in range(150):
        try:
            return attempt()
        except error:
            time.sleep(0.2)
    return attempt()
