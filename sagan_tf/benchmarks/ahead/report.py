"""Results of compilations as text."""

from collections.abc import Sequence
from typing import Any, Optional

from sagan_tf.benchmarks.ahead import compilation, roofline
from sagan_tf.benchmarks.ahead.devices import DEVICES, GB, Device

_TERA = 10**12
_TEXT = """\
{what}, {setting}, batch {batch}, {title}: compiled in {seconds:.0f} s, not run
  memory: arguments {arguments}, temporary {temporary}, in all {needed} of {there}
  {tera:.3g} TFLOP in convolutions and products
  {moved} read and written: {kinds}
  copies: {copies}; layout changes: {changes}
  {roofline}
  the compiler's own estimate: {estimate}{links}
  most bytes, by the operation of ours:
{largest}"""
_ROOFLINE = (
    "roofline: {kernels}, kernel by kernel; "
    "multiplying {compute} at {compute_share:.0%} of {tera:.4g} TFLOP/s, "
    "moving {memory} at {bandwidth_share:.0%} of {rate:,.0f} GB/s; "
    "{added} if nothing overlaps"
)
_LINKS = (
    "\n  over the links: {sent} from each of {replicas}, "
    "{time} at {bandwidth_share:.0%} of {rate:.0f} GB/s, "
    "{share:.1%} of a step if nothing overlaps"
)
_HEADER = (
    "| program | device | setting | batch | compile s | TFLOP | temporary GB | GB moved "
    "| roofline ms | compiler ms |\n|---|---|---|---|---|---|---|---|---|---|"
)


def describe(row: dict[str, Any], assumed: roofline.Assumed) -> str:
    """One compilation in words."""
    # Write down what the compiler said.
    device = DEVICES[row["device"]]
    memory = row["memory"]
    needed = compilation.needed_memory(row)
    seconds = compilation.estimate(row)

    # Put it into words.
    return _TEXT.format(
        what=row["what"],
        setting=row["setting"],
        batch=row["batch"],
        title=device.title,
        seconds=row["compile_seconds"],
        arguments=_gb(memory["argument"]),
        temporary=_gb(memory["temp"]),
        needed=_gb(needed),
        there=_gb(device.memory),
        tera=row["flop"] / _TERA,
        moved=_gb(row["bytes"]),
        kinds=_kinds(row["kinds"]),
        copies=_counted(row["copies"]),
        changes=_counted(row["layout_changes"]),
        roofline=_least(row, device, assumed),
        estimate="none" if seconds is None else _ms(seconds),
        links=_links(row, device, assumed) if "link_bytes" in row else "",
        largest=_largest(row["largest"]),
    )


def _gb(size: float) -> str:
    return f"{size / GB:.3g} GB"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.4g} ms"


def _kinds(kinds: dict[str, dict[str, int]]) -> str:
    """Bytes and number of kernels of each kind."""
    words = []
    for kind, one in kinds.items():
        words.append(f"{kind} {_counted(one)}")
    return ", ".join(words)


def _counted(found: dict[str, int]) -> str:
    size = _gb(found["bytes"])
    return f"{size} ({found['kernels']})"


def _largest(sizes: dict[str, int]) -> str:
    lines = []
    for name, size in sizes.items():
        lines.append(f"    {_gb(size):>9}  {name or 'none is named'}")
    return "\n".join(lines)


def _least(row: dict[str, Any], device: Device, assumed: roofline.Assumed) -> str:
    """The roofline, with the peaks and the shares of them."""
    least = row["roofline_seconds"]
    peak = device.peak(row["dtype"], tensor_float_32=assumed.tensor_float_32)
    return _ROOFLINE.format(
        kernels=_ms(least["kernels"]),
        compute=_ms(least["compute"]),
        compute_share=assumed.compute_share,
        tera=peak / _TERA,
        memory=_ms(least["memory"]),
        bandwidth_share=assumed.bandwidth_share,
        rate=device.bytes_per_second / GB,
        added=_ms(least["added"]),
    )


def _links(row: dict[str, Any], device: Device, assumed: roofline.Assumed) -> str:
    """What goes to other devices."""
    seconds = row["link_seconds"]
    step = seconds + row["roofline_seconds"]["kernels"]
    return _LINKS.format(
        sent=_gb(row["link_bytes"]),
        replicas=row["replicas"],
        time=_ms(seconds),
        bandwidth_share=assumed.bandwidth_share,
        rate=device.link_bytes_per_second / GB,
        share=seconds / step,
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All compilations, one a line."""
    lines = [_HEADER]
    for row in rows:
        cells = _cells(row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> list[str]:
    """The cells of a line; what could not be compiled says why."""
    # Say what it is.
    title = DEVICES[row["device"]].title
    cells = [row["what"], title, row["setting"], str(row["batch"])]
    if "error" in row:
        return [*cells, row["error"], *[""] * 5]

    # Give its numbers.
    least = row["roofline_seconds"]["kernels"]
    return [
        *cells,
        f"{row['compile_seconds']:.0f}",
        _cell(row["flop"], _TERA),
        _cell(row["memory"]["temp"], GB),
        _cell(row["bytes"], GB),
        _cell(least, 0.001),
        _cell(compilation.estimate(row), 0.001),
    ]


def _cell(value: Optional[float], unit: float) -> str:
    return "" if value is None else f"{value / unit:.4g}"
