"""Devices that programs are compiled for without being there. Standard library only.

Figures are those of one chip, without sparsity:

- NVIDIA H100 and A100 datasheets (SXM, 80 GB); what a compiler must know of them is in the files
  that XLA has for it, `xla/backends/gpu/target_config/specs` (`h100_sxm`, `a100_sxm_80`).
- cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e, "Key specifications", of the year 2025.

A TPU multiplies float32 numbers of usual precision as bfloat16, in one pass.
"""

import dataclasses

GB = 10**9
_GIB = 2**30
_TERA = 10**12
_DTYPES = ("bfloat16", "tensor_float_32", "float32")


@dataclasses.dataclass(frozen=True)
class Device:
    """One chip.

    Attributes:
      title: its name in words.
      flop_per_second: peak by "bfloat16", "tensor_float_32" and "float32".
      bytes_per_second: of its large memory.
      memory: bytes of it.
      link_bytes_per_second: out of the chip, over all its links to others of its machine or slice.
      topology: of XLA's, with one chip or a few; empty: a GPU.
      slice_of_8: topology of 8 chips.
      target: what XLA's compiler must know of a GPU, in the text form of its GpuTargetConfigProto.
    """

    title: str
    flop_per_second: dict[str, float]
    bytes_per_second: float
    memory: int
    link_bytes_per_second: float
    topology: str = ""
    slice_of_8: str = "1x1x8"
    target: str = ""

    @property
    def kind(self) -> str:
        """ "GPU" or "TPU"."""
        return "TPU" if self.topology else "GPU"

    def peak(self, dtype: str, *, tensor_float_32: bool = False) -> float:
        """FLOP/s of convolutions and products of numbers of HLO's type `dtype`."""
        if dtype in ("bf16", "f16"):
            return self.flop_per_second["bfloat16"]
        name = "tensor_float_32" if tensor_float_32 else "float32"
        return self.flop_per_second[name]


_TARGET = """\
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: {shared_by_block}
  shared_memory_per_core: {shared_by_core}
  core_count: {cores}
  fpus_per_core: {units}
  clock_rate_ghz: {clock}
  memory_bandwidth: {bandwidth}
  l2_cache_size: {cache}
  device_memory_size: {memory}
  cuda_compute_capability {{ major: {capability} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "{name}"
"""


def _tpu(
    title: str, *, flop: float, bandwidth: float, memory: int, links: float, sides: tuple[str, str]
) -> Device:
    name = title.removeprefix("TPU ")
    return Device(
        title=title,
        flop_per_second=dict.fromkeys(_DTYPES, flop),
        bytes_per_second=bandwidth,
        memory=memory,
        link_bytes_per_second=links,
        topology=f"{name}:{sides[0]}",
        slice_of_8=f"{name}:{sides[1]}",
    )


def _gpu(
    title: str,
    *,
    tera_flop: tuple[float, float, float],
    bandwidth: int,
    memory: int,
    links: float,
    **target: object,
) -> Device:
    """A GPU; `tera_flop` a second in bfloat16, TF32 and float32, `target` the rest of `_TARGET`."""
    peaks = [_TERA * peak for peak in tera_flop]
    return Device(
        title=title,
        flop_per_second=dict(zip(_DTYPES, peaks)),
        bytes_per_second=bandwidth,
        memory=memory,
        link_bytes_per_second=links,
        target=_TARGET.format(bandwidth=bandwidth, memory=memory, **target),
    )


DEVICES = {
    "h100": _gpu(
        "H100 SXM",
        tera_flop=(989.4, 494.7, 66.9),
        bandwidth=3352320000000,
        memory=84942979072,
        links=450 * GB,
        shared_by_block=232448,
        shared_by_core=233472,
        cores=132,
        units=128,
        clock=1.98,
        cache=52428800,
        capability=9,
        name="NVIDIA H100 80GB HBM3",
    ),
    "a100": _gpu(
        "A100 SXM",
        tera_flop=(312, 156, 19.5),
        bandwidth=2039040000000,
        memory=85100068864,
        links=300 * GB,
        shared_by_block=166912,
        shared_by_core=167936,
        cores=108,
        units=64,
        clock=1.41,
        cache=41943040,
        capability=8,
        name="NVIDIA A100-SXM4-80GB",
    ),
    "v4": _tpu(
        "TPU v4",
        flop=275 * _TERA,
        bandwidth=1228 * GB,
        memory=32 * _GIB,
        links=150 * GB,
        sides=("2x2x1", "2x2x2"),
    ),
    "v5e": _tpu(
        "TPU v5e",
        flop=197 * _TERA,
        bandwidth=819 * GB,
        memory=16 * _GIB,
        links=200 * GB,
        sides=("2x2", "2x4"),
    ),
    "v5p": _tpu(
        "TPU v5p",
        flop=459 * _TERA,
        bandwidth=2765 * GB,
        memory=95 * GB,
        links=600 * GB,
        sides=("2x2x1", "2x2x2"),
    ),
    "v6e": _tpu(
        "TPU v6e",
        flop=918 * _TERA,
        bandwidth=1638 * GB,
        memory=32 * _GIB,
        links=448 * GB,
        sides=("2x2", "2x4"),
    ),
}
