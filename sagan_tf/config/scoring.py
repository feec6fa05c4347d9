"""Settings of an evaluation, and the named protocols."""

import dataclasses
import os
from typing import Any, ClassVar, Optional

from sagan_tf.config import fields, model, training

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


@dataclasses.dataclass(frozen=True)
class ScoringConfig:
    """What a score is: images of both sides, classifier, arithmetic.

    Attributes:
      allow_all: whether --eval_sample_size=0 is allowed and means all images that there are; only
        a set of images on disk has a number of its own.
    """

    allow_all: ClassVar[bool] = False

    protocol: str = fields.option(
        "reference",
        "Named set of the flags below, each of which goes before it where given: "
        "reference; tfgan, against validation images; train_full, against all training images; "
        "ten_splits, IS over ten splits; sngan_projection, the same of uint8 images; "
        "guided_diffusion, both; intra, FID of each class; quick, 5,000 images. (Not in the "
        "reference.)",
        choices=tuple(PROTOCOLS),
    )
    data_dir: str = fields.option("data", "Directory that holds the real images' *.tfrecords.")
    validation_dir: str = fields.option(
        "",
        "Directory of the validation images' records, for --real_split=validation; empty: "
        "validation, in --data_dir. (Not in the reference.)",
    )
    eval_sample_size: int = fields.option(
        FULL_SAMPLE,
        "Generated images; without the flag at most as many as there are real ones. Scores of "
        "fewer than 50,000 carry their number in their name, as in fid5k.",
    )
    real_sample_size: int = fields.option(
        -1, "Real images; 0: all there are; -1: as many as generated ones, as in the reference."
    )
    real_split: str = fields.option(
        "train",
        "Real images: train, those of --data_dir, or validation, those of "
        "--validation_dir. (Not in the reference.)",
        choices=("train", "validation"),
    )
    is_splits: int = fields.option(
        1,
        "Splits of the Inception Score: 1 as in the reference; 10 in many papers, which give "
        "the mean over them. The record holds both. (Not in the reference.)",
        above=0,
    )
    quantization: str = fields.option(
        "none",
        "What happens to generated images before they are scored: none, as in the "
        "reference; round or truncate, they become uint8. (Not in the reference.)",
        choices=("none", "round", "truncate"),
    )
    resize: str = fields.option(
        "legacy",
        "How images are resized for the classifier: legacy, TensorFlow 1's bilinear as "
        "in the reference; half_pixel, TensorFlow 2's bilinear; antialias, the same with "
        "antialiasing. (Not in the reference.)",
        choices=("legacy", "half_pixel", "antialias"),
    )
    kid_block: int = fields.option(
        1024,
        "Largest block of images that KID compares at a time (TF-GAN's default). (Not in "
        "the reference.)",
        minimum=2,
        expected="2 or more images",
    )
    manifold_images: int = fields.option(
        10000,
        "Images of each side for precision, recall, density and coverage, at most. (Not in "
        "the reference.)",
        minimum=2,
        expected="2 or more images",
    )
    precision_k: int = fields.option(
        3,
        "Nearest neighbours of precision and recall (Kynkaanniemi et al., 2019). (Not in the "
        "reference.)",
        above=0,
    )
    density_k: int = fields.option(
        5,
        "Nearest neighbours of density and coverage (Naeem et al., 2020). (Not in the reference.)",
        above=0,
    )
    seed: int = fields.option(
        0,
        "Seed of z, of the labels and of the choice of real images.",
        minimum=0,
        maximum=fields.SEEDS - 1,
    )
    dcgan_generator_batch_size: int = fields.option(
        100,
        "Images generated, and classified, at a time by a device; at most 20 by a CPU. The "
        "scores do not depend on it.",
        above=0,
    )
    inception: str = fields.option(
        "https://tfhub.dev/tensorflow/tfgan/eval/inception/1",
        "The classifier: a TF-Hub handle, a SavedModel directory, a frozen graph file (.pb) or a "
        "Keras file (.keras), also one of keras.applications. (Not in the reference.)",
    )
    inception_sha256: str = fields.option(
        "", "SHA-256 that the classifier must have; empty: any. (Not in the reference.)"
    )
    real_stats: str = fields.option(
        "",
        "An .npz with mu and sigma of the real images' features, in the place of --data_dir: "
        "one that --export_real_stats wrote, or one of pytorch-fid or TTUR. (Not in the "
        "reference.)",
    )
    export_real_stats: str = fields.option(
        "", "Write mu and sigma of the real images to this .npz. (Not in the reference.)"
    )
    stats_dir: str = fields.option(
        os.path.join("~", ".cache", "sagan_tf"),
        "Where the real images' features are kept for the next time; empty: nowhere. (Not in the "
        "reference.)",
    )
    strategy: str = fields.option(
        "auto",
        "Devices, as in training: one_device, mirrored, tpu; auto: tpu where TPU_NAME is "
        "set, else mirrored. (Not in the reference.)",
        choices=tuple(name for name in training.STRATEGIES if name != "multi_worker"),
    )
    num_devices: int = fields.option(
        0, "Number of devices, as in training. (Not in the reference.)", minimum=0
    )

    def __post_init__(self):
        fields.check(self)

        # Check what depends on other fields, and what bounds cannot say.
        digits = self.inception_sha256.lower()
        all_images = self.allow_all and self.eval_sample_size == 0
        fields.require_all(
            self,
            (
                "real_sample_size",
                self.real_sample_size in (-1, 0) or self.real_sample_size >= 2,
                "2 or more images, 0 for all, or -1 for as many as generated ones",
            ),
            ("eval_sample_size", all_images or self.eval_sample_size >= 2, "2 or more images"),
            (
                "is_splits",
                all_images or self.eval_sample_size >= 2 * self.is_splits,
                f"at most half of --eval_sample_size={self.eval_sample_size}",
            ),
            (
                "inception_sha256",
                not digits or (len(digits) == 64 and set(digits) <= set("0123456789abcdef")),
                "64 hexadecimal digits",
            ),
        )

    def splits_of(self, images: int) -> int:
        """Splits of the second Inception Score: --is_splits, or ten where that is one."""
        splits = self.is_splits if self.is_splits > 1 else 10
        return min(splits, images // 2)

    @property
    def real_dir(self) -> str:
        """Directory of the real images that the scores compare with."""
        if self.real_split == "train":
            return self.data_dir
        return self.validation_dir or os.path.join(self.data_dir, "validation")

    def departures(self, images: int) -> dict[str, Any]:
        """Fields of the protocol that are not as its name says, where `images` are scored."""
        # Find what the name of the protocol says of each of its fields.
        preset = {"eval_sample_size": FULL_SAMPLE, **PROTOCOLS[self.protocol]}
        named = {
            field.name: preset.get(field.name, field.default)
            for field in dataclasses.fields(self)
            if field.name in PROTOCOL_FIELDS
        }

        # Compare that with what is asked for.
        actual = {name: getattr(self, name) for name in named}
        actual["eval_sample_size"] = images
        return {name: value for name, value in actual.items() if value != named[name]}


@dataclasses.dataclass(frozen=True)
class EvalConfig(ScoringConfig):
    """The evaluation of a run. The networks' settings come from the run's config.json."""

    run: str = fields.option(
        "",
        "Directory of the run, in the place of --checkpoint_dir, --batch_size and --run_name. "
        "(Not in the reference.)",
    )
    checkpoint_dir: str = fields.option("checkpoint", "Directory of runs, as in training.")
    run_name: Optional[str] = fields.option(
        None, "Name of the run's directory, as in training. (Not in the reference.)"
    )
    batch_size: int = fields.option(
        64, "Images per tower of the training run; it is part of the run directory's name.", above=0
    )
    checkpoint_step: int = fields.option(
        -1,
        "Step of the checkpoint to score; -1: the latest. (Not in the reference.)",
        minimum=-1,
        expected="a step, or -1 for the latest",
    )
    use_ema: bool = fields.option(
        False,
        "Score the moving average of the generator (train with --ema_decay). (Not in the "
        "reference.)",
    )
    label_sampling: str = fields.option(
        "uniform",
        "Labels of generated images: uniform, drawn at random as in the reference; or "
        "balanced, each class as often as any other. (Not in the reference.)",
        choices=("uniform", "balanced"),
    )
    intra_images: int = fields.option(
        0,
        "Images generated of each class for intra-FID; 0: those of the other scores. (Not in "
        "the reference.)",
    )
    all: bool = fields.option(
        False, "Score every checkpoint of the run that was not scored yet. (Not in the reference.)"
    )
    watch: bool = fields.option(
        False,
        "Score every checkpoint as it comes, until the run has ended. (Not in the reference.)",
    )
    poll_secs: float = fields.option(
        10.0,
        "With --watch: seconds between two looks for a new checkpoint. (Not in the reference.)",
        above=0,
    )
    keep_best: int = fields.option(
        3,
        "With --watch and --all: checkpoints kept in <run>/best, those of the best scores. (Not "
        "in the reference.)",
        minimum=0,
    )
    best_by: str = fields.option(
        "fid",
        "Score that decides which are the best: fid or is. (Not in the reference.)",
        choices=("fid", "is"),
    )
    save_samples: str = fields.option(
        "",
        "Write the generated images, as uint8, to this .npz, or as PNG files into this "
        "directory. (Not in the reference.)",
    )
    compare_untrained: bool = fields.option(
        False,
        "Score freshly initialised weights as well, for a sense of scale. (Not in the reference.)",
    )
    generator_type: Optional[str] = fields.option(
        None, "If given, must agree with the run.", choices=tuple(model.ATTENTION_OF_TYPE)
    )
    z_dim: Optional[int] = fields.option(None, "If given, must agree with the run.")
    gf_dim: Optional[int] = fields.option(None, "If given, must agree with the run.")
    num_classes: Optional[int] = fields.option(
        None, "If given, must agree with the run's number_classes."
    )

    def __post_init__(self):
        super().__post_init__()

        # Check the run's name and intra-FID.
        fields.require_all(
            self,
            fields.run_name_rule(self.run_name),
            (
                "intra_images",
                self.intra_images == 0 or self.intra_images >= 2,
                "2 or more images, or 0",
            ),
            (
                "intra_images",
                not (self.intra_images and self.real_stats),
                f"0 with --real_stats={self.real_stats}, which holds no images of each class",
            ),
        )

        # Check a series of checkpoints.
        if self.watch or self.all:
            self._check_several("--watch" if self.watch else "--all")

    def _check_several(self, flag: str) -> None:
        """Checks the flags that name one checkpoint, where `flag` asks for several."""
        every = f"none with {flag}, which scores every checkpoint"
        overwritten = f"none with {flag}: each checkpoint would write over the one before"

        fields.require_all(
            self,
            ("checkpoint_step", self.checkpoint_step == -1, every),
            ("save_samples", not self.save_samples, overwritten),
        )

    @property
    def run_dir(self) -> str:
        """The directory of the training run that is scored."""
        if self.run:
            return self.run.rstrip("/") or "/"
        return fields.run_directory(self.checkpoint_dir, self.batch_size, self.run_name)

    @property
    def eval_dir(self) -> str:
        """Where the results go (reference `eval_imagenet.py:82-85`)."""
        parent, name = os.path.split(self.run_dir)
        return os.path.join(parent, "eval", name)


@dataclasses.dataclass(frozen=True)
class ScoreImagesConfig(ScoringConfig):
    """The scores of images that are there already (`score_images`)."""

    allow_all: ClassVar[bool] = True

    images: str = fields.option(
        "",
        "The images to score: a directory of PNG or JPEG files, or an .npz with one uint8 "
        "array [n, height, width, 3] (`images` or `arr_0`, and `labels` if there are any).",
        required="a directory or an .npz file",
    )
    eval_sample_size: int = fields.option(
        0,
        "Images to score, the first ones; 0: all. Scores of fewer than 50,000 carry their "
        "number in their name, as in fid5k.",
    )
    image_size: int = fields.option(
        0,
        "Side of the real images in pixels; 0: what their dataset.json says, or that of the "
        "images to score.",
        minimum=0,
    )
    number_classes: int = fields.option(
        0,
        "Number of classes of the real images; 0: what their dataset.json says, or 1000.",
        minimum=0,
    )
    out: str = fields.option("", "File that a row of the scores is appended to; empty: none.")


def protocol(name: str) -> dict[str, Any]:
    """What a named protocol sets, by field.

    Raises:
      errors.UserError: there is none of this name.
    """
    fields.require(
        name in PROTOCOLS, "protocol", value=name, expected="one of " + ", ".join(PROTOCOLS)
    )
    return PROTOCOLS[name]
