"""Helpers that several tests share."""

import contextlib
import io
import os
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, model
from sagan_tf.data import records
from sagan_tf.runs import checkpoints
from sagan_tf.runs import directory as runs_directory

TINY_MODEL = config.ModelConfig(
    image_size=32, z_dim=8, gf_dim=8, df_dim=8, number_classes=3, attention_resolution=16
)
NO_DISK = "mounting a small tmpfs needs root"
# The same without attention, quicker to trace.
PLAIN_MODEL = config.ModelConfig(
    image_size=32,
    z_dim=8,
    gf_dim=8,
    df_dim=8,
    number_classes=3,
    generator_type="baseline",
    discriminator_type="baseline",
)


def relative_error(actual, expected) -> float:
    """||actual - expected|| / ||expected||."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-30)


def random_images(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """uint8 [count, size, size, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_records(path, images, labels, encoding: str = "raw") -> str:
    """Writes a record file and returns its name."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels):
            writer.write(records.encode(image, int(label), encoding=encoding))
    return str(path)


def make_data(directory, count: int = 12, classes: int = 3, size: int = 32, shards: int = 2) -> str:
    """A data directory of random images, labels in turn."""
    directory.mkdir(parents=True, exist_ok=True)
    images, labels = random_images(count, size), np.arange(count) % classes
    for shard in range(shards):
        write_records(
            directory / f"part-{shard}.tfrecords", images[shard::shards], labels[shard::shards]
        )
    return str(directory)


@contextlib.contextmanager
def chromium():
    """A browser that playwright drives, as a context; skips where either is absent."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no chromium in PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def small_disk(directory, size: str):
    """A file system of this size ("256k"), in a new directory; None where mounting is forbidden."""
    directory.mkdir()
    mounted = (
        hasattr(os, "geteuid")
        and os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)],
            capture_output=True,
            check=False,
        ).returncode
    )
    try:
        yield directory if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=True)


def enlarge(disk, size: str) -> None:
    """Gives a `small_disk` another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def make_pictures(directory, counts: dict[str, int], side: int = 40) -> str:
    """A folder of class folders with PNG pictures 0.png, 1.png, ..., all different."""
    seed = 0
    for name, count in counts.items():
        (directory / name).mkdir(parents=True)
        for i in range(count):
            seed += 1
            pixels = random_images(1, side, seed)[0][: side - i % 3]
            Image.fromarray(pixels).save(directory / name / f"{i}.png")
    return str(directory)


def make_run(
    directory, model_config=TINY_MODEL, step: int = 5, average: bool = True, ratio: float = 0.5
) -> str:
    """The directory of a run that has trained nothing: random weights and statistics.

    `sigma_ratio` is -0.25 in D; the average differs from the generator.
    """
    train = config.TrainConfig(
        checkpoint_dir=str(directory),
        batch_size=2,
        num_towers=1,
        ema_decay=0.9 if average else 0.0,
        max_steps=100,
    )
    gan = model.SAGAN(model_config, train)
    rng = np.random.default_rng(0)
    for network in filter(None, (gan.generator, gan.averaged)):
        for v in network.weights:
            if v.path.endswith(("/gamma", "/beta", "/mean", "/moving_mean")):
                v.assign(v.numpy() + 0.3 * rng.normal(size=v.shape))
            elif v.path.endswith(("/var", "/moving_variance")):
                v.assign(rng.uniform(0.5, 2, v.shape))
    for network, value in (
        (gan.generator, ratio),
        (gan.averaged, ratio),
        (gan.discriminator, -0.25),
    ):
        if network is not None and network.inserted is not None:
            network.inserted.sigma_ratio.assign(value)
    gan.step.assign(step)
    runs_directory.write_config(
        train.run_dir, model=model_config, data=config.DataConfig(), train=train
    )
    checkpoints.Checkpoints(train.run_dir, gan.state()).save(step)
    return train.run_dir


def make_tar(directory, path):
    """A tar of one tar for each folder, as ILSVRC2012_img_train.tar is; returns its path."""
    with tarfile.open(path, "w") as outer:
        for folder in sorted(directory.iterdir()):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as inner:
                for file in sorted(folder.iterdir()):
                    inner.add(file, file.name)
            member = tarfile.TarInfo(folder.name + ".tar")
            member.size = buffer.tell()
            buffer.seek(0)
            outer.addfile(member, buffer)
    return path
