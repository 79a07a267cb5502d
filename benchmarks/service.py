"""The service beside a bare BentoML echo of the same payload, in one run; writes results/service.json.

REQUESTS scales every measurement, SOAK_SECONDS is how long 64 callers ask at the end; SMALL=1 tries everything out in
minutes, and records nothing.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pyarrow.parquet as pq
from load import HOST, Server, Timings, arrivals, closed_loop, free_port, post, serving
from rich.console import Console

from features.programme import load_programme
from serving.console import rows_table
from serving.contracts import ScoreRequest
from serving.histories import from_histories
from serving.known import decide_known
from serving.resolve import resolve_bundle, resolve_policy_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "service.json"
SMALL = bool(os.environ.get("SMALL"))
MEMBERS = 1_200 if SMALL else 3_000
REQUESTS = int(os.environ.get("REQUESTS", "200" if SMALL else "4000"))
MEMORY_REQUESTS = int(os.environ.get("MEMORY_REQUESTS", "2000" if SMALL else "100000"))
BESIDE_SECONDS = 2 if SMALL else 10
SOAK_SECONDS = int(os.environ.get("SOAK_SECONDS", "5" if SMALL else "600"))
WEEKS, ROUNDS, CALLERS, SOAKERS, IN_ONE_CALL = 100, 5, 8, 64, 1_000
WINBACK = str(Path(sys.executable).with_name("winback"))


@dataclass(frozen=True)
class Record:
    """One measurement beside its goal."""

    name: str
    value: float
    goal: str = ""
    holds: bool | None = None


def at_most(name: str, value: float, most: float) -> Record:
    return Record(name, round(value, 3), f"at most {most}", value <= most)


def at_least(name: str, value: float, least: float) -> Record:
    return Record(name, round(value, 3), f"at least {least}", value >= least)


@dataclass(frozen=True)
class Shop:
    """A programme that is served: where it is, a key, requests for its members, and what the first is answered."""

    folder: Path
    key: str
    member_ids: list[str]
    history: dict[str, Any]

    def stored(self) -> list[bytes]:
        return [self.ask({"member_ids": [member]}) for member in self.member_ids]

    def ask(self, body: dict[str, Any], path: str = "/v1/score") -> bytes:
        return post(path, json.dumps(body).encode(), self.key)


def make_shop(folder: Path) -> Shop:
    """Simulate a programme, train, and publish a week's decisions."""
    text = (ROOT / "programme.toml").read_text(encoding="utf-8")
    allowed = "[service]\nrequests_per_minute = 1_000_000_000\n"
    (folder / "programme.toml").write_text(f"{text}\n{allowed}", encoding="utf-8")
    tables = ["--members", str(MEMBERS), "--weeks", str(WEEKS), "--out", "demo/simulated"]
    for command in (["simulate", *tables], ["train"], ["effects"], ["score"]):
        subprocess.run([WINBACK, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    make_key = [WINBACK, "keys", "add", "--name", "bench", "--scope", "score", "--scope", "write", "--json", "key.json"]
    subprocess.run(make_key, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    decisions = pq.read_table(folder / "out" / "decisions", columns=["member_id"])
    key: str = json.loads((folder / "key.json").read_text())["key"]
    return Shop(folder, key, decisions["member_id"].to_pylist(), history_of_100_orders(folder))


def history_of_100_orders(folder: Path) -> dict[str, Any]:
    """The rows of a member who ordered often, as the caller would send them, cut or repeated to 100 orders."""
    programme = load_programme(folder / "programme.toml")
    last = programme.instant("2025-01-01")
    orders = [
        {
            "order_id": f"bench-{number}",
            "ordered_at": (last - timedelta(days=4 * number, hours=number % 9)).isoformat() + "+00:00",
            "net_amount": 40.0 + number % 37,
            "discount_amount": float(number % 3),
        }
        for number in range(100)
    ]
    lines = [
        {"order_id": order["order_id"], "product_id": f"p{number % 17}", "category": f"c{number % 5}", "quantity": 1.0,
         "net_amount": order["net_amount"]}
        for number, order in enumerate(orders)
    ]  # fmt: skip
    visits = [{"occurred_at": order["ordered_at"], "event": "visit", "event_id": order["order_id"]} for order in orders]
    return {"member_id": "bench", "orders": orders, "order_lines": lines, "events": visits,
            "contacts": [{"channel": "sms", "consent": True}]}  # fmt: skip


def measure(shop: Shop, ours: Server, echo: Server, answer: bytes) -> Iterator[Record]:
    """Compare the service with the echo, and its forms with each other."""
    stored, echoed = shop.stored(), [post("/echo", b'{"answer": ' + answer + b"}")]
    first = closed_loop(ours, stored, callers=CALLERS, count=len(stored))
    pairs = [
        (
            closed_loop(ours, stored, callers=CALLERS, count=REQUESTS),
            closed_loop(echo, echoed, callers=CALLERS, count=REQUESTS),
        )
        for _ in range(ROUNDS)
    ]
    cached, bare = best(pair[0] for pair in pairs), best(pair[1] for pair in pairs)
    yield at_least("throughput beside the echo, cached", cached.per_second / bare.per_second, 0.6)
    yield at_least("throughput beside the echo, uncached", first.per_second / bare.per_second, 0.25)
    yield at_most("p50 beside the echo, cached", cached.quantile(0.5) / bare.quantile(0.5), 2)
    yield at_most("p50 beside the echo, uncached", first.quantile(0.5) / bare.quantile(0.5), 4)
    half = [arrivals(ours, stored, per_second=cached.per_second / 2, count=REQUESTS) for _ in range(ROUNDS)]
    yield at_most("p99 over p50 at half capacity", typical_tail(half), 5)
    half_bare = [arrivals(echo, echoed, per_second=bare.per_second / 2, count=REQUESTS) for _ in range(ROUNDS)]
    yield Record("p99 over p50 of the echo at half its capacity", round(typical_tail(half_bare), 3))
    yield from histories(shop, ours, bare.per_second / 2)
    single = closed_loop(ours, stored, callers=1, count=500)
    many = [shop.ask({"member_ids": shop.member_ids[:IN_ONE_CALL]})]
    together = closed_loop(ours, many, callers=1, count=5)
    per_member = together.quantile(0.5) / IN_ONE_CALL / single.quantile(0.5)
    yield at_most("one of 1,000 members in a call beside a single call", per_member, 0.35)
    yield from memory(ours, stored)
    changed = recomputed(shop, ours)
    yield Record(
        "milliseconds for a member since whose decision an event came in", round(1000 * changed.quantile(0.5), 3)
    )
    yield at_most("failed requests", sum(load.failed for load in (first, *half, single, together, changed)), 0)


def histories(shop: Shop, ours: Server, per_second: float) -> Iterator[Record]:
    """Raw histories one after the other, while stored decisions are asked for at a rate, beside that rate alone."""
    history, stored = [shop.ask({"histories": [shop.history]})], shop.stored()
    closed_loop(ours, history, callers=1, count=5)
    quiet = closed_loop(ours, history, callers=1, count=50)
    yield at_most("milliseconds for a history of 100 orders", 1000 * quiet.quantile(0.5), 30)
    count, as_long = int(per_second * BESIDE_SECONDS), int(1.2 * BESIDE_SECONDS / quiet.quantile(0.5))
    alone = arrivals(ours, stored, per_second=per_second, count=count)
    with ProcessPoolExecutor(1, get_context("spawn")) as other:  # in this one it would be taken in late
        other.submit(closed_loop, ours, history, callers=1, count=1).result()
        background = other.submit(closed_loop, ours, history, callers=1, count=as_long)
        beside = arrivals(ours, stored, per_second=per_second, count=count)
        told = background.result()
    yield Record("milliseconds for a history beside stored decisions", round(1000 * told.quantile(0.5), 3))
    p99 = beside.quantile(0.99)
    yield at_most("p99 of stored decisions beside histories, over p50 alone", p99 / alone.quantile(0.5), 5)
    yield at_most("p99 of stored decisions beside histories, over p99 alone", p99 / alone.quantile(0.99), 2)


def recomputed(shop: Shop, ours: Server) -> Timings:
    """Ask about a member again after an event of theirs came in."""
    member_id = shop.member_ids[-1]
    event = {"event_id": "bench", "member_id": member_id, "occurred_at": "2025-01-01T00:00:00Z", "event": "visit"}
    closed_loop(ours, [shop.ask({"events": [event]}, "/v1/events")], callers=1, count=1)
    return closed_loop(ours, [shop.ask({"member_ids": [member_id]})], callers=1, count=50)


def memory(ours: Server, stored: list[bytes]) -> Iterator[Record]:
    """How much resident memory grows, once warm."""
    closed_loop(ours, stored, callers=CALLERS, count=MEMORY_REQUESTS // 10)
    before = ours.memory()
    closed_loop(ours, stored, callers=CALLERS, count=MEMORY_REQUESTS)
    yield at_most(f"memory after {MEMORY_REQUESTS:,} requests, over before", ours.memory() / before, 1.05)


def soak(shop: Shop, ours: Server, per_second: float) -> Record:
    """Let 64 callers ask for a long time, at half of what the service can answer."""
    stored = shop.stored()
    load = arrivals(ours, stored, per_second=per_second, count=int(per_second * SOAK_SECONDS), callers=SOAKERS)
    return at_most(f"failed requests of {SOAKERS} callers in {SOAK_SECONDS} seconds", load.failed, 0)


def best(loads: Iterator[Timings]) -> Timings:
    """The fastest round: what others do on the machine can only slow one down."""
    return max(loads, key=lambda load: load.per_second)


def typical_tail(loads: Sequence[Timings]) -> float:
    """The slowest hundredth over the median, of the middle round: a stall of the machine is in one of them only."""
    return float(np.median([load.quantile(0.99) / load.quantile(0.5) for load in loads]))


def where_time_goes(shop: Shop, calls: int = 20) -> list[dict[str, Any]]:
    """Profile decisions about one history, by our functions; profiling makes everything slower alike."""
    programme = load_programme(shop.folder / "programme.toml")
    bundle, policy = resolve_bundle(programme), resolve_policy_table(programme)
    body, as_of = json.dumps({"histories": [shop.history]}), programme.instant("2026-06-01")

    def call() -> None:
        asked = ScoreRequest.model_validate_json(body)
        decide_known(from_histories(asked.histories or (), as_of, programme), bundle, policy, programme, None)

    call()
    profile = cProfile.Profile()
    with profile:
        for _ in range(calls):
            call()
    spent = [
        (cumulative, f"{Path(file).stem}.{function}")
        for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
        if Path(file).parent.parent == ROOT and function.isidentifier()
    ]
    whole = max(spent)[0]
    return [{"function": name, "share": f"{seconds / whole:.0%}"} for seconds, name in sorted(spent, reverse=True)[:25]]


def main() -> None:
    """Measure, print and record."""
    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shop = make_shop(folder)
        shutil.copy(ROOT / "benchmarks" / "echo.py", folder)
        port, other = free_port(), free_port()
        bare = [sys.executable, "-m", "bentoml", "serve", "echo:Echo", "--host", HOST, "--port", str(other)]
        with (
            serving([WINBACK, "serve", "--port", str(port)], port, folder) as ours,
            serving(bare, other, folder) as echo,
        ):
            answer = answered(ours, shop)
            records = list(measure(shop, ours, echo, answer))
            capacity = closed_loop(ours, shop.stored(), callers=CALLERS, count=REQUESTS).per_second
            records.append(soak(shop, ours, capacity / 2))
        console.print(rows_table("where the time of a history goes", where_time_goes(shop)))
    rows = [asdict(record) for record in records]
    console.print(rows_table("the service", rows))
    if not SMALL:
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def answered(ours: Server, shop: Shop) -> bytes:
    """Return the answer about one stored member: the payload that the echo is to send back."""
    body = json.dumps({"member_ids": shop.member_ids[:1]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {shop.key}"}
    with urlopen(Request(f"http://{HOST}:{ours.port}/v1/score", body, headers)) as response:
        content: bytes = response.read()
        return content


if __name__ == "__main__":
    main()
