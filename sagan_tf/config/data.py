"""Settings of records: how they are prepared, checked and read."""

import dataclasses

from sagan_tf.config import fields, model


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """From pictures to records (`prepare_data`; the reference names a private program)."""

    source: str = fields.option(
        "",
        "The pictures: a folder of class folders; a flat folder (one class); "
        "ILSVRC2012_img_train.tar (a tar of tars, which is read as it is); tfds:NAME; or a "
        "directory that TensorFlow Datasets prepared.",
        required="the pictures",
        group="Pictures",
    )
    out: str = fields.option(
        "",
        "Directory for the records: a new one, or that of the same command before, which "
        "then continues.",
        required="a directory for the records",
        group="Records",
    )
    size: int = fields.option(
        128,
        "Side of the square images in pixels.",
        choices=model.IMAGE_SIZES,
        group="Records",
        meaning="the reference's only size",
    )
    encoding: str = fields.option(
        "raw",
        "How a record holds its image.\n"
        "raw: plain pixels.\n"
        "png: the same pixels in about half the space.\n"
        "jpeg: about a quarter of the space; pixels change slightly.",
        choices=("raw", "png", "jpeg"),
        group="Records",
        meaning="the format of the reference's records",
    )
    quality: int = fields.option(
        95,
        "Quality of --encoding=jpeg, from 1 to 100.",
        minimum=1,
        maximum=100,
        group="Records",
    )
    resize: str = fields.option(
        "legacy",
        "How the centre square of a picture is resized.\n"
        "legacy: the contrast of each picture is stretched to the full range; then bilinear.\n"
        "clean: Lanczos, without stretching.",
        choices=("legacy", "clean"),
        group="Records",
        meaning="bit for bit what made the reference's records",
    )
    shards: int = fields.option(
        0,
        "Number of record files.",
        minimum=0,
        group="Records",
        meaning="one for each 1,250 pictures, 1,024 at most",
    )
    workers: int = fields.option(
        0,
        "Number of processes. The bytes of the records do not depend on it.",
        minimum=0,
        group="Speed and memory",
        meaning="one for each core",
    )
    limit_per_class: int = fields.option(
        0,
        "Take this many pictures of each class, the first by name.",
        minimum=0,
        group="Pictures",
        meaning="all of them",
    )
    validation: float = fields.option(
        0.0,
        "Share of the pictures, from 0 up to 1, that goes to OUT/validation, with a dataset.json "
        "of its own. The others go to OUT. The picture's name and --seed alone decide.",
        minimum=0,
        below=1,
        group="Pictures",
        meaning="no validation split",
    )
    classes: str = fields.option(
        "",
        "A file with the name of one class a line. Only these classes are taken, labelled in this "
        "order.",
        group="Pictures",
        meaning="all classes, labelled in the order of their sorted names",
    )
    seed: int = fields.option(
        0,
        "Seed of the order of the records.",
        minimum=0,
        maximum=fields.SEEDS - 1,
        group="Records",
    )
    max_bad: float = fields.option(
        0.001,
        "Share of the pictures, from 0 to 1, that may be damaged. Damaged pictures are left out "
        "and listed. Of few pictures a twentieth may be damaged, at least one and at most ten; "
        "with 0 none may.",
        minimum=0,
        maximum=1,
        expected="a share from 0 to 1",
        group="Pictures",
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class DigitsConfig:
    """The embedded digits, made anew (`make_digits`)."""

    out: str = fields.option("data/digits", "Directory for the records.", group="Output")


@dataclasses.dataclass(frozen=True)
class EmojiConfig:
    """Pictures of emoji in class folders (`make_emoji`)."""

    out: str = fields.option(
        "emoji",
        "Directory for the class folders: a new or an empty one.",
        group="Output",
    )
    pictures: str = fields.option(
        "alike",
        "Which emoji of a class.\n"
        "alike: those that look alike. Animals are heads from the front, food is fruit and "
        "vegetables, vehicles are cars, buses and trains.\n"
        "all: whole groups, whose pictures differ more.",
        choices=("alike", "all"),
        group="Pictures",
    )
    font: str = fields.option(
        "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
        "The font: Noto Color Emoji with pictures in PNG. Debian has it as fonts-noto-color-emoji.",
        group="Pictures",
    )
    list: str = fields.option(
        "/usr/share/unicode/emoji/emoji-test.txt",
        "The list of all emoji and their groups. Debian has it in unicode-data.",
        group="Pictures",
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """The check of a directory of records (`check_data`)."""

    data_dir: str = fields.option("data", "Directory that holds the *.tfrecords.", group="Data")
    image_size: int = fields.option(
        0,
        "Side in pixels that every image must have.",
        minimum=0,
        group="Data",
        meaning="what dataset.json says; without one, the side of the first record",
    )
    number_classes: int = fields.option(
        0,
        "Number of classes that every label must be below.",
        minimum=0,
        group="Data",
        meaning="what dataset.json says; without one, the highest label plus 1",
    )
    grid: str = fields.option(
        "check_data.png", "The picture to write: one image of each class.", group="Output"
    )
    max_duplicates: int = fields.option(
        0,
        "Number of duplicates that are not counted as faults. ImageNet has some.",
        minimum=0,
        group="Checks",
    )
    max_constant: int = fields.option(
        0,
        "Number of images of a single colour that are not counted as faults.",
        minimum=0,
        group="Checks",
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the records are and how they are read for training."""

    data_dir: str = fields.option(
        "data",
        "Directory that holds the *.tfrecords, or that TensorFlow Datasets prepared. It may be on "
        "gs://.",
        group="Data",
    )
    shuffle_buffer_size: int = fields.option(
        100000,
        "Number of records that are held in memory to be shuffled.",
        above=0,
        group="Data",
        reference="train_imagenet.py:43",
    )
    shuffle_memory_mb: int = fields.option(
        5000,
        "Upper limit in MB for the shuffle buffer. If --shuffle_buffer_size records need more, "
        "fewer are held. The reference's 100,000 records of 128 px need 4,920.",
        above=0,
        group="Data",
    )
    balance_classes: bool = fields.option(
        False,
        "Shows the discriminator real images of each class about equally often, as the "
        "generator's labels are drawn: in each pass over the data an image of a small class comes "
        "several times. All records are read once at the start, to count the classes.",
        group="Data",
    )
    data_parallelism: int = fields.option(
        64,
        "Number of positions in the record files that are read in parallel.",
        above=0,
        group="Data",
        reference="model.py:47",
    )

    def __post_init__(self):
        fields.check(self)
