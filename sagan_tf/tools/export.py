"""Command that exports a generator for other programs."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Exports the generator of a run as a SavedModel and a .keras file. Other programs load "
    "them without this package. RUN is a run's directory.",
    example="checkpoint/imagenet_64 --out=generator",
    kinds=(config.ExportConfig,),
    argument="run",
)


def main() -> None:
    export_config = cli.make(config.ExportConfig)
    from sagan_tf.viewing import export  # TensorFlow starts here, after the flags have been checked

    export.export(export_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
