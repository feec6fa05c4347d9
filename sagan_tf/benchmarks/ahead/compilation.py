"""One compilation, in a process of its own, and what its program multiplies and moves."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from typing import Any, Optional

from sagan_tf import errors
from sagan_tf.benchmarks.ahead import hlo, roofline, saved, traffic
from sagan_tf.benchmarks.ahead.devices import DEVICES

_COMPILER = "sagan_tf.benchmarks.ahead.compiler"
_INSTALL = 'pip install -e ".[ahead]"'
# What each kind of device needs beside JAX.
_PACKAGES = {"GPU": ("jax", "jax_plugins.xla_cuda12"), "TPU": ("jax", "libtpu")}
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "Ran out of memory")
_LARGEST = 12


class DoesNotFit(errors.UserError):
    """The device has less memory than the program needs."""


def require_compilers(device: str) -> None:
    """Checks that what compiles for a device is installed.

    Raises:
      errors.UserError: something is missing.
    """
    for package in _PACKAGES[DEVICES[device].kind]:
        if not is_installed(package):
            raise errors.UserError(
                f"--device={device}: its compiler is not installed ({package} is missing); "
                f"{_INSTALL} brings it"
            )


def is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def versions() -> dict[str, str]:
    """The compilers that are installed, with their versions."""
    found = {}
    for name in ("jax", "jaxlib", "jax-cuda12-plugin", "libtpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def compiled(
    program: saved.Program,
    device: str,
    *,
    assumed: roofline.Assumed,
    replicas: int = 1,
    text_file: str = "",
) -> dict[str, Any]:
    """Compiles a program, and counts.

    Args:
      program: of one replica.
      device: of `DEVICES`.
      assumed: what the kernels are taken to reach.
      replicas: devices that run it together.
      text_file: where to keep the compiled program's text; empty: nowhere.
    Returns:
      A row: "compile_seconds", "memory" (bytes), "flop", "bytes", "kinds", "copies",
      "layout_changes", "largest", "roofline_seconds", "compiler".
    Raises:
      DoesNotFit: the compiler says so.
      errors.UserError: it says something else.
    """
    with tempfile.TemporaryDirectory() as directory:
        # Ask the compiler.
        paths = {name: os.path.join(directory, name) for name in ("program", "text", "answer")}
        paths["text"] = text_file or paths["text"]
        with open(paths["program"], "w", encoding="utf-8") as file:
            file.write(program.text)
        request = {**paths, "device": device, "replicas": replicas, "parent": os.getpid()}
        found = _asked(request, os.path.join(directory, "request"))

        # Read the program.
        _require_answer(found, device)
        with open(paths["text"], encoding="utf-8") as file:
            kernels = traffic.kernels(hlo.Program(file.read()))
    return {**found, **counted(kernels, device, assumed=assumed, replicas=replicas)}


def _asked(request: dict[str, Any], path: str) -> dict[str, Any]:
    """The compiler's answer; {"error"} where its process ended without one."""
    # Write the request, and start the process.
    with open(path, "w", encoding="utf-8") as file:
        json.dump(request, file)
    command = [sys.executable, "-m", _COMPILER, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    # Read the answer.
    if done.returncode or not os.path.exists(request["answer"]):
        lines = done.stderr.strip().splitlines()[-1:]
        return {"error": " ".join([f"exit code {done.returncode}", *lines]), "operation": ""}
    with open(request["answer"], encoding="utf-8") as file:
        return json.load(file)


def _require_answer(found: dict[str, Any], device: str) -> None:
    """Raises what the compiler has said, if that is an error."""
    if "error" not in found:
        return
    reason = textwrap.shorten(found["error"], 300, placeholder=" ...")
    at = f", at our operation {found['operation']}" if found["operation"] else ""
    kind = errors.UserError
    remedy = "change the flags of what it names"
    if any(words in found["error"] for words in _NO_MEMORY):
        kind = DoesNotFit
        remedy = "give a smaller --batch_size or --num_towers"
    raise kind(f"--device={device}: its compiler refuses the program ({reason}){at}; {remedy}")


def counted(
    kernels: list[traffic.Kernel], device: str, *, assumed: roofline.Assumed, replicas: int = 1
) -> dict[str, Any]:
    """What a compiled program's kernels add up to: the counted part of a row of `compiled`."""
    # Add up.
    copies = [kernel for kernel in kernels if kernel.kind == traffic.COPIES]
    changes = [kernel for kernel in kernels if kernel.changes_layout]
    row = {
        "flop": sum(kernel.flop for kernel in kernels),
        "bytes": sum(kernel.moved for kernel in kernels),
        "kinds": traffic.by_kind(kernels),
        "copies": _number_and_bytes(copies),
        "layout_changes": _number_and_bytes(changes),
        "largest": dict(traffic.largest(kernels, _LARGEST)),
        "estimated_cycles": sum(kernel.cycles for kernel in kernels),
    }

    # Say how long that takes.
    chip = DEVICES[device]
    least = roofline.roofline(kernels, chip, assumed)
    row["roofline_seconds"] = {**least._asdict(), "added": least.added}
    if replicas > 1:
        sent = roofline.over_links(kernels, replicas)
        row["link_bytes"] = sent
        row["link_seconds"] = sent / (assumed.bandwidth_share * chip.link_bytes_per_second)
    return row


def _number_and_bytes(kernels: list[traffic.Kernel]) -> dict[str, int]:
    moved = sum(kernel.moved for kernel in kernels)
    return {"kernels": traffic.number(kernels), "bytes": moved}


def needed_memory(row: dict[str, Any]) -> int:
    """Bytes that a device needs: arguments, what comes out beside them, and what is temporary."""
    sizes = row["memory"]
    return (
        sizes["argument"]
        + sizes["output"]
        - sizes["alias"]
        + sizes["temp"]
        + sizes["generated_code"]
    )


def estimate(row: dict[str, Any]) -> Optional[float]:
    """The compiler's own estimate in seconds; None where it gives none that makes sense."""
    seconds = row["compiler"].get("seconds", 0.0)
    return seconds if seconds > 0 else None
