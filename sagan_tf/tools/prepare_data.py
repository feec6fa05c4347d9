"""Command that makes records from pictures."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Makes records from pictures. It crops and resizes them, labels them by their folders, "
    "and describes the records in dataset.json. A preparation that was stopped continues with the "
    "same command.",
    example="--source=pictures --out=data/pictures --size=64",
    kinds=(config.PrepareConfig,),
)


def main() -> None:
    prepare_config = cli.make(config.PrepareConfig)
    from sagan_tf.data import prepare  # Not above: worker processes import this file too.

    prepare.prepare(prepare_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
