"""Settings of the training data and of a training run."""

import dataclasses

from sagan_tf.config import augmentation_names, fields, optimization_names

LOSS_TYPES = ("hinge_loss", "kl_loss")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the records are and how they are read for training."""

    data_dir: str = fields.option(
        "data",
        "Directory that holds the *.tfrecords, or that TensorFlow Datasets prepared; may be gs://.",
    )
    shuffle_buffer_size: int = fields.option(
        100000, "Records held in memory to be shuffled.", above=0
    )
    shuffle_memory_mb: int = fields.option(
        5000,
        "Megabytes of records held in memory to be shuffled: fewer than "
        "--shuffle_buffer_size where that many would take more. (Not in the reference: its "
        "100,000 records take 4,920.)",
        above=0,
    )
    data_parallelism: int = fields.option(
        64, "Places of the record files read at the same time.", above=0
    )

    def __post_init__(self):
        fields.check(self)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training run: batch, optimizers, length, and what is written when."""

    checkpoint_dir: str = fields.option(
        "checkpoint", "Directory of runs; this run lives in <checkpoint_dir>/imagenet_<batch_size>."
    )
    batch_size: int = fields.option(
        64,
        "Images per tower. A tower is the group that batch norm takes its moments over.",
        above=0,
    )
    num_towers: int = fields.option(
        4,
        "Towers per step; batch_size * num_towers images make one step, on any number of "
        "devices that divides num_towers.",
        above=0,
    )
    strategy: str = fields.option(
        "auto",
        "Devices: one_device; mirrored, those of this machine; multi_worker, those of all "
        "machines that TF_CONFIG names; tpu, that of this TPU VM; auto: multi_worker where "
        "TF_CONFIG names several, tpu where TPU_NAME is set, else mirrored. (Not in the "
        "reference.)",
        choices=STRATEGIES,
    )
    num_devices: int = fields.option(
        0,
        "Devices to train on; 0: every GPU, or one CPU device where there is none. On a machine "
        "without GPU, a number above 1 makes that many logical CPU devices. (Not in the "
        "reference: its towers were its devices.)",
        minimum=0,
    )
    worker_timeout: int = fields.option(
        300,
        "With --strategy=multi_worker: seconds to wait for the other workers to appear, and "
        "for one that hangs; more than a save takes. (Not in the reference.)",
        above=0,
    )
    bn_group: int = fields.option(
        0,
        "Images that batch norm takes its moments over: a multiple of batch_size, which may "
        "span devices; 0: batch_size, as in the reference.",
        minimum=0,
    )
    accumulate: int = fields.option(
        1,
        "Parts in which a device runs its towers, one after the other, adding up gradients: "
        "less memory, the same result. (Not in the reference.)",
        above=0,
    )
    mixed_precision: str = fields.option(
        "float32",
        "What convolutions and activations compute in; variables, SN, batch moments, "
        "attention's logits and softmax, D's logits, losses and Adam are float32. float16 scales "
        "the losses, by as much as the gradients bear. (Not in the reference.)",
        choices=PRECISIONS,
    )
    tensor_float_32: bool = fields.option(
        False,
        "Let a GPU round what float32 convolutions and products multiply to 10 bits "
        "(TensorFloat-32): several times as fast. (Not in the reference.)",
    )
    jit_compile: bool = fields.option(
        False, "Compile forward and backward passes with XLA. (Not in the reference.)"
    )
    optimizations: str = fields.option(
        "auto",
        "Ways to the same numbers, but for rounding, in less time, separated by commas: "
        + "; ".join(f"{name}: {text}" for name, text in optimization_names.OPTIMIZATIONS.items())
        + "; auto: those "
        "that were measured to pay on a CPU, and joint_batch; on a GPU, where nothing has been "
        "measured yet, the same without up_conv, down_conv and wide_conv; none. -name takes one "
        "away; up_conv:64 applies it to maps of side 64 and more. (Not in the reference.)",
    )
    deterministic: bool = fields.option(
        False,
        "Use deterministic kernels only: slower, and a repeated run is the same to the last "
        "bit on the same machine. (Not in the reference.)",
    )
    graph_optimizer: bool = fields.option(
        True,
        "Let TensorFlow's graph optimizer (Grappler) rework the step. Without it a run on a "
        "CPU starts some seconds sooner, at the same speed and with 6 to 9 % more memory; not "
        "tried on a GPU. (Not in the reference.)",
    )
    d_step: int = fields.option(1, "Discriminator steps per iteration.", above=0)
    g_step: int = fields.option(1, "Generator steps per iteration.", above=0)
    discriminator_learning_rate: float = fields.option(4e-4, "Adam's learning rate of D.", above=0)
    generator_learning_rate: float = fields.option(1e-4, "Adam's learning rate of G.", above=0)
    beta1: float = fields.option(0.0, "Adam's beta1, of both optimizers.", minimum=0, below=1)
    beta2: float = fields.option(
        0.999,
        "Adam's beta2, of both optimizers (the reference's code; the paper says 0.9).",
        minimum=0,
        below=1,
    )
    ema_decay: float = fields.option(
        0.0,
        "Decay of an exponential moving average of the generator, one step an iteration; 0: "
        "none, as in the reference. 0.999 is what the best public run used.",
        minimum=0,
        below=1,
    )
    ema_start: int = fields.option(
        0,
        "Iteration up to which the average just follows the generator. (Not in the reference.)",
        minimum=0,
    )
    use_ema: bool = fields.option(
        False, "Draw the sample grids from the average. (Not in the reference.)"
    )
    loss_type: str = fields.option("hinge_loss", "Loss: hinge_loss or kl_loss.", choices=LOSS_TYPES)
    augment: str = fields.option(
        augmentation_names.NONE,
        "Augmentation of what the discriminator sees, of real and of generated images alike: none; "
        "diffaugment (Zhao et al., 2020), every image always; ada (Karras et al., 2020), every "
        "image with a probability that follows how D judges real images. For small data. (Not in "
        "the reference.)",
        choices=augmentation_names.METHODS,
    )
    augment_policy: str = fields.option(
        augmentation_names.ALL,
        "Transformations of --augment, separated by commas; all: those of the paper. diffaugment: "
        "color, translation, cutout, in the order given. ada: blit (xflip, rotate90, xint), geom "
        "(scale, rotate, aniso, xfrac), color (brightness, contrast, lumaflip, hue, saturation), "
        "bg, bgc, or single ones of these. (Not in the reference.)",
    )
    ada_target: float = fields.option(
        0.6,
        "With --augment=ada: mean sign of D(real) that the probability is moved towards. (Not in "
        "the reference.)",
        minimum=-1,
        maximum=1,
    )
    ada_kimg: float = fields.option(
        500.0,
        "With --augment=ada: thousands of real images in which the probability can go from 0 to "
        "1; 0: it stays at --ada_start. (Not in the reference.)",
        minimum=0,
    )
    ada_start: float = fields.option(
        0.0,
        "With --augment=ada: the probability that the run begins with. (Not in the reference.)",
        minimum=0,
        maximum=1,
    )
    mirror: bool = fields.option(
        False,
        "Turn every second real image, drawn at random, left to right: as twice the images, where "
        "left and right mean the same. (Not in the reference.)",
    )
    max_steps: int = fields.option(
        1_000_000,
        "Iteration to stop at, counted from the start of the run (paper: 1,000,000; "
        "the reference's code: 2,000,000).",
        above=0,
    )
    seed: int = fields.option(
        0,
        "Seed of initial weights, z, fake labels and the order of the data.",
        minimum=0,
        maximum=fields.SEEDS - 1,
    )
    steps_per_loop: int = fields.option(
        0,
        "Iterations between two looks of the host at the device; 0: as many as take about two "
        "seconds, at most 100. The numbers computed do not depend on it.",
        minimum=0,
    )
    save_summaries_steps: int = fields.option(
        200, "Iterations between two rows of losses.", above=0
    )
    save_checkpoint_secs: int = fields.option(1200, "Seconds between two checkpoints.", minimum=0)
    sample_every: int = fields.option(
        1000, "Iterations between two sample grids; 0: none.", minimum=0
    )
    attention_every: int = fields.option(
        5000,
        "Iterations between two figures of attention maps in TensorBoard; 0: none. (Not in "
        "the reference.)",
        minimum=0,
    )
    keep_checkpoints: int = fields.option(5, "Newest checkpoints that are kept.", above=0)
    summary_dir: str = fields.option(
        "", "Directory for TensorBoard's events; empty: the run's own. (Not in the reference.)"
    )
    on_nonfinite: str = fields.option(
        "stop",
        "When a loss, gradient or weight is not finite: stop; or rollback, go back to the "
        "last checkpoint and on with other random numbers. (Not in the reference.)",
        choices=("stop", "rollback"),
    )
    max_rollbacks: int = fields.option(
        3,
        "With --on_nonfinite=rollback: how often, counted with the checkpoints, before the run "
        "stops. (Not in the reference.)",
        minimum=0,
    )
    health_every: int = fields.option(
        1000,
        "Iterations between two looks at the health of spectral normalisation and at the "
        "variety of the samples; 0: none. (Not in the reference.)",
        minimum=0,
    )

    def __post_init__(self):
        fields.check(self)
        optimization_names.optimizations(self.optimizations, "CPU")
        augmentation_names.policies(self.augment, self.augment_policy)

        # Check what must fit together.
        towers = self.bn_group / self.batch_size
        images = self.batch_size * self.num_towers
        fields.require_all(
            self,
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
        return fields.run_directory(self.checkpoint_dir, self.batch_size)
