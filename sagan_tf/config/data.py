"""Settings of the preparation and of the check of records."""

import dataclasses

from sagan_tf.config import fields, model


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """From pictures to records (`prepare_data`; the reference names a private program)."""

    source: str = fields.option(
        "",
        "The pictures: a folder of class folders, or of pictures without classes (one class), "
        "ILSVRC2012_img_train.tar (a tar of tars, "
        "which is not unpacked), tfds:NAME, or a directory that TensorFlow Datasets prepared.",
        required="the pictures",
    )
    out: str = fields.option(
        "",
        "Directory for the records; new, or that of the same command before.",
        required="a directory for the records",
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
    quality: int = fields.option(95, "Quality of JPEG, 1 to 100.", minimum=1, maximum=100)
    resize: str = fields.option(
        "legacy",
        "legacy: bit for bit what the reference's records were made with (each image "
        "stretched to the full range, then bilinear); clean: centre crop and Lanczos, no stretch.",
        choices=("legacy", "clean"),
    )
    shards: int = fields.option(
        0, "Record files; 0: one for each 1,250 pictures, at most 1,024.", minimum=0
    )
    workers: int = fields.option(
        0, "Processes; 0: one for each core. The bytes do not depend on it.", minimum=0
    )
    limit_per_class: int = fields.option(
        0, "Pictures of each class, the first by name; 0: all.", minimum=0
    )
    classes: str = fields.option(
        "",
        "A file with the name of one class a line: take these, labelled in this order. Without "
        "it labels follow the sorted names of all classes.",
    )
    seed: int = fields.option(
        0, "Seed of the order of the records.", minimum=0, maximum=fields.SEEDS - 1
    )
    max_bad: float = fields.option(
        0.001,
        "Share of the pictures, 0 to 1, that may be damaged; they are left out and listed.",
        minimum=0,
        maximum=1,
        expected="a share from 0 to 1",
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """The check of a directory of records (`check_data`)."""

    data_dir: str = fields.option("data", "Directory that holds the *.tfrecords.")
    image_size: int = fields.option(
        0,
        "Side that the images must have; 0: what dataset.json says, or the first record has.",
        minimum=0,
    )
    number_classes: int = fields.option(
        0, "Number of classes; 0: what dataset.json says, or the highest label plus 1.", minimum=0
    )
    grid: str = fields.option(
        "check_data.png", "The picture to write: one image a class, with names."
    )
    max_duplicates: int = fields.option(
        0, "Duplicates that are no fault (ImageNet has some).", minimum=0
    )
    max_constant: int = fields.option(0, "Images of one colour that are no fault.", minimum=0)

    def __post_init__(self):
        fields.check(self)
