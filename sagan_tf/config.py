"""What can be set, with its default, its meaning and the check it must pass.

Frozen dataclasses, standard library only. `cli.py` turns every field into a flag of the same
name, so a field's `help` is also the flag's help text. Defaults are the reference's
(brain-research/self-attention-gan, `train_imagenet.py:35-61`, `model.py:33-56`,
`eval_imagenet.py:36-76`); fields that the reference does not have say so.
"""

import dataclasses
import os
import signal
from typing import Any, Optional

# Attention sits on the map of this side; None: the network has no attention block.
ATTENTION_OF_TYPE = {"test": 32, "test_64": 64, "baseline": None}
LOSS_TYPES = ("hinge_loss", "kl_loss")
IMAGE_SIZES = (32, 64, 128, 256)
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "bfloat16", "float16")
# Ways to the same numbers (but for rounding) in less time, by the names of --optimizations. Those
# of a map apply from a size on: of the larger of the two maps that the convolution lies between.
OPTIMIZATIONS = {
    "up_conv": "upsampling and the 3x3 convolution after it as one transposed convolution of "
               "stride 2",
    "down_conv": "a 3x3 convolution and the pooling after it as one convolution of stride 2",
    "shortcut": "1x1 convolutions on the smaller of two maps",
    "wide_conv": "bfloat16 and float16 convolutions multiply in float32, for CPUs",
    "joint_batch": "real and generated images through D in one batch, so that its weights are "
                   "normalised once",
    "spectral_norm": "spectral normalisation with a gradient written by hand, in fewer passes over "
                     "the weights",
    "batch_norm": "batch norm and ReLU with a gradient written by hand, in fewer passes",
    "adam": "Adam as TensorFlow's one kernel",
}
_SIZED = ("up_conv", "down_conv")
# What `auto` means: name -> smallest side. Measured on a CPU only (docs/performance.md).
_ANYWHERE = {"shortcut": 0, "joint_batch": 0, "spectral_norm": 0, "batch_norm": 0, "adam": 0}
_AUTO = {"CPU": {"up_conv": 16, "down_conv": 16, "wide_conv": 0, **_ANYWHERE}, "GPU": _ANYWHERE}


# Exit code of a run that has to be started again as it was (EX_TEMPFAIL of sysexits.h).
RESTART = 75


class UserError(Exception):
    """Something the person at the keyboard can mend.

    The message is one line that names the flag or the file, its value and what would be right.
    Entry points print it and leave with exit code 1.
    """


class UnusableCheckpoint(UserError):
    """One checkpoint, or what its generator makes, cannot be scored; others may be."""


class WorkerLost(Exception):
    """Another worker of this run has died or does not answer.

    Nothing has to be mended here: the same command on every worker continues. Entry points leave
    with exit code `RESTART`.
    """


class Interrupted(BaseException):
    """A run was asked to stop, has saved what there was to save, and leaves.

    No Exception, as KeyboardInterrupt: TensorFlow and Keras would wrap one raised while they trace.

    Attributes:
      signal: number of the signal. Entry points leave with exit code 128 + this.
    """

    def __init__(self, number: int, step: Optional[int] = None):
        what = "nothing was under way yet" if step is None else f"saved step {step}"
        super().__init__(f"{signal.Signals(number).name}: {what}; the same command continues")
        self.signal = number


def option(default: Any, text: str, choices: Optional[tuple] = None) -> Any:
    """A field of a config: its default, its help, and, where there are few, its values."""
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


def _require(condition: bool, name: str, value: Any, expected: str) -> None:
    if not condition:
        raise UserError(f"--{name}={value}: expected {expected}")


def require_positive(config: Any, *names: str) -> None:
    """Raises `UserError` unless each of these fields is above 0 and finite."""
    for name in names:
        value = getattr(config, name)
        _require(0 < value < float("inf"), name, value, "a number above 0")


def _require_not_negative(config: Any, *names: str) -> None:
    for name in names:
        _require(getattr(config, name) >= 0, name, getattr(config, name), "0 or more")


def _require_seed(config: Any) -> None:
    _require(0 <= config.seed < 2**32, "seed", config.seed, "a number from 0 to 4294967295")


def require_choices(config: Any) -> None:
    """Raises `UserError` unless each field has one of its values."""
    for field in dataclasses.fields(config):
        choices, value = field.metadata.get("choices"), getattr(config, field.name)
        if choices and value is not None:
            _require(value in choices, field.name, value,
                     "one of " + ", ".join(str(c) for c in choices))


