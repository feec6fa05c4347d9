"""Rooflines, computed by hand."""

import pytest

from sagan_tf.benchmarks.ahead import devices, roofline
from sagan_tf.benchmarks.ahead.traffic import Kernel

CHIP = devices.Device(
    title="a chip",
    flop_per_second={"bfloat16": 100.0, "tensor_float_32": 50.0, "float32": 10.0},
    bytes_per_second=20.0,
    memory=1,
    link_bytes_per_second=1.0,
)
ASSUMED = roofline.Assumed(compute_share=0.5, bandwidth_share=0.8)
KERNELS = [
    Kernel("convolution", "convolutions", read=16, written=16, flop=200, dtype="bf16"),  # 4, 2 s
    Kernel("product", "products", read=16, flop=15, dtype="f32"),  # 3 s, 1 s
    Kernel("fusion", "fusions", read=48, written=16),  # 0, 4 s
    Kernel("sum", "links", read=1000, written=1000, reduced=1000),
]


def test_roofline():
    found = roofline.roofline(KERNELS, CHIP, ASSUMED)
    assert found == pytest.approx((7, 7, 4 + 3 + 4))
    assert found.added == pytest.approx(14)


def test_tensor_float_32_multiplies_faster():
    fast = ASSUMED._replace(tensor_float_32=True)
    assert roofline.roofline(KERNELS, CHIP, fast).compute == pytest.approx(4 + 0.6)


def test_a_ring_sends_nearly_twice_what_it_adds_up():
    assert roofline.over_links(KERNELS, 8) == pytest.approx(1000 * 2 * 7 / 8)
    assert roofline.over_links(KERNELS, 1) == 0


def test_devices_have_the_makers_figures():
    """TFLOP/s in bfloat16, GB/s and GB, each as its maker states them."""
    stated = {
        "h100": (989, 3352, 85),
        "a100": (312, 2039, 85),
        "v4": (275, 1228, 34),
        "v5e": (197, 819, 17),
        "v5p": (459, 2765, 95),
        "v6e": (918, 1638, 34),
    }
    found = {
        name: (
            int(one.peak("bf16") / 1e12),
            int(one.bytes_per_second / 1e9),
            round(one.memory / 1e9),
        )
        for name, one in devices.DEVICES.items()
    }
    assert found == stated
    assert [one.kind for one in devices.DEVICES.values()] == ["GPU"] * 2 + ["TPU"] * 4
