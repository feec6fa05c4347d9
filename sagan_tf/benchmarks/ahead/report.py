"""Results of compilations as text."""

from collections.abc import Sequence
from typing import Any

from sagan_tf.benchmarks.ahead import compilation, roofline
from sagan_tf.benchmarks.ahead.devices import DEVICES, GB, Device

_TERA = 10**12
_HEADER = (
    "| program | device | setting | batch | compile s | TFLOP | temporary GB | GB moved "
    "| roofline ms | compiler ms |\n|---|---|---|---|---|---|---|---|---|---|"
)


def describe(row: dict[str, Any], assumed: roofline.Assumed) -> str:
    """One compilation in words."""
    # What was compiled, and what it needs.
    device = DEVICES[row["device"]]
    memory = row["memory"]
    lines = [
        f"{row['what']}, {row['setting']}, batch {row['batch']}, {device.title}: compiled in "
        f"{row['compile_seconds']:.0f} s, not run",
        f"  memory: arguments {memory['argument'] / GB:.2f} GB, temporary "
        f"{memory['temp'] / GB:.2f} GB, in all {compilation.needed_memory(row) / GB:.2f} of "
        f"{device.memory / GB:.1f} GB",
        f"  {row['flop'] / _TERA:.3g} TFLOP in convolutions and products",
        f"  {row['bytes'] / GB:.4g} GB read and written: {_kinds(row['kinds'])}",
        f"  copies {_counted(row['copies'])}, layout changes {_counted(row['layout_changes'])}",
    ]

    # How long that takes.
    lines.append("  " + _least(row, device, assumed))
    seconds = compilation.estimate(row)
    said = "none" if seconds is None else f"{1000 * seconds:.1f} ms"
    lines.append(f"  the compiler's own estimate: {said}")
    if "link_bytes" in row:
        lines.append("  " + _links(row, device))

    # Where the bytes come from.
    lines.append("  most bytes, by the operation of ours:")
    for name, size in row["largest"].items():
        lines.append(f"    {size / GB:8.3f} GB  {name or 'none is named'}")
    return "\n".join(lines)


def _kinds(kinds: dict[str, dict[str, int]]) -> str:
    return ", ".join(
        f"{kind} {one['bytes'] / GB:.3g} ({one['kernels']})" for kind, one in kinds.items()
    )


def _counted(found: dict[str, int]) -> str:
    return f"{found['kernels']} ({found['bytes'] / GB:.3g} GB)"


def _least(row: dict[str, Any], device: Device, assumed: roofline.Assumed) -> str:
    least = {name: 1000 * seconds for name, seconds in row["roofline_seconds"].items()}
    peak = device.peak(row["dtype"], tensor_float_32=assumed.tensor_float_32)
    return (
        f"roofline: {least['kernels']:.1f} ms, kernel by kernel; multiplying "
        f"{least['compute']:.1f} ms at {assumed.compute_share:.0%} of {peak / _TERA:.4g} TFLOP/s, "
        f"moving {least['memory']:.1f} ms at {assumed.bandwidth_share:.0%} of "
        f"{device.bytes_per_second / GB:,.0f} GB/s; {least['added']:.1f} ms if nothing overlaps"
    )


def _links(row: dict[str, Any], device: Device) -> str:
    share = row["link_seconds"] / (row["link_seconds"] + row["roofline_seconds"]["kernels"])
    return (
        f"over the links: {row['link_bytes'] / GB:.3g} GB from each of {row['replicas']}, "
        f"{1000 * row['link_seconds']:.1f} ms at {device.link_bytes_per_second / GB:.0f} GB/s, "
        f"{share:.1%} of a step if nothing overlaps"
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All compilations, one a line."""
    return "\n".join([_HEADER, *(_line(row) for row in rows)])


def _line(row: dict[str, Any]) -> str:
    # What could not be compiled says why.
    title = DEVICES[row["device"]].title
    begin = [row["what"], title, row["setting"], str(row["batch"])]
    if "error" in row:
        return f"| {' | '.join([*begin, row['error']])} | | | | | |"

    # The rest has numbers.
    seconds = compilation.estimate(row)
    cells = [
        *begin,
        f"{row['compile_seconds']:.0f}",
        f"{row['flop'] / _TERA:.3g}",
        f"{row['memory']['temp'] / GB:.2f}",
        f"{row['bytes'] / GB:.4g}",
        f"{1000 * row['roofline_seconds']['kernels']:.1f}",
        "" if seconds is None else f"{1000 * seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |"
