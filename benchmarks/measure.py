"""How benchmarks measure and print: median times, peak memory of a process of its own, Markdown with the machine.

Where a process computes on a GPU its times are until the GPU is done, and its peak memory is the GPU's.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole
from cvlnet.model.device import named_device

Result = TypeVar("Result")


def seconds_each(run: Callable[[], object], *, for_s: float = 3.0, at_least: int = 3) -> float:
    """Median time of a call, after one that is not counted, over about ``for_s`` seconds."""
    run()
    _finish()
    times: list[float] = []
    while sum(times) < for_s or len(times) < at_least:
        start = perf_counter()
        run()
        _finish()
        times.append(perf_counter() - start)
    return median(times)


def relative_s(run: Callable[[], object], baseline: Callable[[], object], *, pairs: int = 5) -> float:
    """How many times as long as the baseline a call takes: median over pairs of calls, the first not counted."""
    ratios = []
    for _ in range(pairs + 1):
        start = perf_counter()
        run()
        between = perf_counter()
        baseline()
        ratios.append((between - start) / (perf_counter() - between))
    return median(ratios[1:])


def _on_gpu() -> bool:
    """Whether this process computes on a GPU."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _finish() -> None:
    """Wait for the GPU, if one is in use."""
    if _on_gpu():
        torch.cuda.synchronize()


def in_own_process(measure: Callable[..., Result], *args: object) -> tuple[Result, float]:
    """The result of a call in a fresh process, and that process' peak memory in MiB."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_with_peak_mib, measure, *args).result()


def kept(path: Path, compute: Callable[[], Result]) -> Result:
    """What ``path`` holds as JSON, or else what is computed, which it then holds."""
    if not path.exists():
        result = compute()
        with written_whole(path) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    found: Result = json.loads(path.read_text(encoding="utf-8"))
    return found


def evenly(count: int, most: int) -> list[int]:
    """``most`` of the numbers below ``count``, evenly spaced; all if there are no more."""
    return [round(number) for number in np.linspace(0, count - 1, min(most, count)).tolist()]


def slug(name: str) -> str:
    """The name as that of a file: its letters and digits, a hyphen for whatever stands between."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def run(main: Callable[[], None]) -> None:
    """A script that reads what the user gave: what cannot be used ends it with one line and status 2."""
    try:
        main()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def device_option(description: str | None) -> torch.device:
    """The device that the command line names, which takes nothing else. Raises InputError if there is none."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1 (%(default)s)")
    return named_device(parser.parse_args().device)


def print_results(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A section of Markdown: the table, and below it the command and the machine."""
    print(f"## {title}\n\n{table(header, rows)}\n")
    print(f"`python {' '.join(sys.argv)}` on {machine()}\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    rule = [f"{'-' * w}" if i == 0 else f"{'-' * (w - 1)}:" for i, w in enumerate(widths)]
    lines = [header, rule, *rows]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    )


def machine() -> str:
    """Processor, cores, and versions."""
    gpu = f"{torch.cuda.get_device_name()}; " if _on_gpu() else ""
    return (
        f"{gpu}{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _with_peak_mib(measure: Callable[..., Result], *args: object) -> tuple[Result, float]:
    result = measure(*args)
    if _on_gpu():
        return result, torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result, peak / (2**20 if sys.platform == "darwin" else 2**10)
