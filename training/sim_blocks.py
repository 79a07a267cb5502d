"""A simulated programme of any size: simulated and written so many members at a time, in two processes or more.

Blocks draw from seeds of their own and share the incentives' effects. Value tiers are cut within each block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.programme import Programme
from training.demo_data import write_table
from training.sim_offers import Experiment
from training.simulator import drawn_effects, simulate_block, truth_of

BLOCK_MEMBERS: Final = 10_000
MOST_PROCESSES: Final = 2
"""Of a block with long histories each takes up to 2.5 GB."""


def simulate_to(
    out: Path,
    members: int,
    weeks: int,
    seed: int,
    *,
    programme: Programme,
    experiment: Experiment,
    season: float,
    trend_per_year: float,
    gap_days: float,
    passed: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Simulate a programme's history and write it; parameters as of :func:`training.simulator.simulate`.

    Parameters
    ----------
    out
        Folder of the tables, as Parquet; what is true goes into its subfolder ``truth``.
    passed
        Told each time how many more members are done.

    Returns
    -------
    dict
        Rows of each raw table.
    """
    effects = drawn_effects(seed, programme, experiment)
    (out / "truth").mkdir(parents=True, exist_ok=True)
    offers, rows = [], dict[str, int]()
    with TemporaryDirectory(dir=out, prefix=".blocks") as folder, ExitStack() as stack:
        block = partial(
            _simulated, folder=Path(folder), seed=seed, weeks=weeks, programme=programme, effects=effects,
            experiment=experiment, season=season, trend_per_year=trend_per_year, gap_days=gap_days,
        )  # fmt: skip
        writers: dict[str, pq.ParquetWriter] = {}
        for numbers, of_block, files in _in_order(block, members):
            offers.append(of_block)
            for name, file in files.items():
                with pa.memory_map(str(file)) as source:
                    table = pa.ipc.open_file(source).read_all()
                    if name not in writers:
                        writers[name] = stack.enter_context(pq.ParquetWriter(out / f"{name}.parquet", table.schema))
                    writers[name].write_table(table.cast(writers[name].schema))
                    rows[name] = rows.get(name, 0) + len(table)
                file.unlink()
            passed(len(numbers))
    for name, told in truth_of(pd.concat(offers, ignore_index=True), effects, programme).items():
        write_table(told, out / "truth" / f"{name}.parquet")
    return {name: count for name, count in rows.items() if "/" not in name}


Block = tuple[range, pd.DataFrame, Mapping[str, Path]]


def _in_order(block: Callable[[range], Block], members: int) -> Iterator[Block]:
    """Simulate block by block; no more are begun than there are processes and one to be written."""
    blocks = [range(first, min(first + BLOCK_MEMBERS, members)) for first in range(0, members, BLOCK_MEMBERS)]
    processes = min(len(blocks), os.cpu_count() or 1, MOST_PROCESSES)
    if processes == 1:
        yield from map(block, blocks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        begun = [pool.submit(block, numbers) for numbers in blocks[: processes + 1]]
        for number in range(len(blocks)):
            yield begun[number].result()
            if len(begun) < len(blocks):
                begun.append(pool.submit(block, blocks[len(begun)]))


def _simulated(numbers: range, *, folder: Path, seed: int, **settings: Any) -> Block:
    rng = np.random.default_rng([seed, numbers.start] if numbers.start else seed)
    tables, latents, offers = simulate_block(rng, numbers, **settings)
    files = {}
    for name, table in {**tables, "truth/members": latents}.items():
        files[name] = folder / f"{name.replace('/', '-')}-{numbers.start}.arrow"
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        with pa.ipc.new_file(files[name], arrow.schema) as sink:
            sink.write_table(arrow)
    return numbers, offers, files
