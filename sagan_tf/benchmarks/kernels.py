"""Seconds by kind of kernel, read off TensorFlow's profiler."""

import pathlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

try:  # A private module of TensorFlow, which a later release may not have.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2
except ImportError:
    xplane_pb2 = None

# Kinds of kernels by what is in their names, or (=) what their names are; the first that fits.
# Names are those of TensorFlow's operations on a CPU; of cuDNN's, cuBLAS's, XLA's and Eigen's
# kernels on a GPU.
_KINDS = {
    "communication": "nccl allreduce collective",
    "copy": (
        "memcpy memset transpose nchwtonhwc nhwctonchw swapdimension shuffleintensor concat =cast "
        "=tile =pad =split =splitv =slice =_mklslice =stridedslice =stridedslicegrad slice_fusion "
        "dynamic_slice"
    ),
    "reduction": "reduce reduction =sum =mean =max =min =prod =all =l2loss =biasaddgrad pool",
    "convolution": (
        "conv2d convolution convolve fprop dgrad wgrad winograd implicit scudnn 6cudnn 8cudnn"
    ),
    "product": "matmul gemm gemv einsum cutlass cublas nvjet xmma",
    "optimizer": "resourceapply adam",
    "softmax": "softmax",
    "random": "random philox",
}
_OTHER = "element by element"
# Operations that contain others, or wait for what is not theirs.
_WAITING = {
    "If",
    "StatelessIf",
    "While",
    "StatelessWhile",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "IteratorGetNext",
    "MultiDeviceIteratorGetNextFromShard",
}


def kernel_classes(call: Callable[[], Any], on_gpu: bool) -> dict[str, float]:
    """Seconds that a call spends in kernels of each kind, by TensorFlow's profiler.

    On a CPU kernels overlap and are counted each, and what an operation hands to other threads
    counts as long as it waits for them; shares say more than sums. Nothing is found of XLA's
    kernels on a CPU, and of a GPU whose counters are closed to this user. Where TensorFlow cannot
    read its own profiles, one line says so and nothing is found.
    """
    # Say so where profiles cannot be read.
    if xplane_pb2 is None:
        print(
            f"the kernels are unknown: TensorFlow {tf.__version__} has no "
            "tensorflow.tsl.profiler.protobuf to read its profiles with",
            flush=True,
        )
        return {}

    # Add up the kernels of each kind.
    seconds_of_kind = Counter()
    for name, seconds in read_kernels(_profile(call), on_gpu):
        seconds_of_kind[kind_of(name)] += seconds
    return dict(seconds_of_kind.most_common())


def _profile(call: Callable[[], Any]) -> Any:
    """The profile of a call, an `XSpace`."""
    with tempfile.TemporaryDirectory() as directory:
        # Record.
        tf.profiler.experimental.start(directory)
        try:
            call()
        finally:
            tf.profiler.experimental.stop()

        # Find the file, and read it.
        (path,) = pathlib.Path(directory).rglob("*.xplane.pb")
        with open(path, "rb") as file:
            return xplane_pb2.XSpace.FromString(file.read())


def read_kernels(space: Any, on_gpu: bool) -> Iterator[tuple[str, float]]:
    """Name and seconds of each kernel of a profile.

    Args:
      space: an `XSpace`.
      on_gpu: read what ran on the GPUs; else TensorFlow's operations on the CPU.
    """
    planes = "/device:GPU" if on_gpu else "/host:CPU"
    lines = "Stream" if on_gpu else ""
    for plane in space.planes:
        if not plane.name.startswith(planes):
            continue
        for line in plane.lines:
            if line.name.startswith(lines):
                yield from _kernels_of_line(plane, line, on_gpu=on_gpu)


def _kernels_of_line(plane: Any, line: Any, *, on_gpu: bool) -> Iterator[tuple[str, float]]:
    for event in line.events:
        name = plane.event_metadata[event.metadata_id].name

        # An operation is an event "name:Type". With oneDNN types have names of their own,
        # "_MklNativeConv2D".
        if not on_gpu:
            _, is_operation, name = name.rpartition(":")
            known = name.startswith("_") or hasattr(tf.raw_ops, name)
            if not is_operation or name in _WAITING or not known:
                continue
        yield name, event.duration_ps / 1e12


def kind_of(kernel: str) -> str:
    """The kind of a kernel, by its name."""
    name = kernel.lower()
    for kind, words in _KINDS.items():
        if any(_fits(name, word) for word in words.split()):
            return kind
    return _OTHER


def _fits(name: str, word: str) -> bool:
    if word.startswith("="):
        return name == word[1:]
    return word in name


def shares(kernels: dict[str, float]) -> str:
    """The kinds of `kernel_classes`, each with its share of the time."""
    total = sum(kernels.values())
    return ", ".join(f"{kind} {seconds / total:.0%}" for kind, seconds in kernels.items())