def optimizations(text: str, device: str) -> dict[str, int]:
    """What --optimizations asks for: name -> smallest side of a map that it applies to.

    Args:
      text: names of `OPTIMIZATIONS` or "auto" or "none", separated by commas; "-name" takes one
        away, "name:side" gives its smallest side.
      device: "CPU", "GPU" or "TPU"; what "auto" means depends on it.
    Raises:
      UserError: something else.
    """
    auto, chosen = _AUTO.get(device, _AUTO["GPU"]), {}
    for word in text.split(","):
        name, given, side = word.removeprefix("-").partition(":")
        if word == "auto":
            chosen.update(auto)
        elif word == "none":
            chosen.clear()
        elif name in OPTIMIZATIONS and not given:
            if word.startswith("-"):
                chosen.pop(name, None)
            else:
                chosen[name] = auto.get(name, 0)
        elif word.startswith(_SIZED) and name in _SIZED and side.isdecimal():
            chosen[name] = int(side)
        else:
            _require(False, "optimizations", text,
                     "auto, none, or, separated by commas, some of " + ", ".join(OPTIMIZATIONS)
                     + "; -name takes one away from auto, name:side gives " + " and ".join(_SIZED)
                     + " the smallest side of a map")
    return chosen


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The two networks. Everything here decides names or shapes of weights, or the forward pass."""

    image_size: int = option(
        128, "Side of the square images in pixels (the reference: 128 only).", IMAGE_SIZES)
    z_dim: int = option(128, "Dimension of the latent vector z.")
    gf_dim: int = option(64, "Width of the generator: channels of its last block.")
    df_dim: int = option(64, "Width of the discriminator: channels of its first block.")
    number_classes: int = option(1000, "Number of classes; labels run from 0 to this minus 1.")
    generator_type: str = option(
        "test", "Generator: test is SAGAN with attention on the 32x32 map, test_64 on the 64x64 "
        "map, baseline has no attention.", tuple(ATTENTION_OF_TYPE))
    discriminator_type: str = option(
        "test", "Discriminator: test, test_64 or baseline, as for the generator.",
        tuple(ATTENTION_OF_TYPE))
    attention_resolution: int = option(
        0, "Side of the map that attention sits on, in every network whose type is not baseline; "
        "0: as the type says. (Not in the reference.)")
    cbn_decay: float = option(
        0.999, "Decay of the moving statistics of conditional batch norm. (A constant in the "
        "reference.)")
    bn_decay: float = option(
        0.9999, "Decay of the moving statistics of the generator's last batch norm. (A constant "
        "in the reference.)")

    def __post_init__(self):
        require_positive(self, "z_dim", "gf_dim", "df_dim", "number_classes")
        require_choices(self)
        for name in ("cbn_decay", "bn_decay"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name),
                     "a number from 0 up to, not including, 1")
        self._check_attention()

    def _check_attention(self) -> None:
        possible = [8 * 2**k for k in range(8) if 8 * 2**k <= self.image_size // 2]
        if self.attention_resolution:
            value = self.attention_resolution
            _require(value in possible, "attention_resolution", value,
                     f"one of {possible} at --image_size={self.image_size}, or 0")
            both = {self.generator_type, self.discriminator_type}
            _require(both != {"baseline"}, "attention_resolution", value,
                     "0, because both networks are of type baseline")
        for net, width in (("generator", self.gf_dim), ("discriminator", self.df_dim)):
            side = self.attention_side(net)
            if side is None:
                continue
            _require(side in possible, f"{net}_type", getattr(self, f"{net}_type"),
                     f"a type whose map of side {side} exists at --image_size={self.image_size}; "
                     f"with --attention_resolution it may sit on one of {possible}")
            channels = width * self.image_size // (side if net == "generator" else 2 * side)
            _require(channels >= 8, "gf_dim" if net == "generator" else "df_dim", width,
                     f"at least {-(-8 * width // channels)}, so that the map of side {side} has "
                     "the 8 channels that attention needs")

    def attention_side(self, network: str) -> Optional[int]:
        """Side of the map under attention in `network` ("generator" or "discriminator"), or None.
        """
        by_type = ATTENTION_OF_TYPE[getattr(self, f"{network}_type")]
        return by_type if by_type is None else self.attention_resolution or by_type

    @property
    def num_blocks(self) -> int:
        """Up-blocks of the generator, n = log2(image_size / 4); D has one block more."""
        return (self.image_size // 4).bit_length() - 1


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the records are and how they are read for training."""

    data_dir: str = option(
        "data", "Directory that holds the *.tfrecords, or that TensorFlow Datasets prepared; may "
        "be gs://.")
    shuffle_buffer_size: int = option(100000, "Records held in memory to be shuffled.")
    shuffle_memory_mb: int = option(
        5000, "Megabytes of records held in memory to be shuffled: fewer than "
        "--shuffle_buffer_size where that many would take more. (Not in the reference: its "
        "100,000 records take 4,920.)")
    data_parallelism: int = option(64, "Places of the record files read at the same time.")

    def __post_init__(self):
        require_positive(self, "shuffle_buffer_size", "shuffle_memory_mb", "data_parallelism")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training run: batch, optimizers, length, and what is written when."""

    checkpoint_dir: str = option(
        "checkpoint",
        "Directory of runs; this run lives in <checkpoint_dir>/imagenet_<batch_size>.")
    batch_size: int = option(
        64, "Images per tower. A tower is the group that batch norm takes its moments over.")
    num_towers: int = option(
        4, "Towers per step; batch_size * num_towers images make one step, on any number of "
        "devices that divides num_towers.")
    strategy: str = option(
        "auto", "Devices: one_device; mirrored, those of this machine; multi_worker, those of all "
        "machines that TF_CONFIG names; tpu, that of this TPU VM; auto: multi_worker where "
        "TF_CONFIG names several, tpu where TPU_NAME is set, else mirrored. (Not in the "
        "reference.)", STRATEGIES)
    num_devices: int = option(
        0, "Devices to train on; 0: every GPU, or one CPU device where there is none. On a machine "
        "without GPU, a number above 1 makes that many logical CPU devices. (Not in the "
        "reference: its towers were its devices.)")
    worker_timeout: int = option(
        300, "With --strategy=multi_worker: seconds to wait for the other workers to appear, and "
        "for one that hangs; more than a save takes. (Not in the reference.)")
    bn_group: int = option(
        0, "Images that batch norm takes its moments over: a multiple of batch_size, which may "
        "span devices; 0: batch_size, as in the reference.")
    accumulate: int = option(
        1, "Parts in which a device runs its towers, one after the other, adding up gradients: "
        "less memory, the same result. (Not in the reference.)")
    mixed_precision: str = option(
        "float32", "What convolutions and activations compute in; variables, SN, batch moments, "
        "attention's logits and softmax, D's logits, losses and Adam are float32. float16 scales "
        "the losses, by as much as the gradients bear. (Not in the reference.)", PRECISIONS)
    tensor_float_32: bool = option(
        False, "Let a GPU round what float32 convolutions and products multiply to 10 bits "
        "(TensorFloat-32): several times as fast. (Not in the reference.)")
    jit_compile: bool = option(
        False, "Compile forward and backward passes with XLA. (Not in the reference.)")
    optimizations: str = option(
        "auto", "Ways to the same numbers, but for rounding, in less time, separated by commas: "
        + "; ".join(f"{name}: {text}" for name, text in OPTIMIZATIONS.items()) + "; auto: those "
        "that were measured to pay on a CPU, and joint_batch; on a GPU, where nothing has been "
        "measured yet, the same without up_conv, down_conv and wide_conv; none. -name takes one "
        "away; up_conv:64 applies it to maps of side 64 and more. (Not in the reference.)")
    deterministic: bool = option(
        False, "Use deterministic kernels only: slower, and a repeated run is the same to the last "
        "bit on the same machine. (Not in the reference.)")
    graph_optimizer: bool = option(
        True, "Let TensorFlow's graph optimizer (Grappler) rework the step. Without it a run on a "
        "CPU starts some seconds sooner, at the same speed and with 6 to 9 % more memory; not "
        "tried on a GPU. (Not in the reference.)")
    d_step: int = option(1, "Discriminator steps per iteration.")
    g_step: int = option(1, "Generator steps per iteration.")
    discriminator_learning_rate: float = option(4e-4, "Adam's learning rate of D.")
    generator_learning_rate: float = option(1e-4, "Adam's learning rate of G.")
    beta1: float = option(0.0, "Adam's beta1, of both optimizers.")
    beta2: float = option(
        0.999, "Adam's beta2, of both optimizers (the reference's code; the paper says 0.9).")
    ema_decay: float = option(
        0.0, "Decay of an exponential moving average of the generator, one step an iteration; 0: "
        "none, as in the reference. 0.999 is what the best public run used.")
    ema_start: int = option(
        0, "Iteration up to which the average just follows the generator. (Not in the reference.)")
    use_ema: bool = option(
        False, "Draw the sample grids from the average. (Not in the reference.)")
    loss_type: str = option("hinge_loss", "Loss: hinge_loss or kl_loss.", LOSS_TYPES)
    max_steps: int = option(
        1_000_000, "Iteration to stop at, counted from the start of the run (paper: 1,000,000; "
        "the reference's code: 2,000,000).")
    seed: int = option(0, "Seed of initial weights, z, fake labels and the order of the data.")
    steps_per_loop: int = option(
        0, "Iterations between two looks of the host at the device; 0: as many as take about two "
        "seconds, at most 100. The numbers computed do not depend on it.")
    save_summaries_steps: int = option(200, "Iterations between two rows of losses.")
    save_checkpoint_secs: int = option(1200, "Seconds between two checkpoints.")
    sample_every: int = option(1000, "Iterations between two sample grids; 0: none.")
    attention_every: int = option(
        5000, "Iterations between two figures of attention maps in TensorBoard; 0: none. (Not in "
        "the reference.)")
    keep_checkpoints: int = option(5, "Newest checkpoints that are kept.")
    summary_dir: str = option(
        "", "Directory for TensorBoard's events; empty: the run's own. (Not in the reference.)")
    on_nonfinite: str = option(
        "stop", "When a loss, gradient or weight is not finite: stop; or rollback, go back to the "
        "last checkpoint and on with other random numbers. (Not in the reference.)",
        ("stop", "rollback"))
    max_rollbacks: int = option(
        3, "With --on_nonfinite=rollback: how often, counted with the checkpoints, before the run "
        "stops. (Not in the reference.)")
    health_every: int = option(
        1000, "Iterations between two looks at the health of spectral normalisation and at the "
        "variety of the samples; 0: none. (Not in the reference.)")

    def __post_init__(self):
        require_choices(self)
        require_positive(self, "batch_size", "num_towers", "d_step", "g_step", "max_steps",
                         "discriminator_learning_rate", "generator_learning_rate",
                         "save_summaries_steps", "keep_checkpoints", "worker_timeout",
                         "accumulate")
        _require_not_negative(self, "num_devices", "steps_per_loop", "save_checkpoint_secs",
                              "sample_every", "bn_group", "ema_start", "max_rollbacks",
                              "health_every", "attention_every")
        _require_seed(self)
        for name in ("beta1", "beta2", "ema_decay"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name),
                     "a number from 0 up to, not including, 1")
        optimizations(self.optimizations, "CPU")
        _require(self.ema_decay > 0 or not self.use_ema, "use_ema", self.use_ema,
                 "an --ema_decay above 0 with it")
        self._check_groups()

    def _check_groups(self) -> None:
        towers = self.bn_group / self.batch_size
        _require(towers == int(towers) and (not towers or self.num_towers % int(towers) == 0),
                 "bn_group", self.bn_group, f"a multiple of --batch_size={self.batch_size} that "
                 f"divides the {self.batch_size * self.num_towers} images of a step")
        _require(self.num_towers % self.accumulate == 0, "accumulate", self.accumulate,
                 f"a divisor of --num_towers={self.num_towers}")

    @property
    def group_size(self) -> int:
        """Images that batch norm takes its moments over."""
        return self.bn_group or self.batch_size

    @property
    def run_dir(self) -> str:
        """The directory of this run (reference `train_imagenet.py:79-80`)."""
        return run_directory(self.checkpoint_dir, self.batch_size)


# Images that a score is made of where nothing else is said; scores of fewer are labelled.
FULL_SAMPLE = 50000
# What a named protocol sets; a flag that is given goes before it.
PROTOCOLS = {
    # eval_imagenet.py of the reference.
    "reference": {},
    # TF-GAN's own example of SAGAN: the validation images.
    "tfgan": {"real_split": "validation"},
    # The whole training set on the real side (TTUR's statistics, BigGAN).
    "train_full": {"real_sample_size": 0},
    # IS as the mean of ten splits of 5,000 images (Salimans et al., SNGAN, BigGAN).
    "ten_splits": {"is_splits": 10},
    # evaluations/ of sngan_projection: truncated to uint8, IS of ten splits.
    "sngan_projection": {"is_splits": 10, "quantization": "truncate"},
    # evaluations/evaluator.py of guided-diffusion: the same, against the whole training set.
    "guided_diffusion": {"is_splits": 10, "quantization": "truncate", "real_sample_size": 0},
    # Per-class FID of 5,000 generated images against every training image of the class.
    "intra": {"real_sample_size": 0, "intra_images": 5000},
    # A tenth of the images, to watch a run by.
    "quick": {"eval_sample_size": 5000},
}
# Fields that a protocol consists of; the others say where things are and what to do with them.
PROTOCOL_FIELDS = ("eval_sample_size", "real_sample_size", "real_split", "label_sampling",
                   "is_splits", "quantization", "resize", "intra_images", "kid_block",
                   "manifold_images", "precision_k", "density_k", "seed")


@dataclasses.dataclass(frozen=True)
class ScoringConfig:
    """What a score is: images of both sides, classifier, arithmetic."""

    _all_images = ()  # values of eval_sample_size that mean: as many as there are

    protocol: str = option(
        "reference", "Named set of the flags below, each of which goes before it where given: "
        "reference; tfgan, against validation images; train_full, against all training images; "
        "ten_splits, IS over ten splits; sngan_projection, the same of uint8 images; "
        "guided_diffusion, both; intra, FID of each class; quick, 5,000 images. (Not in the "
        "reference.)", tuple(PROTOCOLS))
    data_dir: str = option("data", "Directory that holds the real images' *.tfrecords.")
    validation_dir: str = option(
        "", "Directory of the validation images' records, for --real_split=validation. (Not in "
        "the reference.)")
    eval_sample_size: int = option(
        FULL_SAMPLE, "Generated images. Scores of fewer than 50,000 carry their number in their "
        "name, as in fid5k.")
    real_sample_size: int = option(
        -1, "Real images; 0: all there are; -1: as many as generated ones, as in the reference.")
    real_split: str = option(
        "train", "Real images: train, those of --data_dir, or validation, those of "
        "--validation_dir. (Not in the reference.)", ("train", "validation"))
    is_splits: int = option(
        1, "Splits of the Inception Score: 1 as in the reference; 10 in many papers, which give "
        "the mean over them. The record holds both. (Not in the reference.)")
    quantization: str = option(
        "none", "What happens to generated images before they are scored: none, as in the "
        "reference; round or truncate, they become uint8. (Not in the reference.)",
        ("none", "round", "truncate"))
    resize: str = option(
        "legacy", "How images are resized for the classifier: legacy, TensorFlow 1's bilinear as "
        "in the reference; half_pixel, TensorFlow 2's bilinear; antialias, the same with "
        "antialiasing. (Not in the reference.)", ("legacy", "half_pixel", "antialias"))
    kid_block: int = option(
        1024, "Largest block of images that KID compares at a time (TF-GAN's default). (Not in "
        "the reference.)")
    manifold_images: int = option(
        10000, "Images of each side for precision, recall, density and coverage, at most. (Not in "
        "the reference.)")
    precision_k: int = option(
        3, "Nearest neighbours of precision and recall (Kynkaanniemi et al., 2019). (Not in the "
        "reference.)")
    density_k: int = option(
        5, "Nearest neighbours of density and coverage (Naeem et al., 2020). (Not in the "
        "reference.)")
    seed: int = option(0, "Seed of z, of the labels and of the choice of real images.")
    dcgan_generator_batch_size: int = option(
        100, "Images generated, and classified, at a time by a device; at most 20 by a CPU. The "
        "scores do not depend on it.")
    inception: str = option(
        "https://tfhub.dev/tensorflow/tfgan/eval/inception/1",
        "The classifier: a TF-Hub handle, a SavedModel directory, a frozen graph file (.pb) or a "
        "Keras file (.keras). (Not in the reference.)")
    inception_sha256: str = option(
        "", "SHA-256 that the classifier must have; empty: any. (Not in the reference.)")
    real_stats: str = option(
        "", "An .npz with mu and sigma of the real images' features, in the place of --data_dir: "
        "one that --export_real_stats wrote, or one of pytorch-fid or TTUR. (Not in the "
        "reference.)")
    export_real_stats: str = option(
        "", "Write mu and sigma of the real images to this .npz. (Not in the reference.)")
    stats_dir: str = option(
        os.path.join("~", ".cache", "sagan_tf"),
        "Where the real images' features are kept for the next time; empty: nowhere. (Not in the "
        "reference.)")
    strategy: str = option(
        "auto", "Devices, as in training: one_device, mirrored, tpu; auto: tpu where TPU_NAME is "
        "set, else mirrored. (Not in the reference.)",
        tuple(name for name in STRATEGIES if name != "multi_worker"))
    num_devices: int = option(0, "Number of devices, as in training. (Not in the reference.)")

    def __post_init__(self):
        require_choices(self)
        require_positive(self, "dcgan_generator_batch_size", "is_splits", "precision_k",
                         "density_k")
        _require_not_negative(self, "num_devices")
        _require_seed(self)
        for name in ("kid_block", "manifold_images"):
            _require(getattr(self, name) >= 2, name, getattr(self, name), "2 or more images")
        _require(self.real_sample_size in (-1, 0) or self.real_sample_size >= 2,
                 "real_sample_size", self.real_sample_size,
                 "2 or more images, 0 for all, or -1 for as many as generated ones")
        _require(self.eval_sample_size in self._all_images or self.eval_sample_size >= 2,
                 "eval_sample_size", self.eval_sample_size, "2 or more images")
        _require(self.eval_sample_size in self._all_images
                 or self.eval_sample_size >= 2 * self.is_splits, "is_splits", self.is_splits,
                 f"at most half of --eval_sample_size={self.eval_sample_size}")
        _require(self.real_split == "train" or bool(self.validation_dir or self.real_stats),
                 "real_split", self.real_split,
                 "--validation_dir with it, the directory of the validation images' records")
        digits = set(self.inception_sha256.lower())
        _require(not digits or (len(self.inception_sha256) == 64
                                and digits <= set("0123456789abcdef")),
                 "inception_sha256", self.inception_sha256, "64 hexadecimal digits")

    def splits_of(self, images: int) -> int:
        """Splits of the Inception Score beside the single one: those asked for, ten if that is one.
        """
        return min(self.is_splits if self.is_splits > 1 else 10, images // 2)

    @property
    def real_dir(self) -> str:
        """Directory of the real images that the scores compare with."""
        return self.validation_dir if self.real_split == "validation" else self.data_dir

    def departures(self, images: int) -> dict[str, Any]:
        """Fields of the protocol that are not as its name says, where `images` are scored."""
        preset = {"eval_sample_size": FULL_SAMPLE, **PROTOCOLS[self.protocol]}
        named = {field.name: preset.get(field.name, field.default)
                 for field in dataclasses.fields(self) if field.name in PROTOCOL_FIELDS}
        there = {**{name: getattr(self, name) for name in named}, "eval_sample_size": images}
        return {name: value for name, value in there.items() if value != named[name]}


@dataclasses.dataclass(frozen=True)
class EvalConfig(ScoringConfig):
    """The evaluation of a run. The networks' settings come from the run's config.json."""

    checkpoint_dir: str = option("checkpoint", "Directory of runs, as in training.")
    batch_size: int = option(
        64, "Images per tower of the training run; it is part of the run directory's name.")
    checkpoint_step: int = option(
        -1, "Step of the checkpoint to score; -1: the latest. (Not in the reference.)")
    use_ema: bool = option(
        False, "Score the moving average of the generator (train with --ema_decay). (Not in the "
        "reference.)")
    label_sampling: str = option(
        "uniform", "Labels of generated images: uniform, drawn at random as in the reference; or "
        "balanced, each class as often as any other. (Not in the reference.)",
        ("uniform", "balanced"))
    intra_images: int = option(
        0, "Images generated of each class for intra-FID; 0: those of the other scores. (Not in "
        "the reference.)")
    all: bool = option(
        False, "Score every checkpoint of the run that was not scored yet. (Not in the reference.)")
    watch: bool = option(
        False, "Score every checkpoint as it comes, until the run has ended. (Not in the "
        "reference.)")
    poll_secs: float = option(
        10.0, "With --watch: seconds between two looks for a new checkpoint. (Not in the "
        "reference.)")
    keep_best: int = option(
        3, "With --watch and --all: checkpoints kept in <run>/best, those of the best scores. (Not "
        "in the reference.)")
    best_by: str = option(
        "fid", "Score that decides which are the best: fid or is. (Not in the reference.)",
        ("fid", "is"))
    save_samples: str = option(
        "", "Write the generated images, as uint8, to this .npz, or as PNG files into this "
        "directory. (Not in the reference.)")
    compare_untrained: bool = option(
        False, "Score freshly initialised weights as well, for a sense of scale. (Not in the "
        "reference.)")
    generator_type: Optional[str] = option(
        None, "If given, must agree with the run.", tuple(ATTENTION_OF_TYPE))
    z_dim: Optional[int] = option(None, "If given, must agree with the run.")
    gf_dim: Optional[int] = option(None, "If given, must agree with the run.")
    num_classes: Optional[int] = option(
        None, "If given, must agree with the run's number_classes.")

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "batch_size", "poll_secs")
        _require_not_negative(self, "keep_best")
        _require(self.intra_images == 0 or self.intra_images >= 2, "intra_images",
                 self.intra_images, "2 or more images, or 0")
        _require(not (self.intra_images and self.real_stats), "intra_images", self.intra_images,
                 f"0 with --real_stats={self.real_stats}, which holds no images of each class")
        _require(self.checkpoint_step >= -1, "checkpoint_step", self.checkpoint_step,
                 "a step, or -1 for the latest")
        several = "watch" if self.watch else "all"
        if self.watch or self.all:
            _require(self.checkpoint_step == -1, "checkpoint_step", self.checkpoint_step,
                     f"none with --{several}, which scores every checkpoint")
            _require(not self.save_samples, "save_samples", self.save_samples,
                     f"none with --{several}: each checkpoint would write over the one before")

    @property
    def run_dir(self) -> str:
        """The directory of the training run that is scored."""
        return run_directory(self.checkpoint_dir, self.batch_size)

    @property
    def eval_dir(self) -> str:
        """Where the results go (reference `eval_imagenet.py:82-85`)."""
        return run_directory(os.path.join(self.checkpoint_dir, "eval"), self.batch_size)


@dataclasses.dataclass(frozen=True)
class ScoreImagesConfig(ScoringConfig):
    """The scores of images that are there already (`score_images`)."""

    _all_images = (0,)

    images: str = option(
        "", "The images to score: a directory of PNG or JPEG files, or an .npz with one uint8 "
        "array [n, height, width, 3] (`images` or `arr_0`, and `labels` if there are any).")
    eval_sample_size: int = option(
        0, "Images to score, the first ones; 0: all. Scores of fewer than 50,000 carry their "
        "number in their name, as in fid5k.")
    image_size: int = option(
        0, "Side of the real images in pixels; 0: what their dataset.json says, or that of the "
        "images to score.")
    number_classes: int = option(
        0, "Number of classes of the real images; 0: what their dataset.json says, or 1000.")
    out: str = option("", "File that a row of the scores is appended to; empty: none.")

    def __post_init__(self):
        super().__post_init__()
        _require(bool(self.images), "images", self.images, "a directory or an .npz file")
        _require_not_negative(self, "image_size", "number_classes")


def protocol(name: str) -> dict[str, Any]:
    """What a named protocol sets, by field.

    Raises:
      UserError: there is none of this name.
    """
    _require(name in PROTOCOLS, "protocol", name, "one of " + ", ".join(PROTOCOLS))
    return PROTOCOLS[name]


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """From pictures to records (`prepare_data`; not in the reference, which names a private one).
    """

    source: str = option(
        "", "The pictures: a folder of class folders, ILSVRC2012_img_train.tar (a tar of tars, "
        "which is not unpacked), tfds:NAME, or a directory that TensorFlow Datasets prepared.")
    out: str = option("", "Directory for the records; new, or that of the same command before.")
    size: int = option(128, "Side of the square images in pixels.", IMAGE_SIZES)
    encoding: str = option(
        "raw", "How a record holds its image: raw pixels as in the reference, png (the same "
        "pixels, about half the space) or jpeg (about a fifth, nearly the same).",
        ("raw", "png", "jpeg"))
    quality: int = option(95, "Quality of JPEG, 1 to 100.")
    resize: str = option(
        "legacy", "legacy: bit for bit what the reference's records were made with (each image "
        "stretched to the full range, then bilinear); clean: centre crop and Lanczos, no stretch.",
        ("legacy", "clean"))
    shards: int = option(0, "Record files; 0: one for each 1,250 pictures, at most 1,024.")
    workers: int = option(0, "Processes; 0: one for each core. The bytes do not depend on it.")
    limit_per_class: int = option(0, "Pictures of each class, the first by name; 0: all.")
    classes: str = option(
        "", "A file with the name of one class a line: take these, labelled in this order. Without "
        "it labels follow the sorted names of all classes.")
    seed: int = option(0, "Seed of the order of the records.")
    max_bad: float = option(
        0.001, "Share of the pictures, 0 to 1, that may be damaged; they are left out and listed.")

    def __post_init__(self):
        _require(bool(self.source), "source", self.source, "the pictures")
        _require(bool(self.out), "out", self.out, "a directory for the records")
        require_choices(self)
        _require_not_negative(self, "shards", "workers", "limit_per_class")
        _require_seed(self)
        _require(1 <= self.quality <= 100, "quality", self.quality, "a number from 1 to 100")
        _require(0 <= self.max_bad <= 1, "max_bad", self.max_bad, "a share from 0 to 1")


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """The check of a directory of records (`check_data`)."""

    data_dir: str = option("data", "Directory that holds the *.tfrecords.")
    image_size: int = option(
        0, "Side that the images must have; 0: what dataset.json says, or the first record has.")
    number_classes: int = option(
        0, "Number of classes; 0: what dataset.json says, or the highest label plus 1.")
    grid: str = option("check_data.png", "The picture to write: one image a class, with names.")
    max_duplicates: int = option(0, "Duplicates that are no fault (ImageNet has some).")
    max_constant: int = option(0, "Images of one colour that are no fault.")

    def __post_init__(self):
        _require_not_negative(self, "image_size", "number_classes", "max_duplicates",
                              "max_constant")


# What every tool that looks at a trained model takes.
_RUN_HELP = ("What to look at: a run's directory (or one that holds a single run), or a model that "
             "export wrote.")
_STEP_HELP = "Step of the checkpoint; -1: the latest."
MAX_SEEDS = 1_000_000
MAX_FRAMES = 1000
MAX_ROWS = 32  # of a figure
_EMA_HELP = "Take the moving average of the generator (trained with --ema_decay)."


def _require_run(config: Any) -> None:
    _require(bool(config.run), "run", config.run, "the directory of a run")
    step = getattr(config, "step", -1)
    _require(step >= -1, "step", step, "a step, or -1 for the latest")


def _require_truncation(config: Any) -> None:
    _require(config.truncation == 0 or 0.001 <= config.truncation < float("inf"), "truncation",
             config.truncation, "a number from 0.001 on, or 0 for none")


def _require_out(out: str) -> None:
    """Of an output of this machine: a name that is more than an ending."""
    name = os.path.basename(out.rstrip("/"))
    _require("://" not in out, "out", out, "a place on this machine")
    _require(not out or (bool(name) and name not in (".", "..", ".png", ".npz", ".gif", ".mp4")),
             "out", out, "a name of its own")


def numbers_of(flag: str, text: str, limit: int) -> list[int]:
    """Numbers in a text such as "3,10-19", in order, each once.

    Args:
      flag: the flag that has the text.
      text: numbers, and first and last ones with "-", with commas between them.
      limit: how many there may be.
    Raises:
      UserError: it is no such text.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        fits = all(number.isdecimal() and len(number) <= 18 for number in (first, last))
        _require(fits and int(first) <= int(last), flag, text,
                 "numbers of up to 18 digits, with commas between them, as in 3,10-19")
        _require(len(found) + int(last) - int(first) < limit, flag, text,
                 f"at most {limit} numbers")
        found.update(dict.fromkeys(range(int(first), int(last) + 1)))
    return list(found)


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """Images of chosen classes and seeds (`sample`; not in the reference)."""

    run: str = option("", _RUN_HELP)
    step: int = option(-1, _STEP_HELP)
    use_ema: bool = option(False, _EMA_HELP)
    classes: str = option(
        "", "Classes, with commas between them: labels (207, 0-9), names, synset ids, or "
        "beginnings of these that only one class has. Empty: up to ten, spread over all; with "
        "--count the class that each seed draws.")
    seeds: str = option(
        "", "Seeds, with commas between them: 17, or 0-63. A seed is one z, and so, with a class, "
        "one picture. Empty: 0-7.")
    count: int = option(
        0, "So many images of the seeds 0, 1, 2, ..., one each, instead of --seeds; --classes "
        "take turns.")
    truncation: float = option(
        0.0, "Draw z from a normal distribution cut off at this value, both ways: less variety, "
        "fewer failures; 0: not cut off.")
    sheet: bool = option(False, "Lay the grid out as classes x seeds.")
    interpolate: bool = option(
        False, "Go from the first to the second of two --seeds, or of two --classes, or both at "
        "once.")
    frames: int = option(
        0, "With --interpolate: pictures on the way, both ends among them; 0: 8 in a strip, 48 in "
        "an animation.")
    batch_size: int = option(0, "Images at a time; 0: 20 on a CPU, else 100.")
    out: str = option(
        "", "What to write, by its ending: .png, one labelled grid; .npz, arrays; .gif or .mp4, "
        "with --interpolate, an animation; without an ending a directory of single PNG files and "
        "their grid, or with --interpolate strip and animations of this name. Empty: samples.png, "
        "samples.npz for --count, or interpolation.")

    def __post_init__(self):
        _require_run(self)
        _require_not_negative(self, "count", "frames", "batch_size")
        _require_truncation(self)
        _require(self.count <= MAX_SEEDS, "count", self.count, f"at most {MAX_SEEDS}")
        _require(self.frames <= MAX_FRAMES, "frames", self.frames, f"at most {MAX_FRAMES}")
        _require(not (self.count and self.seeds), "count", self.count, "0 with --seeds")
        _require(not (self.count and self.sheet), "sheet", self.sheet, "none with --count")
        _require(not (self.sheet and self.out.endswith(".npz")), "sheet", self.sheet,
                 f"none with --out={self.out}")
        _require(not (self.count and self.interpolate), "count", self.count,
                 "0 with --interpolate")
        _require(not (self.interpolate and self.sheet), "sheet", self.sheet,
                 "none with --interpolate")
        _require(self.frames == 0 or self.interpolate, "frames", self.frames,
                 "--interpolate with it")
        _require(self.frames != 1, "frames", self.frames, "2 or more, or 0")
        numbers_of("seeds", self.seeds or "0", MAX_SEEDS)
        endings = (".png", ".gif", ".mp4", "") if self.interpolate else (".png", ".npz", "")
        _require_out(self.out)
        _require(os.path.splitext(self.out)[1] in endings, "out", self.out,
                 "a name that ends in " + ", ".join(endings[:-1]) + ", or one without an ending")


