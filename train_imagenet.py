"""Trains SAGAN: python train_imagenet.py --generator_type test --data_dir ./data"""

from sagan_tf import cli, config


def main() -> None:
    configs = [cli.make(kind) for kind in KINDS]
    from sagan_tf import train_lib  # TensorFlow starts here, after the flags have been checked

    train_lib.train(*configs, dry_run=cli.value("dry_run"))


KINDS = (config.ModelConfig, config.DataConfig, config.TrainConfig)

if __name__ == "__main__":
    cli.define(*KINDS)
    cli.define_switch("dry_run", "Check everything, print the full configuration, parameter "
                      "counts, devices and what the data holds, and leave.")
    cli.run(main)
