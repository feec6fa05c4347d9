"""Results of the step benchmark, as rows of numbers and as text."""

import statistics
from collections.abc import Sequence
from typing import Any, Optional

from sagan_tf.benchmarks import kernels, operation_count
from sagan_tf.benchmarks.setting import Setting

_SHARE = "share_of_{}_ceiling"
_CEILINGS = ("conv", "matmul")


def summary(
    setting: Setting,
    seconds: Sequence[float],
    *,
    cost: operation_count.Cost,
    ceiling: Optional[dict[str, float]] = None,
    replicas: int = 1,
) -> dict[str, Any]:
    """The numbers of a row: times in seconds, rates per second.

    Args:
      setting: what was measured.
      seconds: of an iteration, in each round.
      cost: what an iteration costs.
      ceiling: FLOP/s of one replica, by kind of operation ("conv", "matmul").
      replicas: devices that share the work.
    """
    # Times.
    median = statistics.median(seconds)
    row = {
        "batch": setting.batch,
        "seconds": list(seconds),
        "median_seconds": median,
        "min_seconds": min(seconds),
        "max_seconds": max(seconds),
        "images_per_second": setting.batch / median,
    }

    # What was computed and moved in that time.
    row["flop"] = cost.total_flop
    row["flop_by_type"] = cost.flop
    row["flop_per_second"] = cost.total_flop / median
    row["bytes_moved"] = cost.bytes_moved
    row["bytes_per_second"] = cost.bytes_moved / median

    # How near that is to what the machine manages.
    for name, most in (ceiling or {}).items():
        row[_SHARE.format(name)] = row["flop_per_second"] / (most * replicas)
    return row


def describe(name: str, row: dict[str, Any]) -> str:
    """A row in words."""
    # Speed.
    times = (
        f"{row['median_seconds']:.4g} s (median of {len(row['seconds'])}; "
        f"{row['min_seconds']:.4g} to {row['max_seconds']:.4g})"
    )
    lines = [f"{name}: batch {row['batch']}, {times}, {row['images_per_second']:.4g} images/s"]

    # Operations and bytes.
    shares = ""
    for ceiling in _CEILINGS:
        if (key := _SHARE.format(ceiling)) in row:
            shares += f", {row[key]:.0%} of the {ceiling} ceiling"
    lines.append(
        f"  {row['flop'] / 1e9:,.1f} GFLOP in convolutions and products, "
        f"{row['flop_per_second'] / 1e9:,.1f} GFLOP/s{shares}"
    )
    lines.append(
        f"  {row['bytes_moved'] / 1e9:,.2f} GB read and written if nothing were fused, "
        f"{row['bytes_per_second'] / 1e9:,.1f} GB/s"
    )

    # Memory and kernels, where they were measured.
    if "peak_mb" in row:
        lines.append(
            f"  peak memory {row['peak_mb']:,.0f} MB; first call after {row['first_seconds']:.1f} s"
        )
    if "kernels" in row:
        seen = kernels.shares(row["kernels"]) or "none were seen"
        lines.append(f"  time by kind of kernel: {seen}")
    return "\n".join(lines)


def comparison(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """The speed of the second of two rows relative to the first, in words.

    Images per second are compared round by round: noise hits both.
    """
    first, second = rows
    images = second["batch"] / first["batch"]
    ratios = [images * a / b for a, b in zip(first["seconds"], second["seconds"])]
    return (
        f"{names[1]}: {statistics.median(ratios):.3f} times the images/s of {names[0]} (median of "
        "the rounds; both are in memory)"
    )
