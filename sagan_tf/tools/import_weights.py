"""Command that imports ImageNet weights of other projects."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Imports weights of mmgeneration, TF-GAN, PyTorch-StudioGAN or SNGAN-projection. Without "
    "--path it lists what is published and the commands that follow; it downloads nothing. With "
    "it, the weights become an exported model, or a run to train on. Nothing in the files is "
    "executed, and neither PyTorch nor Chainer is needed.",
    example="--source=mmgen --path=sagan.pth --out=imported",
    kinds=(config.ImportConfig,),
)


def main() -> None:
    options = cli.make(config.ImportConfig)
    from sagan_tf.viewing import import_weights  # TensorFlow starts here, after the flags

    import_weights.import_weights(options)


if __name__ == "__main__":
    cli.run(COMMAND, main)
