"""How long a device needs at least, by what its kernels multiply and move."""

from collections.abc import Sequence
from typing import NamedTuple

from sagan_tf.benchmarks.ahead.devices import Device
from sagan_tf.benchmarks.ahead.traffic import LINKS, Kernel


class Assumed(NamedTuple):
    """What the kernels are taken to reach.

    Attributes:
      compute_share: of the device's peak in convolutions and products.
      bandwidth_share: of the peak of its memory.
      tensor_float_32: whether a GPU may round float32 factors to TensorFloat-32.
    """

    compute_share: float
    bandwidth_share: float
    tensor_float_32: bool = False


class Roofline(NamedTuple):
    """Seconds of a program.

    Attributes:
      compute: of all convolutions and products.
      memory: of all bytes.
      kernels: one kernel after the other, each as long as the longer of its own two.
    """

    compute: float
    memory: float
    kernels: float

    @property
    def added(self) -> float:
        """Seconds if nothing overlaps."""
        return self.compute + self.memory


def roofline(kernels: Sequence[Kernel], device: Device, assumed: Assumed) -> Roofline:
    """Seconds that the kernels take at the assumed shares of the device's peaks.

    What goes over links to other devices is not in there.
    """
    here = [kernel for kernel in kernels if kernel.kind != LINKS]
    compute = [_compute(kernel, device, assumed) for kernel in here]
    rate = assumed.bandwidth_share * device.bytes_per_second
    memory = [kernel.moved / rate for kernel in here]
    return Roofline(
        compute=sum(compute),
        memory=sum(memory),
        kernels=sum(max(pair) for pair in zip(compute, memory)),
    )


def _compute(kernel: Kernel, device: Device, assumed: Assumed) -> float:
    if not kernel.flop:
        return 0.0
    peak = device.peak(kernel.dtype, tensor_float_32=assumed.tensor_float_32)
    return kernel.flop / (assumed.compute_share * peak)


def over_links(kernels: Sequence[Kernel], replicas: int) -> float:
    """Bytes that each device sends to others in reductions of all replicas.

    A reduction in a ring sends 2 (n - 1) / n of the bytes that it adds up.
    """
    reduced = sum(kernel.reduced for kernel in kernels)
    return reduced * 2 * (replicas - 1) / replicas
