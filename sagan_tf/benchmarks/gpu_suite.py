"""Suite of benchmarks for a GPU, each in a process of its own."""

import datetime
import json
import os
import subprocess
import sys
import tempfile

from sagan_tf import config, errors

_PRECISIONS = {
    "bfloat16": ["--mixed_precision=bfloat16"],
    "tf32": ["--tensor_float_32"],
    "float32": [],
}
_HALVED = "--optimizations=auto,up_conv:0,down_conv:0"


def measurements() -> dict[str, list[str]]:
    """Name -> flags of each, the batches of the search left out."""
    found = {}
    for precision, flags in _PRECISIONS.items():
        for compiled in (["--jit_compile"], []):
            name = f"train, {precision}" + (", XLA" if compiled else "")
            found[name] = [*flags, *compiled, "--profile"]
            found[f"{name}, up_conv and down_conv"] = [*flags, *compiled, _HALVED]
    # XLA fuses what the hand-written gradients take apart.
    found["train, bfloat16, XLA, gradients not by hand"] = [
        *_PRECISIONS["bfloat16"],
        "--jit_compile",
        "--optimizations=auto,-batch_norm,-spectral_norm",
    ]
    for name in ("none", *(f"auto,-{name}" for name in ("shortcut", "joint_batch", "adam"))):
        found[f"train, bfloat16, XLA, {name}"] = [
            *_PRECISIONS["bfloat16"],
            "--jit_compile",
            f"--optimizations={name}",
        ]
    for precision, flags in _PRECISIONS.items():
        found[f"generate, {precision}"] = ["--what=generate", *flags]
    return found


def measure(flags: list[str], options: config.GpuSuiteConfig) -> dict:
    """Runs the benchmark; what it found, or {"error": its last line}."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "result.json")
        command = [
            sys.executable,
            "-m",
            "sagan_tf.tools.benchmark",
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
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"error": lines[-1]}
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def largest_batch(options: config.GpuSuiteConfig) -> dict:
    """The last of 4, 8, 16, ... towers that can be trained in bfloat16, and why the next cannot."""
    found, towers = {}, 4
    while towers <= options.most_towers:
        tried = measure(
            [*_PRECISIONS["bfloat16"], "--jit_compile", "--noceilings", f"--num_towers={towers}"],
            options,
        )
        if "error" in tried:
            why = f"{towers} towers: {tried['error']}"
            return {**found, "next": why} if "results" in found else {"error": why}
        found, towers = tried, 2 * towers
    return found


def row(name: str, found: dict) -> str:
    """A line of the table."""
    if "results" not in found:
        return f"| {name} | {found['error']} | | | | |"
    (result,) = found["results"]
    share = result.get("share_of_conv_ceiling")
    if "next" in found:
        name += f" (not {found['next']})"
    return (
        f"| {name} | {result['batch']} | {1 / result['median_seconds']:.3g} "
        f"({1 / result['max_seconds']:.3g} to {1 / result['min_seconds']:.3g}) | "
        f"{result['images_per_second']:.4g} | {'' if share is None else format(share, '.0%')} "
        f"| {result['peak_mb']:,.0f} |"
    )


def _held(options: config.GpuSuiteConfig) -> dict[str, dict]:
    """The measurements that the file holds already, without those that failed."""
    try:
        with open(options.out, encoding="utf-8") as file:
            found = json.load(file)
        same = (found["flags"], found["rounds"]) == (options.flags, options.rounds)
        held = {name: one for name, one in found["measurements"].items() if "results" in one}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        same = False
    if not same:
        raise errors.UserError(
            f"--resume --out={options.out}: expected a file of measurements "
            "with the same --flags and --rounds"
        )
    return held


def run(options: config.GpuSuiteConfig) -> None:
    """Measures all that is not measured yet, prints the table and writes the file.

    Raises:
      config.UserError: there is no GPU, the file cannot be used, or nothing could be measured.
    """
    from sagan_tf.benchmarks import kernels
    from sagan_tf.runtime import environment as runtime_environment
    from sagan_tf.runtime import files

    environment = runtime_environment.environment()
    if "GPUs" not in environment and not options.flags:
        raise errors.UserError(
            "--flags=: there is no GPU here; expected flags for a trial on a "
            'CPU, as in --flags="--image_size=32 --gf_dim=8 --df_dim=8"'
        )
    wanted = {**measurements(), "train, bfloat16, XLA, largest batch": None}
    wanted = {name: flags for name, flags in wanted.items() if options.only in name}
    if not wanted:
        raise errors.UserError(
            f"--only={options.only}: expected a part of one of these: " + "; ".join(measurements())
        )
    with files.writing(options.out):
        files.require_writable(options.out)
    done = _held(options) if options.resume else {}
    found = {
        "date": datetime.date.today().isoformat(),
        "environment": environment,
        "flags": options.flags,
        "rounds": options.rounds,
        "measurements": done,
    }
    print("\n".join(f"{name}: {value}" for name, value in environment.items()))
    print(
        "| setting | batch | iterations/s (slowest to quickest) | images/s | of the conv ceiling "
        "| peak MB |\n|---|---|---|---|---|---|"
    )
    for name, flags in wanted.items():
        if name not in done:
            done[name] = largest_batch(options) if flags is None else measure(flags, options)
            with files.writing(options.out):  # What there is, after each: the rest may fail.
                files.write_bytes(options.out, (json.dumps(found, indent=1) + "\n").encode())
        print(row(name, done[name]), flush=True)
    for name in wanted:
        for result in done[name].get("results", []):
            if "kernels" in result:
                print(
                    f"time by kind of kernel, {name}: "
                    f"{kernels.shares(result['kernels']) or 'none were seen'}"
                )
    if not any("results" in done[name] for name in wanted):
        raise errors.UserError(
            f"--only={options.only} --flags={options.flags}: nothing could be "
            "measured; the table says why"
        )
