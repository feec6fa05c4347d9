"""Benchmark of the training step and of the networks, through the code that trains.

It uses random images in record files, and the training loop's own input pipeline and compiled loop.
It times what a run does between two checks of the device by the host.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from sagan_tf import config, errors
from sagan_tf.benchmarks import ceilings, kernels, step_cost, step_report, workload
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.runtime import environment, files


def run(
    options: config.BenchmarkStepConfig,
    setting: Setting,
    *,
    data_config: config.DataConfig,
    random_images: bool,
) -> list[dict[str, Any]]:
    """Measures one setting, or compares two, prints the results and writes them to a file.

    Args:
      options: what to measure, and how.
      setting: the model and its training, before what --compare and --against change.
      data_config: the records, and how to read them.
      random_images: take random images instead of the records.
    Returns:
      A row of results for each setting.
    Raises:
      errors.UserError: the settings do not fit, or there is nothing to measure.
    """
    # Check the settings and the place of the results.
    changes = [options.compare, options.against] if options.compare else [""]
    names = [text or options.what for text in changes]
    settings = [setting.changed(text) for text in changes]
    _require_same_data(settings, options)
    if options.json:
        with files.writing(options.json):
            files.require_writable(options.json)

    # Measure. The count makes a model: memory comes first.
    with contextlib.ExitStack() as held:
        if random_images:
            largest = max(settings, key=lambda one: one.batch)
            data_config = held.enter_context(workload.random_records(largest, data_config))
        workloads = [
            workload.Workload(
                one, options.what, data_config=data_config, iterations=options.iterations
            )
            for one in settings
        ]
        seconds = measure(workloads, options.rounds, show=_say)
        rows = [
            _row(name, one, seconds=times, options=options)
            for name, one, times in zip(names, workloads, seconds)
        ]

    # Report.
    for row, one in zip(rows, workloads):
        row |= step_report.summary(
            one.setting,
            row["seconds"],
            cost=step_cost.cost_of_step(one.setting, options.what),
            ceiling=row.pop("ceilings"),
            replicas=one.gan.strategy.num_replicas_in_sync,
        )
        _say(step_report.describe(row["name"], row))
    if len(rows) == 2:
        _say(step_report.comparison(names, rows))
    if options.json:
        _write(options.json, rows)
    return rows


def _say(text: str) -> None:
    print(text, flush=True)


def _require_same_data(settings: Sequence[Setting], options: config.BenchmarkStepConfig) -> None:
    kinds_of_data = {(one.model.image_size, one.model.number_classes) for one in settings}
    if len(kinds_of_data) > 1:
        raise errors.UserError(
            f"--compare={options.compare}: expected the same image_size and "
            "number_classes as the other setting"
        )


def _write(path: str, rows: list[dict[str, Any]]) -> None:
    found = {"environment": environment.environment(), "results": rows}
    with files.writing(path):
        files.write_bytes(path, (json.dumps(found, indent=1) + "\n").encode())


def measure(
    workloads: Sequence[workload.Workload],
    rounds: int,
    *,
    show: Callable[[str], None] = lambda _: None,
) -> list[list[float]]:
    """Seconds an iteration of every workload in every round, in turns: noise hits all alike.

    The newest has made the older ones cold: these run once before.
    """
    for one in workloads[:-1]:
        one.seconds()

    found = [[] for _ in workloads]
    for number in range(rounds):
        for times, one in zip(found, workloads):
            times.append(one.seconds())
        newest = ", ".join(f"{times[-1]:.4g} s" for times in found)
        show(f"round {number + 1} of {rounds}: {newest}")
    return found


def _row(
    name: str,
    measured: workload.Workload,
    *,
    seconds: list[float],
    options: config.BenchmarkStepConfig,
) -> dict[str, Any]:
    """What is found of a workload while nothing else is in memory."""
    # Memory, and what was measured.
    train_config = measured.setting.train
    row = {
        "name": name,
        "what": options.what,
        "seconds": seconds,
        "peak_mb": measured.peak_memory(),
        "first_seconds": measured.first_seconds,
        "optimizations": measured.gan.optimizations,
        "model": vars(measured.setting.model),
        "train": vars(train_config),
    }

    # Kernels. The profiler does not see those of XLA on a CPU.
    on_gpu = measured.device_kind == "GPU"
    if options.profile:
        visible = on_gpu or not train_config.jit_compile
        row["kernels"] = kernels.kernel_classes(measured.seconds, on_gpu) if visible else {}

    # What the machine manages.
    row["ceilings"] = None
    if options.ceilings:
        row["ceilings"] = ceilings.ceilings(train_config, measured.device_kind)
    return row
