import dataclasses

import pytest

from sagan_tf import config, errors
from sagan_tf.config import augmentation_names


def test_defaults_are_the_references():
    """REFERENCE: model.py:33-56, train_imagenet.py:35-61, eval_imagenet.py:36-76."""
    model, data, train = config.ModelConfig(), config.DataConfig(), config.TrainConfig()
    assert (model.image_size, model.z_dim, model.gf_dim, model.df_dim, model.number_classes) == (
        128,
        128,
        64,
        64,
        1000,
    )
    assert (model.generator_type, model.discriminator_type) == ("test", "test")
    assert (model.relu_shortcut, model.spectral_norm) == (False, "exact")
    assert (model.block, model.generator_sn) == ("attention", True)
    assert (data.shuffle_buffer_size, data.data_parallelism) == (100_000, 64)
    assert (train.batch_size, train.num_towers, train.d_step, train.g_step) == (64, 4, 1, 1)
    assert (train.discriminator_learning_rate, train.generator_learning_rate) == (4e-4, 1e-4)
    assert (train.beta1, train.beta2, train.loss_type) == (0.0, 0.999, "hinge_loss")
    assert (train.save_summaries_steps, train.save_checkpoint_secs) == (200, 1200)
    evaluation = config.EvalConfig()
    assert (evaluation.eval_sample_size, evaluation.dcgan_generator_batch_size) == (50_000, 100)
    assert config.TrainConfig().run_dir == "checkpoint/imagenet_64"
    assert evaluation.eval_dir == "checkpoint/eval/imagenet_64"


def test_run_is_found_by_its_name_or_its_directory():
    named = config.TrainConfig(checkpoint_dir="runs", run_name="faces")
    assert named.run_dir == "runs/faces"
    assert config.EvalConfig(checkpoint_dir="runs", run_name="faces").eval_dir == "runs/eval/faces"
    given = config.EvalConfig(run="runs/faces/", checkpoint_dir="elsewhere", batch_size=2)
    assert (given.run_dir, given.eval_dir) == ("runs/faces", "runs/eval/faces")


def test_validation_images_lie_in_the_data_unless_said_otherwise():
    assert config.EvalConfig(data_dir="d", real_split="validation").real_dir == "d/validation"
    other = config.EvalConfig(data_dir="d", real_split="validation", validation_dir="v")
    assert other.real_dir == "v"


@pytest.mark.parametrize(
    ("kind", "size", "resolution", "expected"),
    [
        ("test", 128, 0, 32),
        ("test_64", 128, 0, 64),
        ("baseline", 128, 0, None),
        ("test", 32, 16, 16),
        ("test_64", 256, 128, 128),
    ],
)
def test_attention_side(kind, size, resolution, expected):
    model = config.ModelConfig(
        image_size=size,
        generator_type=kind,
        discriminator_type=kind,
        attention_resolution=resolution,
    )
    assert model.attention_side("generator") == expected
    assert model.attention_side("discriminator") == expected


