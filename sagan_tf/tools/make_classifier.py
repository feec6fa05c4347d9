"""Command that trains a small classifier of a set of pictures, for its scores."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Trains a small classifier of your own classes, for scores without Inception. It tests "
    "the classifier on images that it has not seen. It suits sets that fit into memory.",
    example="data/emoji --out emoji_classifier",
    kinds=(config.ClassifierConfig,),
    argument="data_dir",
)


def main() -> None:
    options = cli.make(config.ClassifierConfig)
    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import small_classifier

    small_classifier.make_of_directory(options)


if __name__ == "__main__":
    cli.run(COMMAND, main)
