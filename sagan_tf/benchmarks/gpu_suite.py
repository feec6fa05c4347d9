"""Suite of benchmarks for a GPU, each in a process of its own."""

import datetime
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from sagan_tf import config, errors
from sagan_tf.benchmarks import kernels
from sagan_tf.runtime import environment, files

_COMMAND = "sagan_tf.tools.benchmark"
_PRECISIONS = {
    "bfloat16": ["--mixed_precision=bfloat16"],
    "tf32": ["--tensor_float_32"],
    "float32": [],
}
_FAST = [*_PRECISIONS["bfloat16"], "--jit_compile"]
_NOT_HALVED = "--optimizations=auto,-up_conv,-down_conv"
_NOT_BY_HAND = "--optimizations=auto,-batch_norm,-spectral_norm"
_LARGEST = "train, bfloat16, XLA, largest batch"
_LEAST_TOWERS = 4
_HEADER = (
    "| setting | batch | iterations/s (slowest to quickest) | images/s | of the conv ceiling "
    "| peak MB |\n|---|---|---|---|---|---|"
)


def run(options: config.GpuSuiteConfig) -> None:
    """Measures all that is not measured yet, prints the table and writes the file.

    Raises:
      errors.UserError: there is no GPU, the file cannot be used, or nothing could be measured.
    """
    # Check what is asked for.
    machine = environment.environment()
    if "GPUs" not in machine and not options.flags:
        raise errors.UserError(
            "--flags=: this machine has no GPU; expected flags for a trial on a "
            'CPU, as in --flags="--image_size=32 --gf_dim=8 --df_dim=8"'
        )
    wanted = _wanted(options)
    with files.writing(options.out):
        files.require_writable(options.out)

    # Begin the results with those of --resume.
    done = _finished(options) if options.resume else {}
    results = {
        "date": datetime.date.today().isoformat(),
        "environment": machine,
        "flags": options.flags,
        "rounds": options.rounds,
        "measurements": done,
    }
    for name, value in machine.items():
        print(f"{name}: {value}")

    # Measure the rest. Write what there is after each: the next may fail.
    print(_HEADER)
    for name, flags in wanted.items():
        if name not in done:
            done[name] = largest_batch(options) if name == _LARGEST else measure(flags, options)
            _write(options.out, results)
        print(row(name, done[name]), flush=True)

    # Say where the time goes.
    for name in wanted:
        _print_kernels(name, done[name])
    if not any("results" in done[name] for name in wanted):
        raise errors.UserError(
            f"--only={options.only} --flags={options.flags}: nothing could be "
            "measured; the table says why"
        )


def measurements() -> dict[str, list[str]]:
    """Name -> flags of each, the batches of the search left out."""
    found = {}

    # Training in each precision, with and without XLA and the rewritten convolutions.
    for precision, flags in _PRECISIONS.items():
        for suffix, compiled in ((", XLA", ["--jit_compile"]), ("", [])):
            name = f"train, {precision}{suffix}"
            found[name] = [*flags, *compiled, "--profile"]
            found[f"{name}, neither up_conv nor down_conv"] = [*flags, *compiled, _NOT_HALVED]

    # Single optimizations. XLA fuses what the hand-written gradients take apart.
    found["train, bfloat16, XLA, gradients not by hand"] = [*_FAST, _NOT_BY_HAND]
    without = ("shortcut", "joint_batch", "adam", "relu", "one_pass", "attention", "kernel_sums")
    for names in ("none", *(f"auto,-{name}" for name in without)):
        found[f"train, bfloat16, XLA, {names}"] = [*_FAST, f"--optimizations={names}"]

    # Generation.
    for precision, flags in _PRECISIONS.items():
        found[f"generate, {precision}"] = ["--what=generate", *flags]
    return found


def _wanted(options: config.GpuSuiteConfig) -> dict[str, list[str]]:
    """The measurements whose names have --only in them."""
    all_of_them = {**measurements(), _LARGEST: []}
    wanted = {name: flags for name, flags in all_of_them.items() if options.only in name}
    if not wanted:
        raise errors.UserError(
            f"--only={options.only}: expected a part of one of these: " + "; ".join(measurements())
        )
    return wanted


def measure(flags: list[str], options: config.GpuSuiteConfig) -> dict[str, Any]:
    """Runs the benchmark; what it found, or {"error": its last line}."""
    with tempfile.TemporaryDirectory() as directory:
        # Run it.
        path = os.path.join(directory, "result.json")
        command = [
            sys.executable,
            "-m",
            _COMMAND,
            f"--rounds={options.rounds}",
            "--iterations=10",
            "--num_devices=1",
            *options.flags.split(),
            *flags,
            f"--json={path}",
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=options.limit
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done after --limit={options.limit} seconds"}

        # Read what it found.
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"error": lines[-1]}
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def largest_batch(options: config.GpuSuiteConfig) -> dict[str, Any]:
    """The last of 4, 8, 16, ... towers that can be trained in bfloat16, and why the next cannot."""
    largest = {}
    towers = _LEAST_TOWERS
    while towers <= options.most_towers:
        tried = measure([*_FAST, "--noceilings", f"--num_towers={towers}"], options)

        # The first that fails ends the search.
        if "error" in tried:
            why = f"{towers} towers: {tried['error']}"
            return {**largest, "next": why} if largest else {"error": why}

        # Double the batch.
        largest = tried
        towers *= 2
    return largest or {"error": f"--most_towers={options.most_towers} is below {_LEAST_TOWERS}"}


def row(name: str, found: dict[str, Any]) -> str:
    """A line of the table."""
    if "results" not in found:
        return f"| {name} | {found['error']} | | | | |"

    # Rates are iterations a second.
    (result,) = found["results"]
    rate = 1 / result["median_seconds"]
    slowest = 1 / result["max_seconds"]
    quickest = 1 / result["min_seconds"]
    share = result.get("share_of_conv_ceiling")

    # Write the cells.
    cells = [
        f"{name} (not {found['next']})" if "next" in found else name,
        str(result["batch"]),
        f"{rate:.3g} ({slowest:.3g} to {quickest:.3g})",
        f"{result['images_per_second']:.4g}",
        "" if share is None else f"{share:.0%}",
        f"{result['peak_mb']:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _print_kernels(name: str, found: dict[str, Any]) -> None:
    for result in found.get("results", []):
        if "kernels" in result:
            seen = kernels.shares(result["kernels"]) or "none were seen"
            print(f"time by kind of kernel, {name}: {seen}")


def _finished(options: config.GpuSuiteConfig) -> dict[str, dict]:
    """The measurements that the file holds already, without those that failed.

    Raises:
      errors.UserError: the file is none of this suite, or one of other settings.
    """
    # Read the file.
    try:
        with open(options.out, encoding="utf-8") as file:
            found = json.load(file)
        same = (found["flags"], found["rounds"]) == (options.flags, options.rounds)
        finished = {name: one for name, one in found["measurements"].items() if "results" in one}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        same = False

    # Refuse one of other settings.
    if not same:
        raise errors.UserError(
            f"--resume --out={options.out}: expected a file of measurements "
            "with the same --flags and --rounds"
        )
    return finished


def _write(path: str, results: dict[str, Any]) -> None:
    with files.writing(path):
        files.write_bytes(path, (json.dumps(results, indent=1) + "\n").encode())
