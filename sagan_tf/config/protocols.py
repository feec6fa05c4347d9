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
    # Per-class FID of 5,000 generated images against every training image of the class.
    "intra": {"real_sample_size": 0, "intra_images": 5000},
    # A tenth of the images, to watch a run by.
    "quick": {"eval_sample_size": 5000},
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