@dataclasses.dataclass(frozen=True)
class AttentionConfig:
    """Figures of attention maps (`attention_maps`; not in the reference)."""

    run: str = option("", _RUN_HELP)
    step: int = option(-1, _STEP_HELP)
    use_ema: bool = option(False, _EMA_HELP)
    network: str = option("generator", "Whose attention: generator, or discriminator (of a run).",
                           ("generator", "discriminator"))
    images: str = option(
        "", "With --network=discriminator: pictures to look at, instead of generated ones, with "
        "commas between their names (which must have none); cropped to the middle square and "
        "resized.")
    classes: str = option("", "Classes of the generated images, as in sample; rows take turns. "
                           "Empty: spread over all.")
    seeds: str = option("0-3", "Seeds of the generated images, one a row, as in sample.")
    truncation: float = option(0.0, "As in sample.")
    queries: str = option(
        "spread", "Places whose attention is drawn: spread, where attention is most spread in each "
        "image; grid, evenly over the image; or pixels x,y from the top left corner, with "
        "semicolons between them, as in \"64,20;30,90\".")
    num_queries: int = option(4, "How many places, 1 to 8, where --queries does not say.")
    arrows: int = option(3, "Arrows to the strongest places, at most, in each map.")
    smooth: bool = option(True, "Draw maps smoothly; --nosmooth shows the keys as they are.")
    out: str = option("attention.png", "The figure; the values go beside it as .npz.")

    def __post_init__(self):
        _require_run(self)
        require_choices(self)
        _require_not_negative(self, "arrows")
        _require(1 <= self.num_queries <= 8, "num_queries", self.num_queries, "1 to 8")
        _require_truncation(self)
        _require(not self.images or self.network == "discriminator", "images", self.images,
                 "--network=discriminator with it: a generator makes its own images")
        for name in ("classes", "use_ema", "truncation"):
            _require(not (self.images and getattr(self, name)), name, getattr(self, name),
                     "none with --images, which are not generated")
        _require(len(self.images.split(",")) <= MAX_ROWS, "images", self.images,
                 f"at most {MAX_ROWS} of them")
        _require_out(self.out)
        _require(self.out.endswith(".png"), "out", self.out, "a name that ends in .png")
        numbers_of("seeds", self.seeds, MAX_ROWS)


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """One HTML file about a run (`report`; not in the reference)."""

    run: str = option("", "The run's directory, or one that holds a single run.")
    out: str = option("", "The file to write; empty: report.html in the run's directory.")
    eval_dir: str = option(
        "", "Where the run's scores are; empty: where eval_imagenet.py puts them.")
    max_grids: int = option(24, "Sample grids to show, at most; spread over the run.")

    def __post_init__(self):
        _require_run(self)
        require_positive(self, "max_grids")
        _require(not self.out or self.out.endswith((".html", ".htm")), "out", self.out,
                 "a name that ends in .html")


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """A generator for other programs (`export`; not in the reference)."""

    run: str = option("", "The run's directory, or one that holds a single run.")
    step: int = option(-1, _STEP_HELP)
    use_ema: bool = option(False, _EMA_HELP)
    out: str = option("", "Directory to make, new or empty.")

    def __post_init__(self):
        _require_run(self)
        _require(bool(self.out), "out", self.out, "a directory to make")
        _require_out(self.out)


def run_directory(checkpoint_dir: str, batch_size: int) -> str:
    """`<checkpoint_dir>/imagenet_<batch_size>`, the reference's name for a run."""
    return os.path.join(checkpoint_dir, f"imagenet_{batch_size}")


def difference(stored: Any, asked: Any) -> list[str]:
    """One phrase for each field in which two configs of the same class differ."""
    return [f"{field.name}: {getattr(stored, field.name)} there, {getattr(asked, field.name)} here"
            for field in dataclasses.fields(stored)
            if getattr(stored, field.name) != getattr(asked, field.name)]
