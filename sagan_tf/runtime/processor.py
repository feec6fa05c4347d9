"""Instructions of this machine's processor that decide how TensorFlow computes best."""

import contextlib
import os

_CPUINFO = "/proc/cpuinfo"
# Names that Linux has for multiplication in bfloat16; the widest first.
_BFLOAT16 = ("amx_bf16", "avx512_bf16")


def bfloat16_instruction(cpuinfo: str) -> str:
    """The widest instruction that multiplies in bfloat16, in /proc/cpuinfo; "" for none.

    Args:
      cpuinfo: the text of that file, lines "name : value". "flags" lists the instructions; of
        several processors, the first counts.
    """
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            known = value.split()
            return next((one for one in _BFLOAT16 if one in known), "")
    return ""


def native_bfloat16() -> str:
    """The instruction with which TensorFlow's CPU kernels convolve in bfloat16; "" for none.

    Only oneDNN's kernels use it. TensorFlow takes these on such a processor, unless
    TF_ENABLE_ONEDNN_OPTS says otherwise. On systems other than Linux it is unknown, and therefore
    none.
    """
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false"):
        return ""
    with contextlib.suppress(OSError), open(_CPUINFO, encoding="utf-8") as file:
        return bfloat16_instruction(file.read())
    return ""
