"""Names of the optimizations, and the parser of --optimizations."""

from sagan_tf.config import fields

# The most input or output channels of a kernel that `narrow_conv` rewrites.
MOST_NARROW = 256
# Ways to the same numbers (but for rounding) in less time, by the names of --optimizations. Those
# of a map apply from a size on: of the larger of the two maps that the convolution lies between.
OPTIMIZATIONS = {
    "up_conv": "upsampling and the 3x3 convolution after it as one transposed convolution of "
    "stride 2",
    "down_conv": "a 3x3 convolution and the pooling after it as one convolution of stride 2",
    "small_conv": "kernel gradients of convolutions on small maps as one product of patches",
    "narrow_conv": "up_conv and down_conv on maps of half their smallest side too, where the "
    f"kernel has at most {MOST_NARROW} channels",
    "shortcut": "1x1 convolutions on the smaller of two maps",
    "up_shortcut": "upsampling and the 1x1 convolution after it as one transposed convolution of "
    "stride 2",
    "wide_conv": "bfloat16 and float16 convolutions multiply in float32, for CPUs",
    "joint_batch": "real and generated images through D in one batch, so that its weights are "
    "normalised once",
    "spectral_norm": "spectral normalisation with a gradient written by hand, in fewer passes over "
    "the weights",
    "batch_norm": "batch norm and ReLU with a gradient written by hand, in fewer passes",
    "adam": "Adam as TensorFlow's one kernel",
    "relu": "gradients of ReLUs written so that XLA joins them, and the ReLUs, to what is beside "
    "them",
    "one_pass": "both moments of batch norm in one pass over bfloat16 and float16 maps, around the "
    "moving mean",
    "kernel_sums": "the kernels of up_conv and down_conv as sums, which XLA joins to their cast",
    "attention": "attention's first three convolutions as one, and in bfloat16 and float16 the "
    "gradient of its logits in that type",
}
SIZED = ("up_conv", "down_conv")
# What `auto` means: name -> smallest side. On a CPU it was measured; for GPUs and TPUs it follows
# what XLA's compilers say (docs/performance.md). Without XLA, what _COMPILED adds costs time.
_ANYWHERE = {"shortcut": 0, "joint_batch": 0, "spectral_norm": 0, "batch_norm": 0, "adam": 0}
_CPU = {"up_conv": 16, "down_conv": 16, "narrow_conv": 0, "wide_conv": 0, **_ANYWHERE}
# The same of a CPU that convolves in the precision as it is; measured in bfloat16.
_NATIVE = {"up_conv": 16, "down_conv": 16, "small_conv": 0, **_ANYWHERE}
_ACCELERATOR = {"up_conv": 0, "down_conv": 0, "attention": 0, **_ANYWHERE}
_COMPILED = {"relu": 0, "one_pass": 0, "kernel_sums": 0, **_ACCELERATOR}
# A TPU takes long to repeat what lies beside each other; for a GPU this reads more.
_TPU = {"up_shortcut": 0, **_COMPILED}


def optimizations(
    text: str, device: str, *, compiled: bool = False, native: str = ""
) -> dict[str, int]:
    """What --optimizations asks for: name -> smallest side of a map that it applies to.

    Args:
      text: names of `OPTIMIZATIONS` or "auto" or "none", separated by commas; "-name" takes one
        away, "name:side" gives its smallest side.
      device: "CPU", "GPU" or "TPU"; what "auto" means depends on it.
      compiled: whether XLA compiles for a GPU; for a TPU it always does.
      native: an instruction with which the device convolves in the precision that is not float32;
        "auto" on a CPU then means another choice. "" for none.
    Raises:
      errors.UserError: something else.
    """
    # See what the device's own choice is.
    on_cpu = _NATIVE if native else _CPU
    on_gpu = _COMPILED if compiled else _ACCELERATOR
    auto = {"CPU": on_cpu, "TPU": _TPU}.get(device, on_gpu)

    # Add and take away, word by word.
    chosen = {}
    for word in fields.names_of(text):
        name, given, side = word.removeprefix("-").partition(":")
        if word == "auto":
            chosen.update(auto)
        elif word == "none":
            chosen.clear()
        elif name in OPTIMIZATIONS and not given:
            if word.startswith("-"):
                chosen.pop(name, None)
            else:
                chosen[name] = auto.get(name, 0)
        elif word.startswith(SIZED) and name in SIZED and side.isdecimal():
            chosen[name] = int(side)
        else:
            fields.require(
                False,
                "optimizations",
                value=text,
                expected="auto, none, or, separated by commas, some of "
                + ", ".join(OPTIMIZATIONS)
                + "; -name takes one away from auto, name:side gives "
                + " and ".join(SIZED)
                + " the smallest side of a map",
            )
    return chosen
