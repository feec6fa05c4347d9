"""Times training iterations of this project, through its own training loop.

What is timed is one call of the compiled loop, of one iteration, on a batch read from record files
of random images: `sagan_tf.benchmarks.workload.Workload` does it. Images are of 128 px, in one
tower, unless `--set` says otherwise. TF_ENABLE_ONEDNN_OPTS=1 in front gives the kernels that our
commands take.

To install and run, from the root of the project:
  pip install .
  python docs/side_by_side/time_ours.py --set "mixed_precision=bfloat16"
Then type Enter for each iteration, Ctrl-D to end; side_by_side.py does that for several programs.
"""

import contextlib
import os

import stepping


def prepare(args):
    """One training iteration as a function, and facts for the ready line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    from sagan_tf import config, errors
    from sagan_tf.benchmarks import workload
    from sagan_tf.benchmarks.setting import Setting

    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    setting = Setting(
        config.ModelConfig(gf_dim=args.gf_dim, df_dim=args.df_dim, number_classes=args.classes),
        config.TrainConfig(batch_size=args.batch, num_towers=1),
    )
    held = contextlib.ExitStack()  # The records stay until the program ends.
    try:
        setting = setting.changed(args.set)
        data = held.enter_context(workload.random_records(setting))
        step = workload.Workload(setting, "train", data_config=data)
    except errors.UserError as error:
        raise ValueError(str(error).replace("--compare", "--set")) from error

    def iterate(held=held):
        step.seconds()

    return iterate, {
        "program": "ours",
        "batch": setting.batch,
        "set": args.set,
        "tensorflow": tf.__version__,
        "optimizations": step.gan.optimizations,
        "gf_dim": args.gf_dim,
        "df_dim": args.df_dim,
        "classes": args.classes,
        "threads": args.threads,
    }


def main():
    flags = stepping.parser("Times training iterations of this project.", batch=32)
    flags.add_argument(
        "--set",
        default="",
        help='flags of training, as in "mixed_precision=bfloat16 optimizations=none"',
    )
    stepping.run(flags.parse_args(), prepare)


if __name__ == "__main__":
    main()
