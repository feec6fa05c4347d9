"""Named protocols of an evaluation: what each sets."""

from typing import Any

from sagan_tf.config import fields

# Images that a score is made of where nothing else is said; scores of fewer are labelled.
FULL_SAMPLE = 50000
# What a named protocol sets; a flag that is given goes before it.
PROTOCOLS = {
    # eval_imagenet.py of the reference.
    "reference": {},
    # TF-GAN's own example of SAGAN: the validation images.
    "tfgan": {"real_split": "validation"},
    # The whole training set on the real side (TTUR's statistics, BigGAN).
    "train_full": {"real_sample_size": 0},
    # IS as the mean of ten splits of 5,000 images (Salimans et al., SNGAN, BigGAN).
    "ten_splits": {"is_splits": 10},
    # evaluations/ of sngan_projection: truncated to uint8, IS of ten splits.
    "sngan_projection": {"is_splits": 10, "quantization": "truncate"},
    # evaluations/evaluator.py of guided-diffusion: the same, against the whole training set.
    "guided_diffusion": {"is_splits": 10, "quantization": "truncate", "real_sample_size": 0},
    # FID and IS of mmgeneration (mmgen/core/evaluation/metrics.py; configs/sagan/README.md).
    "mmgen": {"is_splits": 10, "quantization": "round", "real_sample_size": 0},
    # Per-class FID of 5,000 generated images against every training image of the class.
    "intra": {"real_sample_size": 0, "intra_images": 5000},
    # A tenth of the images, to watch a run by.
    "quick": {"eval_sample_size": 5000},
}
# What a named protocol's own program does otherwise than this one, whatever the flags are.
_BIAS = "IS: {} leaves out the bias of the logits; here it is in"
DIFFERENCES = {
    "tfgan": ("classifier: TF-GAN's module resizes the images; here --resize says how",),
    "guided_diffusion": (_BIAS.format("guided-diffusion"),),
    "mmgen": (
        "IS: mmgeneration resizes the images by Pillow (bicubic) to 299; here --resize says how",
        _BIAS.format("mmgeneration"),
        "classifier: mmgeneration takes NVlabs' TorchScript Inception of 2015-12-05; here "
        "--inception names it",
        "real images: mmgeneration crops and resizes them by Pillow; here they are as the records "
        "of --data_dir have them",
    ),
}
# Fields that a protocol consists of; the others say where things are and what to do with them.
PROTOCOL_FIELDS = (
    "eval_sample_size",
    "real_sample_size",
    "real_split",
    "label_sampling",
    "is_splits",
    "quantization",
    "resize",
    "intra_images",
    "kid_block",
    "manifold_images",
    "precision_k",
    "density_k",
    "seed",
)


def protocol(name: str) -> dict[str, Any]:
    """What a named protocol sets, by field.

    Raises:
      errors.UserError: there is none of this name.
    """
    fields.require(
        name in PROTOCOLS, "protocol", value=name, expected="one of " + ", ".join(PROTOCOLS)
    )
    return PROTOCOLS[name]


def protocol_differences(name: str) -> tuple[str, ...]:
    """What a protocol's own program does otherwise, a sentence each; () where nothing is known."""
    return DIFFERENCES.get(name, ())
