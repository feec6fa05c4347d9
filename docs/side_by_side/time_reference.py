"""Times training iterations of the reference's own code, brain-research/self-attention-gan.

The reference was written for TensorFlow 1.5. Here its files run unmodified in graph mode on the
compat.v1 interface of TensorFlow 2.15, on the CPU: its flags, its model.SNGAN (one tower), its
losses, its two Adam optimisers and train ops. Only what no longer exists, or is not wanted in a
measurement, is replaced while it is imported:
  - of tf.contrib: the Xavier initialiser, batch_norm (fused, moving averages in UPDATE_OPS), and
    image_grid, which only its summaries use (no summary is computed here);
  - scipy.misc and sympy, which its helpers import;
  - the reading of records: a fixed random batch lies in a variable instead.
One iteration is what its training loop does: the G op, the D op and the step counter, each in its
own session.run. z and the labels of fake images are drawn anew in both. Images are always 128 px.

To install and run (Python 3.9 to 3.11; DIR is a clone of the reference):
  pip install "tensorflow-cpu==2.15.*" "numpy<2"
  python time_reference.py --reference DIR
Then type Enter for each iteration, Ctrl-D to end; side_by_side.py does that for several programs.
"""

import importlib
import os
import sys
import types

import stepping

NEEDED = (
    "train_imagenet.py",
    "model.py",
    "generator.py",
    "discriminator.py",
    "ops.py",
    "non_local.py",
    "utils_ori.py",
)
INSTALL = 'pip install "tensorflow-cpu==2.15.*" "numpy<2"'


def import_tensorflow():
    """TensorFlow's compat.v1 interface with TensorFlow 1 behaviour."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow.compat.v1 as tf

        tf.disable_v2_behavior()
        tf.layers.batch_normalization  # noqa: B018  (gone with Keras 3, TensorFlow 2.16)
    except (ImportError, AttributeError) as error:
        raise ImportError(f"TensorFlow 2.15 is needed ({error}): {INSTALL}") from error
    tf.logging.set_verbosity(tf.logging.ERROR)
    return tf


def contrib(tf):
    """A stand-in for the few parts of tf.contrib that the reference uses."""

    def batch_norm(inputs, decay, epsilon, scale, is_training, scope):
        return tf.layers.batch_normalization(
            inputs,
            momentum=decay,
            epsilon=epsilon,
            scale=scale,
            training=is_training,
            fused=True,
            name=scope,
        )

    def image_grid(images, **_):
        return images

    layers = types.SimpleNamespace(
        xavier_initializer=tf.glorot_uniform_initializer, batch_norm=batch_norm
    )
    evaluation = types.SimpleNamespace(image_grid=image_grid, classifier_metrics=None)
    return types.SimpleNamespace(layers=layers, gan=types.SimpleNamespace(eval=evaluation))


def stand_ins(tf):
    """While this holds, the imports of the reference find what they ask for."""
    sympy = types.ModuleType("sympy")
    sympy.divisors = lambda number: [d for d in range(1, number + 1) if number % d == 0]
    scipy = types.ModuleType("scipy")
    scipy.misc = types.ModuleType("scipy.misc")
    tf.contrib = contrib(tf)
    return stepping.replaced_modules(
        {"tensorflow": tf, "sympy": sympy, "scipy": scipy, "scipy.misc": scipy.misc}
    )


def fixed_batch(tf, batch, classes):
    """One tower's batch, as the reference's reader gives it: images and labels [batch, 1].

    It lies in variables, so that nothing computed from it is folded into a constant.
    """
    images = tf.get_variable(
        "timed_images",
        [batch, 128, 128, 3],
        trainable=False,
        initializer=tf.random_uniform_initializer(-1.0, 1.0, seed=1),
    )
    labels = tf.get_variable(
        "timed_labels",
        trainable=False,
        initializer=tf.random_uniform([batch, 1], maxval=classes, dtype=tf.int32, seed=2),
    )
    return [(tf.identity(images), tf.identity(labels))]


def build(tf, reference, args):
    """The reference's model object, built as its train_imagenet.py builds it."""
    sys.path.insert(0, str(reference))
    with stand_ins(tf):
        train = importlib.import_module("train_imagenet")
    train.FLAGS(
        [
            "time_reference",
            "--num_towers=1",
            f"--batch_size={args.batch}",
            f"--gf_dim={args.gf_dim}",
            f"--df_dim={args.df_dim}",
            f"--number_classes={args.classes}",
        ]
    )
    if args.attention == 64:
        train.model.generator_module.generator_test = train.model.generator_module.generator_test_64
        train.model.disc.discriminator_test = train.model.disc.discriminator_test_64
    train.utils.get_imagenet_batches = lambda *_, **__: fixed_batch(tf, args.batch, args.classes)
    tf.set_random_seed(0)
    return train.model.SNGAN(
        zs=train.utils.make_z_normal(1, args.batch, train.FLAGS.z_dim),
        config=train.FLAGS,
        global_step=tf.train.create_global_step(),
        devices=["/cpu:0"],
    )


def prepare(args):
    """One training iteration as a function, and facts for the ready line."""
    reference = stepping.checked_folder(args.reference, NEEDED)
    tf = import_tensorflow()
    gan = build(tf, reference, args)
    session = tf.Session(
        config=tf.ConfigProto(
            intra_op_parallelism_threads=args.threads, inter_op_parallelism_threads=args.threads
        )
    )
    session.run(tf.global_variables_initializer())
    tf.get_default_graph().finalize()

    def iterate():
        for op in (gan.g_optim, gan.d_optim, gan.increment_global_step):
            session.run(op)

    return iterate, {
        "program": "reference",
        "attention": args.attention,
        "tensorflow": tf.__version__,
        "gf_dim": args.gf_dim,
        "df_dim": args.df_dim,
        "classes": args.classes,
        "threads": args.threads,
    }


def main():
    flags = stepping.parser("Times training iterations of the reference's own code.", batch=32)
    flags.add_argument("--reference", required=True, help="folder of the reference's clone")
    flags.add_argument(
        "--attention",
        type=int,
        choices=(32, 64),
        default=32,
        help="side of the map with attention; its own flags build 32 only, 64 "
        "puts its generator_test_64 and discriminator_test_64 in their place",
    )
    stepping.run(flags.parse_args(), prepare)


if __name__ == "__main__":
    main()
