"""The generator of a run as a SavedModel and a .keras file, for other programs:
python -m sagan_tf.tools.export checkpoint/imagenet_64 --out=generator
"""

from sagan_tf import cli, config


def main() -> None:
    export_config = cli.make(config.ExportConfig)
    from sagan_tf.viewing import export  # TensorFlow starts here, after the flags have been checked

    export.export(export_config)


if __name__ == "__main__":
    cli.define(config.ExportConfig)
    cli.run(main, "run")
