"""Command that scores a run or an exported model."""

import functools

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Scores the images that a run or an exported model generates: Inception Score, FID, KID, "
    "precision, recall and more. It scores one checkpoint, every checkpoint (--all), or every "
    "checkpoint as training writes it (--watch). The results go into CHECKPOINT_DIR/eval, or into "
    "eval in the exported model.",
    example="checkpoint/imagenet_64",
    kinds=(config.EvalConfig,),
    argument="run",
)


def main() -> None:
    eval_config = cli.make(config.EvalConfig, config.protocol(cli.value("protocol")))
    eval_config.require_one_run(cli.given)

    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import evaluate, run_settings, watch

    # Take from the run what no flag says.
    watch.wait_for_run(eval_config)
    eval_config = run_settings.complete(eval_config, cli.given)
    may_shrink = not cli.given("eval_sample_size")

    # Score it.
    if eval_config.watch or eval_config.all:
        open_evaluation = functools.partial(evaluate.open_evaluation, may_shrink=may_shrink)
        watch.score_all(eval_config, open_evaluation=open_evaluation)
    else:
        evaluate.evaluate(eval_config, may_shrink=may_shrink)


if __name__ == "__main__":
    cli.run(COMMAND, main)
