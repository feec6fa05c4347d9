"""Files of other projects' own code (random weights, `testdata/weights`), and what it computed.

`*_io.npz` has `in/{z,labels,images}` and `out/{images,logits,logits_train}` of two examples, in the
layout of the project. Sources: mmgeneration@ccd1f56, PyTorch-StudioGAN@88b6385,
ilyakava/gan@84a5002.
"""

import numpy as np

from sagan_tf import config
from sagan_tf.bridges import torch_file
from tests.conftest import TESTDATA

WEIGHTS = TESTDATA / "weights"
PATHS = {
    "mmgen": ("mmgen_biggan_schedule.pth",),
    "studiogan": ("studio_2021_G.pth", "studio_2021_D.pth"),
    "tfgan": ("acgan.ckpt",),
}


def options(source, paths=None, **changes):
    """Settings of an import."""
    paths = paths or [WEIGHTS / name for name in PATHS[source]]
    return config.ImportConfig(
        source=source, path=tuple(str(path) for path in paths), out="somewhere", **changes
    )


def computed(source):
    """What the project's own code computed: z, labels, images, and logits, in our layout."""
    archive = np.load(WEIGHTS / f"{source}_io.npz")
    found = {name.split("/")[1]: archive[name] for name in archive.files if name[:3] == "in/"}
    found["generated"] = archive["out/images"]
    for name in ("images", "generated"):
        if source != "tfgan":
            found[name] = found[name].transpose(0, 2, 3, 1)
        if source == "mmgen":
            found[name] = found[name][..., ::-1]
    # PyTorch's training mode and TF-GAN do one power iteration, as our layers.
    found["logits"] = archive["out/logits" if source == "tfgan" else "out/logits_train"]
    found["labels"] = found["labels"].astype(np.int32)
    return found


def content(name):
    """What one of the .pth files holds."""
    return torch_file.read(str(WEIGHTS / name))
