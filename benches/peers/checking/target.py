"""A server as its TOML file describes it: reading the file, putting values in, starting and stopping."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PEERS = ROOT / "target/peers"
VERSION_TIMEOUT_S = 20
PORTS = ["port", "publish_port", "other_port_1", "other_port_2", "other_port_3", "other_port_4"]


class Failure(Exception):
    """The server could not be had, started or reached: one sentence."""


class Target:
    """One server. `with target.started(threads) as values` runs it and knows the placeholders' values."""

    def __init__(self, name, pushring):
        self.name = name
        path = ROOT / "benches/peers" / f"{name}.toml"
        try:
            self.description = tomllib.loads(path.read_text())
        except FileNotFoundError:
            raise Failure(f"there is no {path.relative_to(ROOT)}") from None
        except tomllib.TOMLDecodeError as error:
            raise Failure(f"{path.relative_to(ROOT)}: {error}") from None
        self.paths = {"root": str(ROOT), "peers": str(PEERS), "pushring": pushring}

    def __getitem__(self, key):
        return self.description[key]

    def get(self, key, default=None):
        return self.description.get(key, default)

    def version(self):
        """What the server says of itself; raises Failure where it is not installed."""
        command = fill(self["version"]["command"], self.paths)
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(f"not installed ({error})") from None
        if done.returncode:
            raise Failure(f"not installed ({' '.join(command)} ended with {done.returncode})")
        output = done.stdout + done.stderr
        pattern = self["version"].get("pattern")
        if pattern is None:
            return next((line.strip() for line in output.splitlines() if line.strip()), "?")
        _, found, rest = output.partition(pattern)
        if not found or not rest.split():
            raise Failure(f"no word behind {pattern!r} in what {' '.join(command)} said")
        return rest.split()[0]

    def started(self, threads, message_bytes_max, deflate):
        return Started(self, threads, message_bytes_max, deflate)


class Started:
    def __init__(self, target, threads, message_bytes_max, deflate):
        self.target = target
        cores = sorted(os.sched_getaffinity(0))[:threads]
        self.cores = cores
        self.directory = Path(tempfile.mkdtemp(prefix=f"pushring-peer-{target.name}-"))
        ports = free_ports(len(PORTS))
        self.values = target.paths | dict(zip(PORTS, map(str, ports))) | {
            "cores": ",".join(map(str, cores)),
            "threads": str(len(cores)),
            "dir": str(self.directory),
            "connections": "200",
            "deflate": "true" if deflate else "false",
            "message_bytes_max": str(message_bytes_max),
        }
        self.log = self.directory / "output"
        self.process = None
        # What it said, once it has ended.
        self.output = ""

    def __enter__(self):
        try:
            self._write_files()
            self._start()
            self._wait()
        except BaseException:
            self._stop()
            self._clean_up()
            raise
        return self.values

    def __exit__(self, *_):
        self.output = self.log.read_text(errors="replace")
        self._stop()
        self._clean_up()

    def _write_files(self):
        for name, content in self.target.get("files", {}).items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(content, self.values))

    def _start(self):
        start = self.target["start"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                fill(start["command"], self.values),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=fill(start.get("directory", "{dir}"), self.values),
                env=os.environ | fill(start.get("environment", {}), self.values),
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, self.cores),
            )

    def _wait(self):
        ready = self.target.get("ready", {})
        until = time.monotonic() + ready.get("timeout_ms", 15000) / 1000
        while not self._is_ready(ready):
            if self.process.poll() is not None:
                raise Failure(f"ended with {self.process.returncode} before it was ready: {self._last_output()}")
            if time.monotonic() > until:
                raise Failure(f"was not ready in time: {self._last_output()}")
            time.sleep(0.05)

    def _is_ready(self, ready):
        try:
            if "http" in ready:
                with urllib.request.urlopen(fill(ready["http"], self.values), timeout=1) as answer:
                    return answer.status == 200
            port = fill(ready.get("tcp", "{port}"), self.values)
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
            return True
        except (OSError, urllib.error.URLError):
            return False

    def _last_output(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-4:]) or "it said nothing"

    def _stop(self):
        if self.process is None:
            return
        start = self.target["start"]
        self._signal(getattr(signal, "SIG" + start.get("stop_signal", "TERM")))
        try:
            self.process.wait(start.get("stop_ms", 3000) / 1000)
        except subprocess.TimeoutExpired:
            pass
        # Also what the process has left behind in its group.
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def _clean_up(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def fill(value, values):
    """The same value with each known `{placeholder}` replaced; every other brace stays."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [fill(part, values) for part in value]
    if isinstance(value, dict):
        return {key: fill(part, values) for key, part in value.items()}
    return value


def free_ports(count):
    """Ports of 127.0.0.1 below the ephemeral ones that nobody listens on."""
    ports = []
    while len(ports) < count:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                # Without SO_REUSEADDR or SO_REUSEPORT, so that a server with either is noticed.
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
