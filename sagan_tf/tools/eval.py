"""Command that scores a run."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Scores the images that a run generates: Inception Score, FID, KID, precision, recall "
    "and more. It scores one checkpoint, every checkpoint (--all), or every checkpoint as training "
    "writes it (--watch). The results go into CHECKPOINT_DIR/eval.",
    example="--data_dir=data/imagenet --checkpoint_dir=checkpoint",
    kinds=(config.EvalConfig,),
)


def main() -> None:
    eval_config = cli.make(config.EvalConfig, config.protocol(cli.value("protocol")))

    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import evaluate, watch

    if eval_config.watch or eval_config.all:
        watch.score_all(eval_config)
    else:
        evaluate.evaluate(eval_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
