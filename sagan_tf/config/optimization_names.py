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
    "narrow_conv": "up_conv and down_conv on maps of half their smallest side too, where the "
    f"kernel has at most {MOST_NARROW} channels",
    "shortcut": "1x1 convolutions on the smaller of two maps",
    "wide_conv": "bfloat16 and float16 convolutions multiply in float32, for CPUs",
    "joint_batch": "real and generated images through D in one batch, so that its weights are "
    "normalised once",
    "spectral_norm": "spectral normalisation with a gradient written by hand, in fewer passes over "
    "the weights",
    "batch_norm": "batch norm and ReLU with a gradient written by hand, in fewer passes",
    "adam": "Adam as TensorFlow's one kernel",
}
SIZED = ("up_conv", "down_conv")
# What `auto` means: name -> smallest side. Measured on a CPU only (docs/performance.md).
_ANYWHERE = {"shortcut": 0, "joint_batch": 0, "spectral_norm": 0, "batch_norm": 0, "adam": 0}
_CONVOLUTIONS = {"up_conv": 16, "down_conv": 16, "narrow_conv": 0, "wide_conv": 0}
_AUTO = {"CPU": {**_CONVOLUTIONS, **_ANYWHERE}, "GPU": _ANYWHERE}


def optimizations(text: str, device: str) -> dict[str, int]:
    """What --optimizations asks for: name -> smallest side of a map that it applies to.

    Args:
      text: names of `OPTIMIZATIONS` or "auto" or "none", separated by commas; "-name" takes one
        away, "name:side" gives its smallest side.
      device: "CPU", "GPU" or "TPU"; what "auto" means depends on it.
    Raises:
      errors.UserError: something else.
    """
    # See what the device's own choice is.
    auto = _AUTO.get(device, _AUTO["GPU"])

    # Add and take away, word by word.
    chosen = {}
    for word in text.split(","):
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
