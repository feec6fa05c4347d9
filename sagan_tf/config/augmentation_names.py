"""Names of the augmentations' policies, the parser of --augment_policy, and ADA's defaults."""

from sagan_tf.config import fields

NONE, DIFFAUGMENT, ADA = "none", "diffaugment", "ada"
METHODS = (NONE, DIFFAUGMENT, ADA)
# The policies of each method, in the order in which `all` applies them.
POLICIES = {
    NONE: (),
    DIFFAUGMENT: ("color", "translation", "cutout"),
    ADA: (
        "xflip",
        "rotate90",
        "xint",
        "scale",
        "rotate",
        "aniso",
        "xfrac",
        "brightness",
        "contrast",
        "lumaflip",
        "hue",
        "saturation",
    ),
}
_BLIT = POLICIES[ADA][:3]
_GEOM = POLICIES[ADA][3:7]
_COLOR = POLICIES[ADA][7:]
# Names of several policies at once, by method.
GROUPS = {
    NONE: {},
    DIFFAUGMENT: {},
    ADA: {
        "blit": _BLIT,
        "geom": _GEOM,
        "color": _COLOR,
        "bg": _BLIT + _GEOM,
        "bgc": POLICIES[ADA],
    },
}
ALL = "all"
# The settings of ADA, which nothing else takes -> what they are where no flag is given.
ADA_DEFAULTS = {"ada_target": 0.6, "ada_kimg": 500.0, "ada_start": 0.0}


def policies(method: str, text: str) -> tuple[str, ...]:
    """The policies that --augment_policy asks for, each once, in the order of the text.

    Args:
      method: one of `METHODS`.
      text: names of its `POLICIES` and `GROUPS`, separated by commas, or "all".
    Raises:
      errors.UserError: something else.
    """
    # Without a method there is nothing to choose.
    if method == NONE:
        fields.require(
            text == ALL, "augment_policy", value=text, expected="an --augment other than none"
        )
        return ()

    # Add up what each word stands for.
    known = POLICIES[method]
    groups = {ALL: known, **GROUPS[method]}
    chosen: dict[str, None] = {}
    for word in fields.names_of(text):
        fields.require(
            word in known or word in groups,
            "augment_policy",
            value=text,
            expected=f"with --augment={method} some of {', '.join((*groups, *known))}, "
            "separated by commas",
        )
        chosen.update(dict.fromkeys(groups.get(word, (word,))))
    return tuple(chosen)
