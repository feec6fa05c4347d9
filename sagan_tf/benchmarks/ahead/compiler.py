"""XLA's compilers, asked for devices that are not here. It imports JAX, and not TensorFlow.

    python -m sagan_tf.benchmarks.ahead.compiler REQUEST.json

A process of its own, because the compilers log to standard error, keep memory, and may abort. The
request names the program, the device, the number of replicas, the process that asks, and the files
for the answer and for the compiled program's text.
"""

import json
import os
import re
import sys
import threading
import time
from typing import Any

from sagan_tf.benchmarks.ahead.devices import DEVICES, Device

_STATISTICS = ("argument", "output", "alias", "temp", "generated_code")
_ANALYSIS = {
    "flops": "flop",
    "bytes accessed": "bytes",
    "optimal_seconds": "seconds",
}
# What errors name: a line of the program, or a call.
_LINES = re.compile(r'"-":(\d+):')
_CALLS = re.compile(r"[Cc]ustom (?:call to|emitter for) (\w+)")
# Autotuning needs the GPU itself.
_GPU_OPTIONS = [("xla_gpu_autotune_level", "0")]
_ALONE = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
# How operations of ours are named: in StableHLO's locations, and in HLO's metadata.
_OPERATIONS = re.compile(r'op_name="([^"]+)"|loc\("([^"]+)"')


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the compiler says of a program: bytes and seconds, or {"error", "operation"}.

    Args:
      request: "program" and "text", paths of StableHLO and of the compiled program; "device";
        "replicas".
    """
    # No process waits for a TPU's host, or for another compiler; and no GPU is looked for.
    os.environ.update(_ALONE)
    from jax.errors import JaxRuntimeError
    from jax.interpreters import mlir

    # Compile.
    with open(request["program"], encoding="utf-8") as file:
        program = file.read()
    try:
        began = time.perf_counter()
        compiled = _compiled(program, DEVICES[request["device"]], replicas=request["replicas"])
        seconds = time.perf_counter() - began
    except (JaxRuntimeError, mlir.ir.MLIRError, ValueError, RuntimeError) as error:
        return failure(str(error), program)

    # Write the program, and say what it needs.
    text = compiled.hlo_modules()[0].to_string()
    with open(request["text"], "w", encoding="utf-8") as file:
        file.write(text)
    statistics = compiled.get_compiled_memory_stats()
    sizes = {name: getattr(statistics, f"{name}_size_in_bytes") for name in _STATISTICS}
    return {"compile_seconds": seconds, "memory": sizes, "compiler": _analysis(compiled, text)}


def _compiled(program: str, device: Device, *, replicas: int) -> Any:
    """The compiled program."""
    import numpy as np
    from jax.interpreters import mlir
    from jaxlib import xla_client

    # Place the replicas.
    chips = _chips(device, replicas)
    options = xla_client.CompileOptions()
    options.num_replicas = replicas
    options.num_partitions = 1
    places = np.array([[chip.id] for chip in chips])
    options.device_assignment = xla_client.DeviceAssignment.create(places)
    if device.target:
        options.env_option_overrides = _GPU_OPTIONS

    # Compile for them.
    with mlir.make_ir_context():
        module = mlir.ir.Module.parse(program)
        client = chips[0].client
        return client.compile(module, xla_client.DeviceList(tuple(chips)), options)


def _chips(device: Device, replicas: int) -> list:
    """So many chips of a kind, in one machine or slice."""
    from jax.experimental import topologies

    # A TPU slice.
    if device.topology:
        name = device.topology if replicas == 1 else device.slice_of_8
        found = topologies.get_topology_desc(platform="tpu", topology_name=name)
        return list(found.devices)[:replicas]

    # A machine with GPUs.
    found = topologies.get_topology_desc(
        platform="cuda",
        topology_name="",
        topology=f"1x1x{replicas}",
        target_config=device.target,
    )
    return list(found.devices)[:replicas]


def _analysis(compiled: Any, text: str) -> dict[str, float]:
    """The compiler's own estimate, where it makes one."""
    from jax.errors import JaxRuntimeError

    # A GPU's compiler makes none.
    try:
        found = compiled.cost_analysis()
    except JaxRuntimeError:
        return {}
    found = found[0] if isinstance(found, list) else found
    known = {ours: found[name] for name, ours in _ANALYSIS.items() if name in found}
    if "seconds" in known:
        known["seconds"] += seconds_left_out(text)
    return known


def seconds_left_out(text: str) -> int:
    """What a TPU's compiler takes from its estimate of a program, in seconds.

    It counts -1 second for each call that makes or splits a 64-bit number, which it cannot
    estimate. They are single numbers: the counter and the keys of what is drawn.

    Args:
      text: the compiled program.
    """
    return len(re.findall(r'custom_call_target="X64(?:Combine|SplitHigh|SplitLow)"', text))


def failure(text: str, program: str = "") -> dict[str, str]:
    """What a compiler's error says, and the operation of ours that it is about.

    Args:
      text: the error.
      program: the StableHLO that it is about, for errors that name a line or a call of it.
    Returns:
      "error", its first lines in one; "operation", empty where none can be told.
    """
    # Shorten it: the first line, and that of MLIR which says why.
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    detail = [line for line in lines[1:] if "error:" in line]

    # Find the operation.
    named = [first or second for first, second in _OPERATIONS.findall(text)]
    if not named:
        named = [_operation_of(line, program) for line in _blamed(text, program)]
    return {"error": " ".join([*lines[:1], *detail[:1]]), "operation": next(iter(named), "")}


def _blamed(text: str, program: str) -> list[str]:
    """The lines of a program that an error names: by number, or by the name of a call."""
    lines = program.splitlines()
    numbers = [int(number) - 1 for number in _LINES.findall(text)]
    found = [lines[number] for number in numbers if number < len(lines)]
    for name in _CALLS.findall(text):
        found += [line for line in lines if f"@{name}(" in line]
    return found


def _operation_of(line: str, program: str) -> str:
    """The name in the location of a line of StableHLO: loc("name"), loc(#loc5), loc(fused[...])."""
    place = re.search(r'loc\((?:fused\[)?(?:"([^"]+)"|(#\w+))', line)
    if place is None or place[1]:
        return place[1] if place else ""
    found = re.search(rf"^{place[2]} = .*$", program, re.MULTILINE)
    return _operation_of(found[0], program) if found else ""


def end_with(parent: int) -> None:
    """Ends this process when the one that asked has ended, so that nobody's program is compiled.

    Args:
      parent: the process that asked.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main(path: str) -> None:
    """Answers the request in a file."""
    with open(path, encoding="utf-8") as file:
        request = json.load(file)
    watch = threading.Thread(target=end_with, args=[request["parent"]], daemon=True)
    watch.start()
    found = answer(request)
    with open(request["answer"], "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(sys.argv[1])
