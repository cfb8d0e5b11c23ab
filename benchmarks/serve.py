"""The prediction server against its limits and its peers, all on loopback.

    python benchmarks/serve.py [--work DIR] [--rounds N] [--seconds N] [--soak-minutes N]

Peers: the `kserve` SDK's server with the exported SavedModel in TensorFlow, the same with LiteRT and this project's
transform. The limit is the server's own HTTP stack (uvicorn with its limits, routing and counters) answering a constant
of the same size; uvicorn alone answering it stands beside that. Every server is one process on one core, the load is on
another; all get the same bodies, made of the flights' rows with every column that the model reads. The servers take
turns, and each figure is the best of the rounds, for every server: what else happens on a machine only ever slows it
down, by half for minutes where it is virtual (the reason that `timeit` gives for its minimum). Throughput is a closed
loop of 16 connections by `wrk` (without it by our own client, which is slower); p99 is an open loop at one rate for
all, which the slowest can still bear, measured from the moment that a request was due. Our server's cache is off, but
in the soak.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving import bodies, servers, size, soak, stores  # noqa: E402
from benchmarks.serving.servers import Running  # noqa: E402
from components.artifacts import SERVING, SERVING_SPEC, read_json  # noqa: E402
from components.features.transform import Transform  # noqa: E402
from components.store import ModelStore  # noqa: E402

REQUIREMENTS = ROOT / "containers" / "serve" / "requirements.txt"
OURS, TENSORFLOW, LITERT = "Evergreen", "kserve + TensorFlow", "kserve + LiteRT"
CONSTANT, BARE = "our stack, a constant", "bare uvicorn, a constant"
ROWS = 20_000
LATENCY_ROWS = 2000
BATCH = 64
STARTS = 3
SHARE_OF_SLOWEST = 0.6
"""Of its closed-loop rate, for the open loop."""
SHARE_OF_TOP = 0.7
"""Of our closed-loop rate, for the soak."""
ONE, BY_ROW, BY_COLUMN = "1 row", f"{BATCH} rows", f"{BATCH} rows as columns"
MAX_GROWTH_BYTES = 5_000_000


@dataclass(frozen=True)
class Claim:
    """One line of the result."""

    figure: str
    measured: str
    compared: str
    ratio: float
    """Of the better by the worse: of the measured by the limit where it must be at least that, else the inverse."""
    needed: float
    """The smallest ratio that holds."""

    @property
    def holds(self) -> bool:
        """Whether it is as claimed."""
        return self.ratio >= self.needed


@dataclass(frozen=True)
class Loaded:
    """What the servers did, by server."""

    per_s: dict[str, dict[str, float]]
    """Requests per second, by kind of body and server."""
    latency_ms: dict[str, tuple[float, ...]]
    """p50 and p99 at `rate_per_s`."""
    rate_per_s: float
    memory_bytes: dict[str, int]
    start_s: dict[str, float]


class Bench:
    """A place with a served model, its rows, and bodies of them."""

    def __init__(self, work: Path, scratch: Path, rounds: int, seconds: int) -> None:
        self.work, self.scratch, self.rounds, self.seconds = work, scratch, rounds, seconds
        self.version = stores.served_version(work)
        self.rows = bodies.flights_rows(work, Transform.read(self.version / SERVING).source_columns, ROWS)
        self.cpu_us: dict[tuple[str, str], list[float]] = {}
        """By kind of body and server: processor time a request in each round, which others on the machine disturb less
        than the rate."""
        self.plain, self.soaked = scratch / "plain", scratch / "soaked"
        first = stores.add(self.plain, self.version, {"cache_entries": 0})
        ModelStore(self.plain, bodies.MODEL).point("serving", first)
        self.files = {
            ONE: self._write("one", bodies.batched(self.rows, 1, bodies.as_rows)),
            BY_ROW: self._write("rows", bodies.batched(self.rows, BATCH, bodies.as_rows)),
            BY_COLUMN: self._write("columns", bodies.batched(self.rows, BATCH, bodies.as_columns)),
        }

    def _write(self, name: str, made: Sequence[bytes]) -> Path:
        path = self.scratch / f"{name}.jsonl"
        path.write_bytes(b"\n".join(made) + b"\n")
        return path

    @contextlib.contextmanager
    def servers(self) -> Iterator[list[Running]]:
        """All servers, ours first."""
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(servers.ours(OURS, "--work", str(self.plain)))]
            answer = servers.ask(started[0], bodies.as_rows(self.rows[:1])).decode()
            constant = ("constant_server", "--answer", answer)
            started.append(stack.enter_context(servers.peer(CONSTANT, *constant)))
            started.append(stack.enter_context(servers.peer(BARE, *constant, "--bare")))
            for name, engine in ((LITERT, "litert"), (TENSORFLOW, "tensorflow")):
                arguments = ("--engine", engine, "--version", str(self.version))
                started.append(stack.enter_context(servers.peer(name, "kserve_server", *arguments)))
            yield started

    def load(self) -> Loaded:
        """Starts all servers, and loads them in turns."""
        with self.servers() as started:
            self.check_answers(started)
            loads = {ONE: started, BY_ROW: [server for server in started if server.name not in (CONSTANT, BARE)]}
            loads[BY_COLUMN] = started[:1]
            per_s = {kind: self._per_s(kind, loaded) for kind, loaded in loads.items()}
            rate_per_s = SHARE_OF_SLOWEST * min(per_s[ONE].values())
            latency_ms = self._latency_ms(started, rate_per_s)
            memory_bytes = {server.name: server.memory_bytes for server in started}
            return Loaded(per_s, latency_ms, rate_per_s, memory_bytes, {each.name: each.start_s for each in started})

    def check_answers(self, started: Sequence[Running]) -> None:
        """Compares what the servers answer.

        Raises:
            RuntimeError: the servers with LiteRT do not give the same.
        """
        body = bodies.as_rows(self.rows[:BATCH])
        answers = {server.name: json.loads(servers.ask(server, body))["predictions"] for server in started}
        if not np.allclose(answers[OURS], answers[LITERT], rtol=0, atol=1e-6):
            raise RuntimeError(f"{OURS} answers {answers[OURS][:3]}, {LITERT} {answers[LITERT][:3]}: not the same")
        apart = np.abs(np.subtract(answers[OURS], answers[TENSORFLOW])).max()
        print(f"{BATCH} answers differ from the SavedModel's by {apart:.2g} at most (served is {self.recipe()})")

    def recipe(self) -> str:
        """The variant in service."""
        spec: dict[str, str] = read_json(self.version / SERVING / SERVING_SPEC)
        return spec["recipe"]

    def _per_s(self, kind: str, loaded: Sequence[Running]) -> dict[str, float]:
        """Requests per second, by server."""
        for server in loaded:
            servers.requests_per_s(server, self.files[kind], 1)
        rates: dict[str, list[float]] = {server.name: [] for server in loaded}
        for _ in range(self.rounds):
            for server in loaded:
                before_s = server.cpu_s
                rate = servers.requests_per_s(server, self.files[kind], self.seconds)
                rates[server.name].append(rate)
                used_us = (server.cpu_s - before_s) * 1e6
                self.cpu_us.setdefault((kind, server.name), []).append(used_us / (rate * self.seconds))
        return {name: max(each) for name, each in rates.items()}

    def _latency_ms(self, loaded: Sequence[Running], rate_per_s: float) -> dict[str, tuple[float, ...]]:
        """p50 and p99, by server."""
        requests = [bodies.http_request(bodies.as_rows([row])) for row in self.rows[:LATENCY_ROWS]]
        found: dict[str, list[np.ndarray]] = {server.name: [] for server in loaded}
        for _ in range(self.rounds):
            for server in loaded:
                latencies_s = servers.latencies_s(server, requests, rate_per_s, self.seconds)
                found[server.name].append(np.percentile(latencies_s, (50, 99)) * 1e3)
        return {name: tuple(np.min(each, axis=0).tolist()) for name, each in found.items()}

    def start_s(self) -> float:
        """The fastest of STARTS starts of our server, to ready."""
        times_s = []
        for _ in range(STARTS):
            with servers.ours(OURS, "--work", str(self.plain)) as server:
                times_s.append(server.start_s)
        return min(times_s)

    def in_process_us(self) -> dict[str, float]:
        """From the dict of a row to its probability, by engine; each in a process of its own, in turns."""
        path = self.scratch / "rows.json"
        path.write_text(json.dumps(self.rows[:LATENCY_ROWS]), encoding="utf-8")
        times_us: dict[str, list[float]] = {"litert": [], "tensorflow": []}
        for _ in range(self.rounds):
            for engine, found in times_us.items():
                command = [sys.executable, "-m", "benchmarks.serving.in_process", "--engine", engine]
                command += ["--version", str(self.version), "--rows", str(path)]
                done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
                found.append(json.loads(done.stdout.splitlines()[-1])["median_us"])
        return {engine: min(found) for engine, found in times_us.items()}

    def soak(self, rate_per_s: float, minutes: float) -> tuple[soak.Soak, str]:
        """The soak on a store with two versions that answer differently, and what the cache did (from the metrics)."""
        for change in (lambda _folder: None, stores.shift_means):
            newest = stores.add(self.soaked, self.version, {}, change)
        ModelStore(self.soaked, bodies.MODEL).point("serving", newest)
        with servers.ours(OURS, "--work", str(self.soaked)) as server:
            return soak.soak(server, self.soaked, self.rows, rate_per_s, minutes * 60), servers.cache_counts(server)


def load_claims(loaded: Loaded) -> list[Claim]:
    """What the issue asks of a server under load."""
    one, ours = loaded.per_s[ONE], loaded.per_s[ONE][OURS]
    claims = [
        Claim(f"requests/s, {ONE}", f"{ours:,.0f}", f"{name} {one[name]:,.0f}", ours / one[name], needed)
        for name, needed in ((TENSORFLOW, 10), (LITERT, 5), (CONSTANT, 0.4))
    ]
    p99 = {name: latency[1] for name, latency in loaded.latency_ms.items()}
    claims += [
        Claim(f"p99 at {loaded.rate_per_s:,.0f} requests/s", f"{p99[OURS]:.2f} ms", f"{name} {p99[name]:.2f} ms",
              p99[name] / p99[OURS], 1) for name in (TENSORFLOW, LITERT)
    ]  # fmt: skip
    for kind in (BY_ROW, BY_COLUMN):
        instances = BATCH * loaded.per_s[kind][OURS]
        claims.append(at_least(f"instances/s, {kind}", instances, 100_000))
    return [*claims, at_most("resident memory after it, MB", loaded.memory_bytes[OURS] / 1e6, 150)]


def alone_claims(bench: Bench) -> list[Claim]:
    """What the issue asks of our server without load."""
    times_us = bench.in_process_us()
    ours, peer = times_us["litert"], times_us["tensorflow"]
    size_mb = size.installed_bytes(REQUIREMENTS) / 1e6
    return [
        at_most("row dict to probability in process, us", ours, 30),
        Claim("the same", f"{ours:.1f} us", f"TensorFlow signature {peer:,.0f} us", peer / ours, 60),
        at_most("start to ready, s", bench.start_s(), 1.5),
        at_most("installed size of the requirements, MB", size_mb, 200),
    ]


def soak_claims(soaked: soak.Soak, rate_per_s: float) -> list[Claim]:
    """What the issue asks of a soak; counts that must be zero are compared as `1 / (1 + count)`."""
    outcome = soaked.outcome
    figures = f"{outcome.sent:,} requests at {outcome.sent / outcome.seconds:,.0f}/s of {rate_per_s:,.0f}/s"
    return [
        Claim("soak: wrong answers", str(outcome.wrong_count), f"0 of {figures}", 1 / (1 + outcome.wrong_count), 1),
        Claim("soak: lost requests", str(outcome.lost), "0", 1 / (1 + outcome.lost), 1),
        at_least("soak: malformed requests, %", 100 * soaked.malformed_share, 1),
        at_least("soak: version switches", soaked.switches, 1),
        at_least("soak: rate kept, %", 100 * outcome.rate_per_s / rate_per_s, 98),
        Claim("soak: growth of memory, MB", f"{soaked.growth_bytes() / 1e6:.1f}", f"{MAX_GROWTH_BYTES / 1e6:.1f}",
              MAX_GROWTH_BYTES / max(1, soaked.growth_bytes()), 1),
    ]  # fmt: skip


def at_least(figure: str, measured: float, limit: float) -> Claim:
    """A figure that must reach a limit."""
    return Claim(
        figure, f"{measured:,.4g}" if measured < 1e4 else f"{measured:,.0f}", f"{limit:,g}", measured / limit, 1
    )


def at_most(figure: str, measured: float, limit: float) -> Claim:
    """A figure that must stay at or below a limit."""
    return Claim(figure, f"{measured:,.4g}", f"{limit:,g}", limit / measured, 1)


def show_servers(loaded: Loaded, cpu_us: Mapping[tuple[str, str], Sequence[float]]) -> Table:
    """What each server did: requests per second, with the processor time of one in microseconds."""
    kinds = (f"{kind}: requests/s (CPU us)" for kind in loaded.per_s)
    table = Table("server", "start s", "MB", *kinds, "p50 ms", "p99 ms")
    for name, latency in loaded.latency_ms.items():
        start = [f"{loaded.start_s[name]:.2f}", f"{loaded.memory_bytes[name] / 1e6:.0f}"]
        rates = [
            f"{rates[name]:,.0f} ({min(cpu_us[kind, name]):,.0f})" if name in rates else ""
            for kind, rates in loaded.per_s.items()
        ]
        table.add_row(name, *start, *rates, f"{latency[0]:.2f}", f"{latency[1]:.2f}")
    return table


def show_claims(claims: Sequence[Claim]) -> Table:
    """Every figure against its limit or peer."""
    table = Table("figure", "measured", "limit or peer", "ratio", "needed", "holds")
    for claim in claims:
        row = (claim.figure, claim.measured, claim.compared, f"{claim.ratio:.2f}", f"{claim.needed:g}")
        table.add_row(*row, "yes" if claim.holds else "NO")
    return table


def measured(bench: Bench, soak_minutes: float, console: Console) -> list[Claim]:
    """Measures everything; prints what each server did."""
    loaded = bench.load()
    console.print(show_servers(loaded, bench.cpu_us))
    claims = [*load_claims(loaded), *alone_claims(bench)]
    if soak_minutes:
        rate_per_s = SHARE_OF_TOP * loaded.per_s[ONE][OURS]
        soaked, cache = bench.soak(rate_per_s, soak_minutes)
        console.print(f"soak: {soaked.switches} switches; cache: {cache}; first wrong: {soaked.outcome.wrong[:3]}")
        claims += soak_claims(soaked, rate_per_s)
    else:
        console.print("soak: not run; --soak-minutes 10 runs it")
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="a work directory with flights in service (default: make one)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of which each figure is the best")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--soak-minutes", type=float, default=0, help="length of the soak; none by default")
    arguments = parser.parse_args()
    if not servers.has_wrk():
        print("wrk is not installed (apt-get install wrk): the slower client of benchmarks/serving replaces it")
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch) / "work"
        if arguments.work is None:
            command = [sys.executable, "pipeline.py", "run", "models/flights", "--work", str(work)]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        os.sched_setaffinity(0, {servers.LOAD_CORE})
        console = Console(width=140)
        bench = Bench(work.absolute(), Path(scratch), arguments.rounds, arguments.seconds)
        claims = measured(bench, arguments.soak_minutes, console)
    console.print(show_claims(claims))
    holds = all(claim.holds for claim in claims)
    print("every claim holds" if holds else "a claim does not hold")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