def test_residual_block_is_where_attention_would_be():
    model = config.ModelConfig(block="residual", discriminator_type="baseline")
    assert (model.attention_side("generator"), model.attention_side("discriminator")) == (32, None)
    assert not model.has_attention("generator")
    attention = config.ModelConfig(discriminator_type="baseline")
    assert attention.has_attention("generator")
    assert not attention.has_attention("discriminator")


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            config.TrainConfig,
            {"augment": "diffaugment", "augment_policy": "color,hue"},
            "--augment_policy=color,hue: expected with --augment=diffaugment some of all, color, "
            "translation, cutout, separated by commas",
        ),
        (
            config.TrainConfig,
            {"augment_policy": "color"},
            "--augment_policy=color: expected an --augment other than none",
        ),
        (
            config.TrainConfig,
            {"ada_kimg": 25.0},
            "--ada_kimg=25.0: expected --augment=ada with it, or --ada_kimg=500 after a flagfile "
            "that sets it",
        ),
        (config.CompareConfig, {}, "--runs=: expected the directories of runs, or patterns of "),
        (
            config.TrainConfig,
            {"augment": "ada", "ada_kimg": float("inf")},
            "--ada_kimg=inf: expected 0 or more",
        ),
        (
            config.TrainConfig,
            {"augment": "diffaugment", "ada_start": 0.3},
            "--ada_start=0.3: expected --augment=ada with it, or --ada_start=0 after a flagfile "
            "that sets it",
        ),
        (
            config.TrainConfig,
            {"ada_target": 0.5},
            "--ada_target=0.5: expected --augment=ada with it, or --ada_target=0.6 after a "
            "flagfile that sets it",
        ),
        (
            config.ModelConfig,
            {"image_size": 100},
            "--image_size=100: expected one of 32, 64, 128, 256",
        ),
        (
            config.ModelConfig,
            {"generator_type": "big"},
            "--generator_type=big: expected one of test, test_64, baseline",
        ),
        (
            config.ModelConfig,
            {"attention_resolution": 48},
            r"--attention_resolution=48: expected one of \[8, 16, 32, 64\] at --image_size=128, "
            "or 0",
        ),
        (
            config.ModelConfig,
            {"image_size": 32},
            r"--generator_type=test: .* may sit on one of \[8, 16\]",
        ),
        (
            config.ModelConfig,
            {"gf_dim": 2, "generator_type": "test_64"},
            "--gf_dim=2: expected at least 4, so that the map of side 64 has the 8 channels",
        ),
        (
            config.ModelConfig,
            {"gf_dim": 2, "generator_type": "test_64", "block": "residual"},
            "--gf_dim=2: expected at least 4, .* channels that the residual block needs",
        ),
        (
            config.ModelConfig,
            {"block": "residual", "generator_type": "baseline", "discriminator_type": "baseline"},
            "--block=residual: expected attention, because both networks are of type baseline",
        ),
        (
            config.ModelConfig,
            {"block": "none"},
            "--block=none: expected one of attention, residual",
        ),
        (
            config.ModelConfig,
            {"spectral_norm": "none"},
            "--spectral_norm=none: expected one of exact, at_most_one",
        ),
        (
            config.ModelConfig,
            {"number_classes": 0},
            "--number_classes=0: expected a number above 0",
        ),
        (config.ModelConfig, {"cbn_decay": 1.0}, "--cbn_decay=1.0: expected a number from 0"),
        (config.TrainConfig, {"batch_size": -1}, "--batch_size=-1: expected a number above 0"),
        (
            config.TrainConfig,
            {"loss_type": "wgan"},
            "--loss_type=wgan: expected one of hinge_loss, kl_loss",
        ),
        (config.TrainConfig, {"beta2": 1.0}, "--beta2=1.0: expected a number from 0"),
        (config.TrainConfig, {"seed": 2**32}, "--seed=4294967296: expected a number from 0"),
        (config.EvalConfig, {"eval_sample_size": 1}, "--eval_sample_size=1: expected 2 or more"),
        (
            config.EvalConfig,
            {"is_splits": 10, "eval_sample_size": 19},
            "--is_splits=10: expected at most half of --eval_sample_size=19",
        ),
        (config.TrainConfig, {"run_name": ""}, "--run_name=: expected the name of a directory"),
        (config.TrainConfig, {"run_name": "a/b"}, "--run_name=a/b: expected the name of a dir"),
        (config.TrainConfig, {"run_name": ".."}, "--run_name=..: expected the name of a directory"),
        (config.EvalConfig, {"run_name": "eval"}, "--run_name=eval: expected the name of a direct"),
        (config.EvalConfig, {"real_sample_size": 1}, "--real_sample_size=1: expected 2 or more"),
        (
            config.EvalConfig,
            {"inception_sha256": "abc"},
            "--inception_sha256=abc: expected 64 hexa",
        ),
        (
            config.EvalConfig,
            {"protocol": "paper"},
            "--protocol=paper: expected one of reference, tf",
        ),
        (
            config.EvalConfig,
            {"watch": True, "checkpoint_step": 3},
            "--checkpoint_step=3: expected no",
        ),
        (
            config.EvalConfig,
            {"all": True, "save_samples": "a"},
            "--save_samples=a: expected none with",
        ),
        (
            config.EvalConfig,
            {"intra_images": 1},
            "--intra_images=1: expected 2 or more images, or 0",
        ),
        (config.ScoreImagesConfig, {}, "--images=: expected a directory or an .npz"),
    ],
)
def test_bad_value_names_flag_value_and_what_would_be_right(kind, fields, message):
    with pytest.raises(errors.UserError, match=message) as error:
        kind(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "kind",
    [
        config.ModelConfig,
        config.DataConfig,
        config.TrainConfig,
        config.EvalConfig,
        config.ScoreImagesConfig,
    ],
)
def test_every_field_says_what_it_is(kind):
    for field in dataclasses.fields(kind):
        assert len(field.metadata["help"]) > 10


def test_difference_names_the_fields():
    assert config.difference(config.ModelConfig(), config.ModelConfig(gf_dim=32)) == [
        "gf_dim: 64 there, 32 here"
    ]


def test_protocols_set_flags_that_exist_and_belong_to_a_protocol():
    fields = {field.name for field in dataclasses.fields(config.EvalConfig)}
    assert set(config.PROTOCOL_FIELDS) <= fields
    for name in config.PROTOCOLS:
        assert set(config.protocol(name)) <= set(config.PROTOCOL_FIELDS)


