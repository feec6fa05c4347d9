"""Command that compiles the training step for a GPU or TPU that is not here."""

from sagan_tf import cli, config
from sagan_tf.benchmarks.ahead import run_saved

KINDS = (config.CompileAheadConfig, config.ModelConfig, config.TrainConfig)
COMMAND = config.Command(
    about="Compiles the training step for a GPU or TPU that is not here. It prints what the "
    "program multiplies, moves and keeps in memory, and how long that takes at given shares of the "
    "device's peaks. Nothing is run, but with --run, which needs JAX and a device. The compilers "
    'are those of JAX (pip install -e ".[ahead]").',
    example="--device=v5p optimizations=auto optimizations=none",
    kinds=KINDS,
    argument="compare",
)


def main() -> None:
    options, model_config, train_config = (cli.make(kind) for kind in KINDS)
    if options.run:
        run_saved.run(options.run, rounds=options.rounds, json_file=options.json)
        return
    from sagan_tf.benchmarks import setting  # TensorFlow starts after the flags are checked.
    from sagan_tf.benchmarks.ahead import ahead

    ahead.run(options, setting.Setting(model_config, train_config))


if __name__ == "__main__":
    cli.run(COMMAND, main)
