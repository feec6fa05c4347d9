"""A saved program on the accelerator that is here, with JAX and without TensorFlow.

python -m sagan_tf.benchmarks.ahead.run_saved FILE.mlir
"""

import json
import statistics
import sys
import time
from typing import Any

from sagan_tf import errors
from sagan_tf.benchmarks.ahead import saved
from sagan_tf.benchmarks.ahead.devices import GB

_WARM = 2  # Runs before those that count.


def run(
    path: str, *, rounds: int = 10, iterations: int = 10, json_file: str = ""
) -> dict[str, Any]:
    """Runs a program of `compile_ahead --save`, and prints measured beside predicted.

    Arguments are drawn on the device, with mean and deviation of those that a run begins with. What
    an iteration changes is fed back to it.

    Args:
      path: the file.
      rounds: measurements; the median is printed.
      iterations: runs of the program in each.
      json_file: where to write what is returned; empty: nowhere.
    Returns:
      "seconds" of an iteration in each round, "compile_seconds", "peak_bytes" where the device
      says so, "device", and "predicted".
    Raises:
      errors.UserError: JAX is missing, the file is not such a program, it cannot run here, or
        `json_file` cannot be written.
    """
    # Check what is asked for.
    program = saved.read(path)
    if json_file:
        saved.require_writable(json_file, flag="json")
    jax = with_64_bits()
    from jax.errors import JaxRuntimeError
    from jax.interpreters import mlir

    # Compile it and draw what it takes.
    device = jax.devices()[0]
    try:
        began = time.perf_counter()
        compiled = executable(program, device)
        compile_seconds = time.perf_counter() - began
        held = arguments(program, jax)
        seconds = times(compiled, program, held, rounds=rounds, iterations=iterations)
    except JaxRuntimeError as error:
        raise _refused(path, device, error) from error
    except (mlir.ir.MLIRError, ValueError, TypeError, IndexError) as error:
        reason = _one_line(error)
        raise errors.UserError(
            f"--run={path}: is damaged, or of another version ({reason}); write it again with "
            "compile_ahead --save"
        ) from error

    # Report.
    found = {
        "device": device.device_kind,
        "compile_seconds": compile_seconds,
        "seconds": seconds,
        "predicted": program.predicted,
        "peak_bytes": (device.memory_stats() or {}).get("peak_bytes_in_use"),
    }
    print(describe(found), flush=True)
    if json_file:
        saved.write_text(json_file, json.dumps(found, indent=1) + "\n", flag="json")
    return found


def _refused(path: str, device: Any, error: Exception) -> errors.UserError:
    """What the device says, and what helps."""
    reason = _one_line(error)
    remedy = "write it again with compile_ahead --save"
    if "RESOURCE_EXHAUSTED" in reason or "out of memory" in reason:
        remedy = "save it with a smaller --batch_size or --num_towers"
    return errors.UserError(
        f"--run={path}: {device.device_kind} cannot run it ({reason}); {remedy}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def with_64_bits() -> Any:
    """JAX, with integers of 64 bits, which the counters are.

    Raises:
      errors.UserError: it is not installed.
    """
    try:
        import jax
    except ImportError as error:
        raise errors.UserError(
            '--run: JAX is not installed; pip install "jax[cuda12]" brings it for a GPU'
        ) from error
    jax.config.update("jax_enable_x64", True)
    return jax


def executable(program: saved.Program, device: Any) -> Any:
    """The program, compiled for the device that runs it."""
    import numpy as np
    from jax.interpreters import mlir
    from jaxlib import xla_client

    options = xla_client.CompileOptions()
    options.device_assignment = xla_client.DeviceAssignment.create(np.array([[device.id]]))
    with mlir.make_ir_context():
        module = mlir.ir.Module.parse(program.text)
        return device.client.compile_and_load(module, xla_client.DeviceList((device,)), options)


def arguments(program: saved.Program, jax: Any) -> list:
    """The program's arguments, drawn on the device."""
    keys = jax.random.split(jax.random.key(0), len(program.arguments))
    return [_drawn(argument, key, jax) for argument, key in zip(program.arguments, keys)]


def _drawn(argument: saved.Argument, key: Any, jax: Any) -> Any:
    if argument.below:
        wide = jax.random.randint(key, argument.shape, 0, argument.below, "int32")
        return wide.astype(argument.dtype)
    if not argument.deviation:
        return jax.numpy.full(argument.shape, argument.mean, argument.dtype)
    normal = jax.random.normal(key, argument.shape, "float32")
    return (argument.mean + argument.deviation * normal).astype(argument.dtype)


def times(
    compiled: Any, program: saved.Program, held: list, *, rounds: int, iterations: int
) -> list[float]:
    """Seconds of an iteration, in each round."""

    def call(count: int) -> float:
        # Feed back what changes.
        began = time.perf_counter()
        for _ in range(count):
            done = compiled.execute_sharded(held)
            results = [one[0] for one in done.disassemble_into_single_device_arrays()]
            for result, argument in program.fed_back.items():
                held[argument] = results[result]

        # Wait for the device.
        results[0].block_until_ready()
        return (time.perf_counter() - began) / count

    call(_WARM)
    return [call(iterations) for _ in range(rounds)]


def describe(found: dict[str, Any]) -> str:
    """Measured beside predicted, in words."""
    # What was measured.
    median = statistics.median(found["seconds"])
    slowest, quickest = max(found["seconds"]), min(found["seconds"])
    lines = [
        f"measured on {found['device']}: {1000 * median:.4g} ms (median of "
        f"{len(found['seconds'])}; {1000 * quickest:.4g} to {1000 * slowest:.4g}), "
        f"{1 / median:.3g} a second; compiled in {found['compile_seconds']:.0f} s"
    ]
    if found["peak_bytes"]:
        lines.append(f"  peak memory {found['peak_bytes'] / GB:.2f} GB")

    # What was expected.
    predicted = found["predicted"]
    if "roofline_seconds" in predicted:
        expected = predicted["roofline_seconds"]["kernels"]
        lines.append(
            f"predicted for {predicted['device']}: {predicted['what']}, {predicted['setting']}, "
            f"batch {predicted['batch']}: {1000 * expected:.4g} ms; measured is "
            f"{median / expected:.3g} times that"
        )
    return "\n".join(lines)


def main(words: list[str]) -> None:
    """Runs the program that the first word names."""
    try:
        run(*words)
    except errors.UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:2])
