"""Seconds by kind of kernel, read off TensorFlow's profiler."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

# Kernels by what is in their names, or (=) what their names are; the first that fits. TensorFlow's
# operations on a CPU; cuDNN's, cuBLAS's, XLA's and Eigen's kernels on a GPU.
_CLASSES = (
    ("communication", ("nccl", "allreduce", "collective")),
    (
        "copy",
        (
            "memcpy",
            "memset",
            "transpose",
            "nchwtonhwc",
            "nhwctonchw",
            "swapdimension",
            "shuffleintensor",
            "concat",
            "=cast",
            "=tile",
            "=pad",
            "=split",
            "=splitv",
            "=slice",
            "=_mklslice",
            "=stridedslice",
            "=stridedslicegrad",
            "slice_fusion",
            "dynamic_slice",
        ),
    ),
    (
        "reduction",
        (
            "reduce",
            "reduction",
            "=sum",
            "=mean",
            "=max",
            "=min",
            "=prod",
            "=all",
            "=l2loss",
            "=biasaddgrad",
            "pool",
        ),
    ),
    (
        "convolution",
        (
            "conv2d",
            "convolution",
            "convolve",
            "fprop",
            "dgrad",
            "wgrad",
            "winograd",
            "implicit",
            "scudnn",
            "6cudnn",
            "8cudnn",
        ),
    ),
    ("product", ("matmul", "gemm", "gemv", "einsum", "cutlass", "cublas", "nvjet", "xmma")),
    ("optimizer", ("resourceapply", "adam")),
    ("softmax", ("softmax",)),
    ("random", ("random", "philox")),
)


def kernel_classes(call: Callable[[], Any], on_gpu: bool) -> dict[str, float]:
    """Seconds that a call spends in kernels of each class, by TensorFlow's profiler.

    On a CPU kernels overlap and are counted each, and what an operation hands to other threads
    counts as long as it waits for them; shares say more than sums. Nothing is found of XLA's
    kernels on a CPU, and of a GPU whose counters are closed to this user.
    """
    with tempfile.TemporaryDirectory() as directory:
        tf.profiler.experimental.start(directory)
        try:
            call()
        finally:
            tf.profiler.experimental.stop()
        (path,) = [
            os.path.join(where, name)
            for where, _, names in os.walk(directory)
            for name in names
            if name.endswith(".xplane.pb")
        ]
        space = xplane_pb2.XSpace()
        with open(path, "rb") as file:
            space.ParseFromString(file.read())
    found = Counter()
    for name, seconds in _kernels(space, on_gpu):
        found[_class_of(name)] += seconds
    return dict(found.most_common())


def _kernels(space, on_gpu: bool) -> Iterator[tuple[str, float]]:
    """Name and seconds of everything that ran on the GPUs, or as an operation of TensorFlow
    ("name:Type") on the CPU."""
    planes, lines = ("/device:GPU", "Stream") if on_gpu else ("/host:CPU", "")
    for plane in space.planes:
        if not plane.name.startswith(planes):
            continue
        for line in plane.lines:
            if not line.name.startswith(lines):
                continue
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if not on_gpu:
                    _, is_operation, name = name.rpartition(":")
                    # With oneDNN operations have names of their own, "_MklNativeConv2D".
                    known = name.startswith("_") or hasattr(tf.raw_ops, name)
                    if not is_operation or name in _WAITING or not known:
                        continue
                yield name, event.duration_ps / 1e12


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


def _class_of(kernel: str) -> str:
    name = kernel.lower()
    return next(
        (
            kind
            for kind, parts in _CLASSES
            if any(name == part[1:] if part[0] == "=" else part in name for part in parts)
        ),
        "element by element",
    )


def shares(kernels: dict[str, float]) -> str:
    """The classes of `kernel_classes`, each with its share of the time."""
    total = sum(kernels.values())
    return ", ".join(f"{kind} {seconds / total:.0%}" for kind, seconds in kernels.items())