def test_protocol_of_mmgeneration_is_what_its_metrics_do():
    """mmgen/core/evaluation/metrics.py: ten splits, uint8, all training images."""
    mmgen = {**config.protocol("mmgen"), "protocol": "mmgen"}
    settings = config.EvalConfig(**mmgen)
    assert (settings.is_splits, settings.quantization) == (10, "round")
    assert (settings.real_sample_size, settings.real_split) == (0, "train")
    assert (settings.eval_sample_size, settings.label_sampling) == (50_000, "uniform")
    assert settings.departures(50_000) == {}


def test_what_a_protocol_cannot_have_is_said_of_protocols_alone():
    assert config.protocol_differences("reference") == ()
    assert set(config.protocols.DIFFERENCES) <= set(config.PROTOCOLS)
    said = " ".join(config.protocol_differences("mmgen"))
    for word in ("Pillow (bicubic) to 299", "bias of the logits", "NVlabs' TorchScript"):
        assert word in said


def test_reference_protocol_is_the_default_and_departures_from_a_protocol_are_named():
    assert config.EvalConfig().protocol == "reference"
    assert config.EvalConfig().departures(50_000) == {}
    assert config.EvalConfig(seed=3, stats_dir="").departures(50_000) == {"seed": 3}
    ten = {**config.protocol("ten_splits"), "protocol": "ten_splits"}
    assert config.EvalConfig(**ten).departures(50_000) == {}
    assert config.EvalConfig(**{**ten, "is_splits": 1}).departures(50_000) == {"is_splits": 1}
    few = config.ScoreImagesConfig(images="x.npz")
    assert few.departures(60) == {"eval_sample_size": 60}
    assert few.departures(50_000) == {}
    with pytest.raises(errors.UserError, match="--protocol=none: expected one of reference"):
        config.protocol("none")


def test_optimizations_by_name():
    auto = config.optimizations("auto", "CPU")
    assert {"up_conv", "down_conv", "narrow_conv"} <= set(auto)
    assert set(auto) <= set(config.OPTIMIZATIONS)
    assert config.optimizations("none", "CPU") == {}
    assert config.optimizations("adam, up_conv:64", "GPU") == {"adam": 0, "up_conv": 64}
    without = config.optimizations("auto,-adam,down_conv:8", "CPU")
    assert without == {**{k: v for k, v in auto.items() if k != "adam"}, "down_conv": 8}
    assert config.optimizations("up_conv", "CPU") == {"up_conv": auto["up_conv"]}
    assert config.optimizations("up_conv", "GPU") == {"up_conv": 0}


def test_optimizations_of_accelerators():
    """What pays only where XLA joins operations is left out where it does not compile."""
    compiled = config.optimizations("auto", "GPU", compiled=True)
    for_others = {"wide_conv", "small_conv", "narrow_conv", "up_shortcut"}
    assert set(compiled) == set(config.OPTIMIZATIONS) - for_others
    assert config.optimizations("auto", "TPU") == {**compiled, "up_shortcut": 0}
    uncompiled = config.optimizations("auto", "GPU")
    assert set(uncompiled) == set(compiled) - {"relu", "one_pass", "kernel_sums"}
    on_cpu = config.optimizations("auto", "CPU", compiled=True)
    assert on_cpu == config.optimizations("auto", "CPU")


def test_auto_of_a_cpu_that_convolves_in_the_precision_itself():
    usual = config.optimizations("auto", "CPU")
    native = config.optimizations("auto", "CPU", native="avx512_bf16")
    of_float32 = {"narrow_conv", "wide_conv"}
    common = {name: side for name, side in usual.items() if name not in of_float32}
    assert native == {**common, "small_conv": 0}
    text = "auto,narrow_conv,wide_conv,-small_conv"
    assert config.optimizations(text, "CPU", native="avx512_bf16") == usual
    gpu = config.optimizations("auto", "GPU", native="avx512_bf16")
    assert gpu == config.optimizations("auto", "GPU")


@pytest.mark.parametrize(
    "text", ["", "fast", "auto,fast", "adam:8", "up_conv:", "up_conv:-1", "-up_conv:8", "auto none"]
)
def test_unknown_optimization_is_refused(text):
    with pytest.raises(errors.UserError, match=f"--optimizations={text}: expected auto, none, or"):
        config.TrainConfig(optimizations=text)


def test_policies_of_an_augmentation():
    assert augmentation_names.policies("none", "all") == ()
    assert augmentation_names.policies("diffaugment", "cutout,color") == ("cutout", "color")
    assert augmentation_names.policies("ada", "blit, scale,xint") == (
        "xflip",
        "rotate90",
        "xint",
        "scale",
    )
    every = augmentation_names.policies("ada", "all")
    assert every == augmentation_names.policies("ada", "bgc")
    assert len(every) == 12
