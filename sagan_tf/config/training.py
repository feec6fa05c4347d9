"""Settings of a training run."""

import dataclasses
from typing import Optional

from sagan_tf.config import augmentation_names, fields, optimization_names

LOSS_TYPES = ("hinge_loss", "kl_loss")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training run: batch, optimizers, length, and what is written when."""

    checkpoint_dir: str = fields.option(
        "checkpoint",
        "Directory of runs. This run has a directory of its own in it.",
        group="Run",
        reference="train_imagenet.py:40",
    )
    run_name: Optional[str] = fields.option(
        None,
        "Name of this run's directory in --checkpoint_dir.",
        group="Run",
        meaning="imagenet_BATCH_SIZE, as in the reference",
    )
    init_from: str = fields.option(
        "",
        "What a new run begins with: the directory of another run, or of a model that export "
        "--for_training wrote. D comes from there, and G's moving average, or G where there is "
        "none. Their settings must be the same, but for the number of classes. Without SN in G "
        "and --block=residual, --gf_dim may be larger: G begins with the same images.",
        group="Run",
        meaning="new networks",
    )
    batch_size: int = fields.option(
        64,
        "Images per tower. A tower is the group of images that batch norm takes its moments over.",
        above=0,
        group="Batch and devices",
        reference="train_imagenet.py:42",
    )
    num_towers: int = fields.option(
        4,
        "Towers per step. A step takes batch_size * num_towers images, on any number of devices "
        "that divides num_towers.",
        above=0,
        group="Batch and devices",
        reference="train_imagenet.py:59",
    )
    strategy: str = fields.option(
        "auto",
        "Where training runs.\n"
        "one_device: on one device of this machine.\n"
        "mirrored: on all devices of this machine.\n"
        "multi_worker: on all devices of the machines that TF_CONFIG names.\n"
        "tpu: on the TPU of this TPU VM.\n"
        "auto: multi_worker where TF_CONFIG names several machines, tpu where TPU_NAME is set, and "
        "mirrored otherwise.",
        choices=STRATEGIES,
        group="Batch and devices",
    )
    num_devices: int = fields.option(
        0,
        "Number of devices to train on. On a machine without a GPU, a number above 1 makes that "
        "many logical CPU devices.",
        minimum=0,
        group="Batch and devices",
        meaning="every GPU, or one CPU device where there is no GPU",
    )
    worker_timeout: int = fields.option(
        300,
        "With --strategy=multi_worker: seconds to wait for workers that do not appear or do not "
        "answer. It must be longer than a save takes.",
        above=0,
        group="Faults and health",
    )
    bn_group: int = fields.option(
        0,
        "Images that batch norm takes its moments over: a multiple of --batch_size, which may "
        "span devices.",
        minimum=0,
        group="Batch and devices",
        meaning="--batch_size, as in the reference",
    )
    accumulate: int = fields.option(
        1,
        "Number of parts in which a device runs its towers, one after the other, adding up the "
        "gradients. More parts need less memory; the result is the same.",
        above=0,
        group="Speed and memory",
    )
    mixed_precision: str = fields.option(
        "float32",
        "Precision of convolutions and activations. Weights, spectral normalisation, batch "
        "moments, attention's softmax, D's logits, losses and Adam stay in float32. With float16 "
        "the losses are scaled as far as the gradients allow.",
        choices=PRECISIONS,
        group="Speed and memory",
    )
    tensor_float_32: bool = fields.option(
        False,
        "Let a GPU use TensorFloat-32: float32 convolutions and products round their factors to "
        "10 bits, and are several times as fast.",
        group="Speed and memory",
    )
    jit_compile: bool = fields.option(
        False, "Compile the forward and backward passes with XLA.", group="Speed and memory"
    )
    optimizations: str = fields.option(
        "auto",
        "Faster ways to the same numbers, up to rounding. Give auto, none, or names with commas "
        "between them. -name takes one away from auto; up_conv:64 applies one to maps of side 64 "
        "and more. auto takes what was measured to pay on a CPU, and what moves fewer bytes in "
        "XLA's programs for GPUs and TPUs. For bfloat16 on a CPU with instructions for it "
        "(avx512_bf16, amx_bf16) it takes small_conv instead of wide_conv. relu, one_pass and "
        "kernel_sums need --jit_compile or a TPU.\n"
        + "\n".join(f"{name}: {text}." for name, text in optimization_names.OPTIMIZATIONS.items()),
        group="Speed and memory",
    )
    deterministic: bool = fields.option(
        False,
        "Use deterministic kernels only. They are slower; with --nograph_optimizer a repeated run "
        "gives the same bits on the same machine.",
        group="Speed and memory",
    )
    graph_optimizer: bool = fields.option(
        True,
        "Let TensorFlow's graph optimizer (Grappler) rework the step. Without it a run on a CPU "
        "starts some seconds sooner, is as fast, and takes 6 to 9 % more memory. It was not tried "
        "on a GPU.",
        group="Speed and memory",
    )
    threads_per_op: int = fields.option(
        0,
        "Threads of one operation on a CPU. With 1 each takes one core, and several run at once, "
        "which is faster for small networks.",
        minimum=0,
        group="Speed and memory",
        meaning="all cores",
    )
    d_step: int = fields.option(
        1,
        "Discriminator steps per iteration.",
        above=0,
        group="Losses and optimizers",
        reference="train_imagenet.py:60",
    )
    g_step: int = fields.option(
        1,
        "Generator steps per iteration.",
        above=0,
        group="Losses and optimizers",
        reference="train_imagenet.py:61",
    )
    discriminator_learning_rate: float = fields.option(
        4e-4,
        "Adam's learning rate for the discriminator.",
        above=0,
        group="Losses and optimizers",
        reference="model.py:38",
    )
    generator_learning_rate: float = fields.option(
        1e-4,
        "Adam's learning rate for the generator.",
        above=0,
        group="Losses and optimizers",
        reference="model.py:40",
    )
    beta1: float = fields.option(
        0.0,
        "Adam's beta1, for both optimizers.",
        minimum=0,
        below=1,
        group="Losses and optimizers",
        reference="model.py:42",
    )
    beta2: float = fields.option(
        0.999,
        "Adam's beta2, for both optimizers. The paper says 0.9.",
        minimum=0,
        below=1,
        group="Losses and optimizers",
        reference="model.py:135, which leaves it to TensorFlow",
    )
    decay_steps: int = fields.option(
        0,
        "Iterations before --max_steps in which both learning rates fall to 0 on a straight line, "
        "as in SNGAN-projection.",
        minimum=0,
        group="Losses and optimizers",
        meaning="the rates stay, as in the reference",
    )
    ema_decay: float = fields.option(
        0.0,
        "Decay of an exponential moving average of the generator, updated once an iteration. "
        "0.999 is what the best public run used.",
        minimum=0,
        below=1,
        group="Losses and optimizers",
        meaning="no average, as in the reference",
    )
    ema_start: int = fields.option(
        0,
        "Iteration up to which the average just copies the generator.",
        minimum=0,
        group="Losses and optimizers",
    )
    use_ema: bool = fields.option(
        False,
        "Draw the sample grids with the average's weights.",
        group="Logs, samples and checkpoints",
    )
    loss_type: str = fields.option(
        "hinge_loss",
        "Loss of the discriminator.",
        choices=LOSS_TYPES,
        group="Losses and optimizers",
        reference="model.py:53",
    )
    augment: str = fields.option(
        augmentation_names.NONE,
        "Augmentation of what the discriminator sees, real and generated images alike. It helps "
        "where the images are few.\n"
        "diffaugment: every image, always (Zhao et al., 2020).\n"
        "ada: with a probability that follows how D judges real images (Karras et al., 2020).",
        choices=augmentation_names.METHODS,
        group="Augmentation",
    )
    augment_policy: str = fields.option(
        augmentation_names.ALL,
        "Transformations of --augment, separated by commas.\n"
        "diffaugment: color, translation, cutout, in the order given.\n"
        "ada, always in this order: blit (xflip, rotate90, xint), geom (scale, rotate, aniso, "
        "xfrac), color (brightness, contrast, lumaflip, hue, saturation), bg, bgc, or single "
        "ones.",
        group="Augmentation",
        meaning="those of the paper",
    )
    ada_target: float = fields.option(
        augmentation_names.ADA_DEFAULTS["ada_target"],
        "With --augment=ada: the mean sign of D(real) that the probability aims at.",
        minimum=-1,
        maximum=1,
        group="Augmentation",
    )
    ada_kimg: float = fields.option(
        augmentation_names.ADA_DEFAULTS["ada_kimg"],
        "With --augment=ada: thousands of real images in which the probability can go from 0 to 1. "
        "With 0 it stays as it is: at --ada_start in a new run.",
        minimum=0,
        group="Augmentation",
    )
    ada_start: float = fields.option(
        augmentation_names.ADA_DEFAULTS["ada_start"],
        "With --augment=ada: the probability that the run begins with.",
        minimum=0,
        maximum=1,
        group="Augmentation",
    )
    mirror: bool = fields.option(
        False,
        "Turn every second real image, drawn at random, left to right. This doubles the images "
        "where left and right mean the same.",
        group="Augmentation",
    )
    max_steps: int = fields.option(
        1_000_000,
        "Iteration to stop at, counted from the start of the run. The reference's code stops at "
        "2,000,000.",
        above=0,
        group="Run",
        meaning="as in the paper",
    )
    seed: int = fields.option(
        0,
        "Seed of the initial weights, of z, of the fake labels and of the order of the data.",
        minimum=0,
        maximum=fields.SEEDS - 1,
        group="Run",
    )
    steps_per_loop: int = fields.option(
        0,
        "Iterations that run on the device between two checks by the host. The results do not "
        "depend on it.",
        minimum=0,
        group="Speed and memory",
        meaning="about two seconds' worth, at most 100",
    )
    save_summaries_steps: int = fields.option(
        200,
        "Iterations between two rows of losses.",
        above=0,
        group="Logs, samples and checkpoints",
        reference="train_imagenet.py:45",
    )
    save_checkpoint_secs: int = fields.option(
        1200,
        "Seconds between two checkpoints.",
        minimum=0,
        group="Logs, samples and checkpoints",
        reference="train_imagenet.py:47",
    )
    sample_every: int = fields.option(
        1000,
        "Iterations between two grids of samples; 0 draws none.",
        minimum=0,
        group="Logs, samples and checkpoints",
    )
    attention_every: int = fields.option(
        5000,
        "Iterations between two figures of attention maps in TensorBoard; 0 draws none. A network "
        "without attention has none to draw.",
        minimum=0,
        group="Logs, samples and checkpoints",
    )
    keep_checkpoints: int = fields.option(
        5,
        "Number of checkpoints that are kept, the newest ones.",
        above=0,
        group="Logs, samples and checkpoints",
    )
    summary_dir: str = fields.option(
        "",
        "Directory for TensorBoard's events.",
        group="Logs, samples and checkpoints",
        meaning="the run's own directory",
    )
    on_nonfinite: str = fields.option(
        "stop",
        "What to do when a loss, a gradient or a weight is not finite. rollback returns to the "
        "last checkpoint and continues with other random numbers.",
        choices=("stop", "rollback"),
        group="Faults and health",
    )
    max_rollbacks: int = fields.option(
        3,
        "With --on_nonfinite=rollback: rollbacks in the whole life of the run, after which it "
        "stops.",
        minimum=0,
        group="Faults and health",
    )
    health_every: int = fields.option(
        1000,
        "Iterations between two checks of spectral normalisation and of the variety of the "
        "samples; 0 makes none. Before the first of them there are up to nine more.",
        minimum=0,
        group="Faults and health",
    )

    def __post_init__(self):
        fields.check(self)
        optimization_names.optimizations(self.optimizations, "CPU")
        augmentation_names.policies(self.augment, self.augment_policy)

        # Check the flags of adaptive augmentation.
        is_ada = self.augment == augmentation_names.ADA
        for name, default in augmentation_names.ADA_DEFAULTS.items():
            holds = is_ada or getattr(self, name) == default
            expected = (
                f"--augment=ada with it, or --{name}={default:g} after a flagfile that sets it"
            )
            fields.require_field(self, name, holds=holds, expected=expected)

        # Check what must fit together.
        towers = self.bn_group / self.batch_size
        images = self.batch_size * self.num_towers
        fields.require_all(
            self,
            fields.run_name_rule(self.run_name),
            ("use_ema", self.ema_decay > 0 or not self.use_ema, "an --ema_decay above 0 with it"),
            (
                "bn_group",
                towers == int(towers) and (not towers or self.num_towers % int(towers) == 0),
                f"a multiple of --batch_size={self.batch_size} that "
                f"divides the {images} images of a step",
            ),
            (
                "accumulate",
                self.num_towers % self.accumulate == 0,
                f"a divisor of --num_towers={self.num_towers}",
            ),
        )

    @property
    def group_size(self) -> int:
        """Images that batch norm takes its moments over."""
        return self.bn_group or self.batch_size

    @property
    def run_dir(self) -> str:
        """The directory of this run (reference `train_imagenet.py:79-80`)."""
        return fields.run_directory(self.checkpoint_dir, self.batch_size, self.run_name)
