"""Runs groups of the Autobahn suite against the real server's /echo and counts the verdicts.

The suite itself exits 0 whatever it finds, so the verdicts are read from its index.json: a case has one for what it
exchanged and one for how it was closed. The last line printed is `autobahn: N passed, M failed`.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# Cases of each group in version 25.10.1; a case that is missing from the report has failed.
CASES = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}
# The subgroups of the last two (permessage-deflate) have the same cases each, 1,000 messages of a length and a size of
# fragments; without --all only these are run: 16 bytes, 1 KiB, 32 KiB whole, and 8 KiB in fragments of 256 bytes.
SUBGROUPS = {12: 5, 13: 7}
SLICE = [1, 4, 8, 11]
# Verdicts that are no failure. Everything else is one, whatever the suite calls it (UNCLEAN, WRONG CODE, UNIMPLEMENTED, …).
ACCEPTED = ["OK", "NON-STRICT", "INFORMATIONAL"]
# Never reached: groups 12 and 13 take a quarter of an hour, their slices and all the others two minutes.
SUITE_SECONDS_MAX = 3000
READY_SECONDS_MAX = 10
STOP_SECONDS_MAX = 10


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cases, counts = chosen(arguments.all)
    shutil.rmtree(arguments.outdir, ignore_errors=True)
    arguments.outdir.mkdir(parents=True)
    with server(arguments) as public:
        run_suite(arguments, public, cases)
    passed, failed = report(arguments.outdir / "index.json", counts)
    print(f"autobahn: {passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=pathlib.Path, required=True, help="the server's binary")
    parser.add_argument("--wstest", type=pathlib.Path, required=True, help="the suite's program")
    parser.add_argument("--outdir", type=pathlib.Path, required=True, help="where the suite's reports go; emptied first")
    parser.add_argument("--all", action="store_true", help="all of groups 12 and 13 (permessage-deflate): 15 minutes")
    return parser.parse_args()


def chosen(everything):
    """The cases to run, as the suite takes them, and how many there are of each group."""
    if everything:
        return ["*"], CASES
    cases = [f"{group}.*" for group in CASES if group not in SUBGROUPS]
    for group, subgroups in SUBGROUPS.items():
        cases += [f"{group}.{subgroup}.{case}" for subgroup in range(1, subgroups + 1) for case in SLICE]
    return cases, CASES | {group: subgroups * len(SLICE) for group, subgroups in SUBGROUPS.items()}


@contextlib.contextmanager
def server(arguments):
    """The server, ready; ended by its process id whatever happens."""
    public, internal = free_addresses()
    config = pathlib.Path(__file__).with_name("pushring.toml")
    log_path = arguments.outdir / "server.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [arguments.server, "serve", "--config", config, "--listen", public, "--internal", internal, "--echo"],
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("PUSHRING_")},
        )
    try:
        wait_until_ready(process, internal, log_path)
        yield public
        if process.poll() is not None:
            sys.exit(f"the server ended during the suite (status {process.returncode}):\n{log_path.read_text()}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_addresses():
    """Two addresses on a loopback address of this process's own, so that no other run can take the ports meanwhile."""
    pid = os.getpid()
    host = f"127.{64 + (pid >> 16)}.{pid >> 8 & 255}.{pid & 255}"
    with socket.socket() as public, socket.socket() as internal:
        for listener in (public, internal):
            listener.bind((host, 0))
        return tuple("%s:%d" % listener.getsockname() for listener in (public, internal))


def wait_until_ready(process, internal, log_path):
    deadline = time.monotonic() + READY_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{internal}/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.02)
    how = f"did not become ready in {READY_SECONDS_MAX} s" if process.poll() is None else f"ended with {process.returncode}"
    sys.exit(f"the server {how}:\n{log_path.read_text()}")


def run_suite(arguments, public, cases):
    spec = {
        "outdir": str(arguments.outdir),
        "servers": [{"agent": "pushring", "url": f"ws://{public}/echo", "options": {"version": 18}}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    spec_path = arguments.outdir / "spec.json"
    spec_path.write_text(json.dumps(spec, indent=1))
    with open(arguments.outdir / "wstest.log", "wb") as log:
        # Killed by its id when this program is ended or the time is up.
        suite = subprocess.Popen(
            [arguments.wstest, "-m", "fuzzingclient", "-s", spec_path], cwd=arguments.outdir, stdout=log, stderr=log
        )
        try:
            suite.wait(SUITE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            print(f"autobahn: not done after {SUITE_SECONDS_MAX} s", file=sys.stderr)
        finally:
            suite.kill()
            suite.wait()


def report(index_path, expected):
    """Prints the counts and every failed case; answers how many passed and failed."""
    try:
        cases = json.loads(index_path.read_text()).get("pushring", {})
    except FileNotFoundError:
        print(f"autobahn: the suite left no report: see {index_path.with_name('wstest.log')}", file=sys.stderr)
        cases = {}
    counts = {group: collections.Counter() for group in expected}
    failures = []
    for name, case in sorted(cases.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        verdict = verdict_of(case)
        counts.setdefault(int(name.split(".")[0]), collections.Counter())[verdict] += 1
        if verdict == "FAILED":
            failures.append(f"{name}: behavior {case['behavior']}, close {case['behaviorClose']}: {case['reportfile']}")

    columns = [*ACCEPTED, "FAILED", "MISSING"]
    print(f"{'Autobahn':>10} {'cases':>6} " + " ".join(f"{column:>13}" for column in columns))
    total = collections.Counter()
    for group, count in sorted(counts.items()):
        cases_seen = sum(count.values())
        # A group that was not asked for, or has more cases than known, is as wrong as one that has fewer.
        count["MISSING"] = abs(expected.get(group, 0) - cases_seen)
        print_row(f"group {group}", cases_seen, count, columns)
        total += count
    print_row("all", sum(total.values()) - total["MISSING"], total, columns)
    for failure in failures:
        print(f"FAILED {failure}")
    return sum(total[verdict] for verdict in ACCEPTED), total["FAILED"] + total["MISSING"]


def verdict_of(case):
    """The suite's verdict, or FAILED when it, or the one on the close, is none of the accepted."""
    if case["behavior"] in ACCEPTED and case["behaviorClose"] in ACCEPTED:
        return case["behavior"]
    return "FAILED"


def print_row(name, cases, count, columns):
    print(f"{name:>10} {cases:>6} " + " ".join(f"{count[column]:>13}" for column in columns))


main()
