"""Settings of the preparation and of the check of records."""

import dataclasses

from sagan_tf.config import fields, model


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """From pictures to records (`prepare_data`; not in the reference, which names a private one)."""

    source: str = fields.option(
        "",
        "The pictures: a folder of class folders, ILSVRC2012_img_train.tar (a tar of tars, "
        "which is not unpacked), tfds:NAME, or a directory that TensorFlow Datasets prepared.",
    )
    out: str = fields.option(
        "", "Directory for the records; new, or that of the same command before."
    )
    size: int = fields.option(
        128, "Side of the square images in pixels.", choices=model.IMAGE_SIZES
    )
    encoding: str = fields.option(
        "raw",
        "How a record holds its image: raw pixels as in the reference, png (the same "
        "pixels, about half the space) or jpeg (about a fifth, nearly the same).",
        choices=("raw", "png", "jpeg"),
    )
    quality: int = fields.option(95, "Quality of JPEG, 1 to 100.")
    resize: str = fields.option(
        "legacy",
        "legacy: bit for bit what the reference's records were made with (each image "
        "stretched to the full range, then bilinear); clean: centre crop and Lanczos, no stretch.",
        choices=("legacy", "clean"),
    )
    shards: int = fields.option(0, "Record files; 0: one for each 1,250 pictures, at most 1,024.")
    workers: int = fields.option(
        0, "Processes; 0: one for each core. The bytes do not depend on it."
    )
    limit_per_class: int = fields.option(0, "Pictures of each class, the first by name; 0: all.")
    classes: str = fields.option(
        "",
        "A file with the name of one class a line: take these, labelled in this order. Without "
        "it labels follow the sorted names of all classes.",
    )
    seed: int = fields.option(0, "Seed of the order of the records.")
    max_bad: float = fields.option(
        0.001, "Share of the pictures, 0 to 1, that may be damaged; they are left out and listed."
    )

    def __post_init__(self):
        fields.require(bool(self.source), "source", value=self.source, expected="the pictures")
        fields.require(
            bool(self.out), "out", value=self.out, expected="a directory for the records"
        )
        fields.require_choices(self)
        fields.require_not_negative(self, "shards", "workers", "limit_per_class")
        fields.require_seed(self)
        fields.require(
            1 <= self.quality <= 100,
            "quality",
            value=self.quality,
            expected="a number from 1 to 100",
        )
        fields.require(
            0 <= self.max_bad <= 1, "max_bad", value=self.max_bad, expected="a share from 0 to 1"
        )


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """The check of a directory of records (`check_data`)."""

    data_dir: str = fields.option("data", "Directory that holds the *.tfrecords.")
    image_size: int = fields.option(
        0, "Side that the images must have; 0: what dataset.json says, or the first record has."
    )
    number_classes: int = fields.option(
        0, "Number of classes; 0: what dataset.json says, or the highest label plus 1."
    )
    grid: str = fields.option(
        "check_data.png", "The picture to write: one image a class, with names."
    )
    max_duplicates: int = fields.option(0, "Duplicates that are no fault (ImageNet has some).")
    max_constant: int = fields.option(0, "Images of one colour that are no fault.")

    def __post_init__(self):
        fields.require_not_negative(
            self, "image_size", "number_classes", "max_duplicates", "max_constant"
        )
