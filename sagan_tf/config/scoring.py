"""Settings that all scores have in common."""

import dataclasses
import os
from typing import Any, ClassVar

from sagan_tf.config import fields, protocols, training


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
        "Named set of flags. A flag that is given goes before it.\n"
        "reference: what the reference's eval_imagenet.py does.\n"
        "tfgan: --real_split=validation.\n"
        "train_full: --real_sample_size=0, all training images.\n"
        "ten_splits: --is_splits=10.\n"
        "sngan_projection: --is_splits=10 --quantization=truncate.\n"
        "guided_diffusion: the same, with --real_sample_size=0.\n"
        "mmgen: --is_splits=10 --quantization=round --real_sample_size=0.\n"
        "intra: --real_sample_size=0 --intra_images=5000, the FID of each class.\n"
        "quick: --eval_sample_size=5000.",
        choices=tuple(protocols.PROTOCOLS),
        group="Scores",
    )
    data_dir: str = fields.option(
        "data", "Directory that holds the real images' *.tfrecords.", group="Real images"
    )
    validation_dir: str = fields.option(
        "",
        "Directory of the validation images' records, for --real_split=validation.",
        group="Real images",
        meaning="the folder validation in --data_dir",
    )
    eval_sample_size: int = fields.option(
        protocols.FULL_SAMPLE,
        "Number of generated images. Without this flag, at most as many as there are real ones. "
        "That does not hold with --real_stats, nor where --real_sample_size or --protocol sets the "
        "number of real ones. "
        "The names of scores of fewer than 50,000 images carry the number, as in fid5k.",
        group="Generated images",
        reference="eval_imagenet.py:59",
    )
    real_sample_size: int = fields.option(
        -1,
        "Number of real images; 0 takes all of them.",
        group="Real images",
        meaning="as many as generated images, as in the reference",
    )
    real_split: str = fields.option(
        "train",
        "Which real images to compare with: those of --data_dir (train), or those of "
        "--validation_dir (validation).",
        choices=("train", "validation"),
        group="Real images",
        meaning="as in the reference",
    )
    is_splits: int = fields.option(
        1,
        "Splits of the Inception Score. Many papers give the mean over 10 splits. The row of "
        "scores has both.",
        above=0,
        group="Scores",
        meaning="as in the reference",
    )
    quantization: str = fields.option(
        "none",
        "What happens to generated images before they are scored. round and truncate make them "
        "uint8.",
        choices=("none", "round", "truncate"),
        group="Generated images",
        meaning="as in the reference",
    )
    resize: str = fields.option(
        "legacy",
        "How images are resized for the classifier.\n"
        "legacy: bilinear as in TensorFlow 1.\n"
        "half_pixel: bilinear as in TensorFlow 2.\n"
        "antialias: bilinear as in TensorFlow 2, with antialiasing.",
        choices=("legacy", "half_pixel", "antialias"),
        group="Classifier",
        meaning="as in the reference",
    )
    kid_block: int = fields.option(
        1024,
        "Largest number of images that KID compares at a time.",
        minimum=2,
        expected="2 or more images",
        group="Scores",
        meaning="TF-GAN's default",
    )
    manifold_images: int = fields.option(
        10000,
        "Largest number of images of each side for precision, recall, density and coverage.",
        minimum=2,
        expected="2 or more images",
        group="Scores",
    )
    precision_k: int = fields.option(
        3,
        "Nearest neighbours for precision and recall (Kynkaanniemi et al., 2019).",
        above=0,
        group="Scores",
    )
    density_k: int = fields.option(
        5,
        "Nearest neighbours for density and coverage (Naeem et al., 2020).",
        above=0,
        group="Scores",
    )
    seed: int = fields.option(
        0,
        "Seed of z, of the labels and of the choice of real images.",
        minimum=0,
        maximum=fields.SEEDS - 1,
        group="Scores",
    )
    dcgan_generator_batch_size: int = fields.option(
        100,
        "Images that a device generates and classifies at a time; a CPU takes at most 20. The "
        "scores do not depend on it.",
        above=0,
        group="Devices",
        reference="eval_imagenet.py:57",
    )
    inception: str = fields.option(
        "https://tfhub.dev/tensorflow/tfgan/eval/inception/1",
        "The classifier: a TF-Hub handle, the directory of a SavedModel, the file of a frozen "
        "graph (.pb), or a Keras file (.keras), for example one of keras.applications.",
        group="Classifier",
        meaning="TF-GAN's Inception",
    )
    inception_sha256: str = fields.option(
        "",
        "SHA-256 that the classifier must have.",
        group="Classifier",
        meaning="any classifier is taken",
    )
    real_stats: str = fields.option(
        "",
        "An .npz file with mu and sigma of the real images' features, in the place of --data_dir: "
        "one that --export_real_stats wrote, or one of pytorch-fid or TTUR.",
        group="Real images",
    )
    export_real_stats: str = fields.option(
        "",
        "Write mu and sigma of the real images' features to this .npz file.",
        group="Real images",
    )
    stats_dir: str = fields.option(
        os.path.join("~", ".cache", "sagan_tf"),
        "Directory that keeps the real images' features for the next evaluation. An empty value "
        "keeps none.",
        group="Real images",
    )
    strategy: str = fields.option(
        "auto",
        "Where the evaluation runs.\n"
        "one_device: on one device of this machine.\n"
        "mirrored: on all devices of this machine.\n"
        "tpu: on the TPU of this TPU VM.\n"
        "auto: tpu where TPU_NAME is set, and mirrored otherwise.",
        choices=tuple(name for name in training.STRATEGIES if name != "multi_worker"),
        group="Devices",
    )
    num_devices: int = fields.option(
        0,
        "Number of devices. On a machine without a GPU, a number above 1 makes that many logical "
        "CPU devices.",
        minimum=0,
        group="Devices",
        meaning="every GPU, or one CPU device where there is no GPU",
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
        preset = {"eval_sample_size": protocols.FULL_SAMPLE, **protocols.PROTOCOLS[self.protocol]}
        named = {
            field.name: preset.get(field.name, field.default)
            for field in dataclasses.fields(self)
            if field.name in protocols.PROTOCOL_FIELDS
        }

        # Compare that with what is asked for.
        actual = {name: getattr(self, name) for name in named}
        actual["eval_sample_size"] = images
        return {name: value for name, value in actual.items() if value != named[name]}
