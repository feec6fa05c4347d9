"""Command that carries weights between this project, the reference and PyTorch projects."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Converts checkpoints of the reference (TensorFlow 1), and writes weights for PyTorch. "
    "--direction=import makes a run directory that training and evaluation continue from. "
    "--direction=export makes a checkpoint that the reference restores. --to=torch-state-dict "
    "writes the networks of a run with the names of mmgeneration or PyTorch-StudioGAN; PyTorch is "
    "not needed.",
    example="--path=model.ckpt-1000000 --checkpoint_dir=checkpoint",
    kinds=(config.ConvertConfig, config.ModelConfig, config.TrainConfig),
)


def main() -> None:
    options = cli.make(config.ConvertConfig)
    train_config = cli.make(config.TrainConfig)
    model_config = cli.make(config.ModelConfig)
    from sagan_tf.runs import conversion  # TensorFlow starts here, after the flags were checked

    if options.to_torch:
        for line in conversion.export_state_dicts(options, train_config.run_dir, note=print):
            print(line)
    elif options.exports:
        step = conversion.export_run(
            options.path, train_config, step=options.checkpoint_step, note=print
        )
        print(f"step {step}: {train_config.run_dir} -> {options.path}")
    else:
        step = conversion.import_run(
            options.path, model_config, train_config=train_config, note=print
        )
        print(f"step {step}: {options.path} -> {train_config.run_dir}")


if __name__ == "__main__":
    cli.run(COMMAND, main)
