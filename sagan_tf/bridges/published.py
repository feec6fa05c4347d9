"""Weights that other projects have published: where they are, and what is known of them.

Nothing here is downloaded. Facts are quoted from the projects' own pages.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Optional

PROJECTS = {
    "mmgen": "mmgeneration",
    "tfgan": "TF-GAN's SAGAN (ilyakava/gan)",
    "studiogan": "PyTorch-StudioGAN",
    "sngan_projection": "SNGAN-projection (pfnet-research/sngan_projection)",
}
LICENCES = {
    "mmgen": "code Apache-2.0; for weights none is stated",
    "tfgan": "code Apache-2.0; for weights none is stated",
    "studiogan": "code MIT; weights MIT (model card)",
    "sngan_projection": "code MIT; for weights none is stated",
}
# What the hub calls the licence of the weights, where the project states one.
HUB_LICENCES = {"studiogan": "mit"}
# What the hub calls the data of all published weights.
DATASET = "imagenet-1k"
PROTOCOLS = {
    "mmgen": "50,000 images against all training images; uint8 by rounding; IS of ten splits, with "
    "Pillow's bicubic resize and without the bias of the logits",
    "tfgan": "50,176 images; Inception of TensorFlow Hub; one split. Whether against training or "
    "validation images is not said",
    "studiogan": "50,000 images against the validation images; one split. Batch norm by the "
    "statistics of the batch (2021) or standing ones (2022)",
    "sngan_projection": "50,000 images, truncated to uint8; IS of ten splits by OpenAI's "
    "program. Intra-FID of 5,000 images of each class against its training images",
}
# Settings of a run that goes on from these weights, as far as the source's own are ours.
_TRAINING = {
    "mmgen": {"batch_size": 32, "num_towers": 8, "ema_decay": 0.999},
    # Of a file of a moving average; published SAGANs have none.
    "studiogan": {"ema_decay": 0.9999},
}
# The same of SNGAN-projection, whose generator is not spectrally normalised. No published one has
# a moving average; ema_decay is that of the project.
_TRAINING_OF_SNGAN = {
    # configs/sngan_proj/sngan_proj_128_woReLUinplace_Glr-2e-4_Dlr-5e-5_ndisc5_imagenet1k_b128x2.py.
    "mmgen": {
        "batch_size": 128,
        "num_towers": 2,
        "d_step": 5,
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 5e-5,
        "ema_decay": 0.999,
    },
    # src/configs/ImageNet/SNGAN-256.yaml, of 2022.
    "studiogan": {
        "d_step": 2,
        "generator_learning_rate": 5e-5,
        "discriminator_learning_rate": 2e-4,
        "ema_decay": 0.9999,
    },
    # configs/sn_projection.yml, on 4 GPUs.
    "sngan_projection": {
        "batch_size": 16,
        "num_towers": 4,
        "d_step": 5,
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "beta2": 0.9,
    },
}
# Decay of moving statistics: PyTorch's momentum of 0.1 is a decay of 0.9, which Chainer has too.
DECAYS = {
    "mmgen": {"cbn_decay": 0.9, "bn_decay": 0.9},
    "tfgan": {"cbn_decay": 0.999, "bn_decay": 0.999},
    "studiogan": {"cbn_decay": 0.9, "bn_decay": 0.9},
    "sngan_projection": {"cbn_decay": 0.9, "bn_decay": 0.9},
}
_OPENMMLAB = "https://download.openmmlab.com/mmgen/"
_DRIVE = "https://drive.google.com/drive/folders/"
_HUGGING_FACE = (
    "https://huggingface.co/Mingguksky/PyTorch-StudioGAN/resolve/main/"
    "studiogan_official_ckpt/ImageNet_tailored/"
)


@dataclasses.dataclass(frozen=True)
class Published:
    """A file, or a folder of them.

    Attributes:
      source: as `config.ImportConfig.source`.
      title: what it is.
      url: where it is.
      names: names of the files in there that the import takes; empty where they are not stated.
      scores: the published IS and FID, and when; "" where there are none.
      megabytes: the size of each file in 10^6 bytes, as stated or by the number of parameters.
      about_size: how the size is known.
      note: what else to know.
    """

    source: str
    title: str
    url: str
    names: tuple[str, ...]
    scores: str
    megabytes: tuple[int, ...] = ()
    about_size: str = "by its number of parameters"
    note: str = ""

    @property
    def hashes(self) -> tuple[str, ...]:
        """The first eight digits of SHA-256, where names have them."""
        return tuple(name[-12:-4] for name in self.names) if self.source == "mmgen" else ()


def _mmgen(path: str, title: str, scores: str, **facts) -> Published:
    """A file of mmgeneration, whose name is the end of its address."""
    url = _OPENMMLAB + path
    return Published("mmgen", title, url, (os.path.basename(url),), scores, **facts)


def _sngan(ending: str, scores: str, *, shortcut: str) -> Published:
    """One of mmgeneration's SNGAN-projection."""
    return _mmgen(
        "sngan_proj/sngan_proj_imagenet1k_128_Glr2e-4_Dlr5e-5_ndisc5_b128x2_" + ending,
        f"SNGAN-projection, shortcuts of D {shortcut}",
        scores,
        megabytes=(326,),
        note=_NO_SN,
    )


_NO_SN = "its generator is not spectrally normalised: a run has --nogenerator_sn"
PUBLISHED = (
    _mmgen(
        "sagan/sagan_128_woReLUinplace_noaug_bigGAN_imagenet1k_b32x8_Glr1e-4_Dlr-4e-4_ndisc1_"
        "20210818_210232-3f5686af.pth",
        "SAGAN, 128 px, BigGAN's schedule, with a moving average",
        "IS 69.5350, FID 12.8295 at step 826,000",
        megabytes=(494,),
        note="the best one; structure of --generator_type=test_64",
    ),
    _mmgen(
        "sagan/sagan_imagenet1k_128_Glr1e-4_Dlr4e-4_ndisc1_b32x4_woReLUinplace_is-iter980000_"
        "20210730_163140-cfbebfc6.pth",
        "SAGAN, 128 px, StudioGAN's settings, best IS",
        "IS 31.5938, FID 36.7712 at step 980,000",
        megabytes=(326,),
    ),
    _mmgen(
        "sagan/sagan_imagenet1k_128_Glr1e-4_Dlr4e-4_ndisc1_b32x4_woReLUinplace_fid-iter950000_"
        "20210730_163431-d7916963.pth",
        "SAGAN, 128 px, StudioGAN's settings, best FID",
        "IS 28.4936, FID 34.7838 at step 950,000",
        megabytes=(326,),
    ),
    _mmgen(
        "sagan/sagan_128_imagenet1k_convert-studio-rgb_20210730_153357-eddb0d1d.pth",
        "SAGAN of StudioGAN (2021), converted",
        "IS 27.367, FID 40.1162 (StudioGAN's evaluation: 29.848, 34.726)",
        megabytes=(326,),
    ),
    _sngan(
        "woReLUinplace_is-iter952000_20210730_132027-9c884a21.pth",
        "IS 30.0651, FID 33.4682 at step 952,000",
        shortcut="plain",
    ),
    _sngan(
        "woReLUinplace_fid-iter988000_20210730_131424-061bf803.pth",
        "IS 29.5779, FID 32.6193 at step 988,000",
        shortcut="plain",
    ),
    _sngan(
        "wReLUinplace_is-iter944000_20210730_132714-ca0ccd07.pth",
        "IS 28.1799, FID 34.3383 at step 944,000",
        shortcut="after a ReLU",
    ),
    _sngan(
        "wReLUinplace_fid-iter988000_20210730_132401-9a682411.pth",
        "IS 27.7948, FID 33.4821 at step 988,000",
        shortcut="after a ReLU",
    ),
    _mmgen(
        "sngan_proj/sngan_imagenet1k_convert-studio-rgb_20210709_111406-877b1130.pth",
        "SNGAN-projection of StudioGAN (2021), converted",
        "IS 30.218, FID 29.8199",
        megabytes=(326,),
        note=_NO_SN,
    ),
    Published(
        "tfgan",
        "SAGAN, 128 px, attention at 32",
        _DRIVE + "1oLBISsbAbs5G-emQ6Roix2-LOQiZEJy1",
        (),
        "IS 52.8251, FID 21.9846 at step 1,130,000",
        note="structure of --generator_type=test",
    ),
    Published(
        "tfgan",
        'SAGAN, 128 px; of the pair "high fidelity, low diversity" the step 580,000',
        _DRIVE + "1CGjsCqhRinxB3qRf0fmpAA8fYxauOiO6",
        (),
        "IS 47.79, FID 17.10 at step 580,000; IS 169.68, FID 8.87 at step 585,000",
        note='of step 585,000 the authors say "very low diversity"',
    ),
    Published(
        "tfgan",
        "MHGAN, 128 px (the same generator)",
        _DRIVE + "1acQL6rhSIuIzpPvymclbw6cNaee7N1Fy",
        (),
        "IS 60.9724, FID 19.1119",
        note="the head of its discriminator that guesses classes is left out",
    ),
    Published(
        "tfgan",
        "SAGAN, 64 px",
        _DRIVE + "1GfuPWCks08v1Ftgdd7jHL-_TRs7QxgZ-",
        (),
        "IS 19.49, FID 15.48 at step 999,999",
    ),
    Published(
        "studiogan",
        "SAGAN, 128 px, batch 256 (2022)",
        _HUGGING_FACE + "ImageNet-SAGAN-256-train-2022_03_12_17_11_43/",
        ("model=G-best-weights-step=120000.pth", "model=D-best-weights-step=120000.pth"),
        "IS 19.16, FID 51.82 at step 120,000",
        megabytes=(505, 474),
        about_size="with the optimizer",
    ),
    Published(
        "studiogan",
        "SNGAN-projection, 128 px, batch 256 (2022)",
        _HUGGING_FACE + "ImageNet-SNGAN-256-train-2022_03_06_03_53_44/",
        ("model=G-best-weights-step=472000.pth", "model=D-best-weights-step=472000.pth"),
        "IS 32.40, FID 28.39 at step 472,000",
        note=_NO_SN,
    ),
    Published(
        "studiogan",
        "SAGAN, 128 px (2021)",
        _DRIVE + "1ZYaqeeumDgxOPDhRR5QLeLFIpgBJ9S6B",
        (),
        "IS 29.848, FID 34.726",
        note="mmgeneration has a converted copy",
    ),
    Published(
        "studiogan",
        "SNGAN-projection, 128 px (2021)",
        _DRIVE + "1Ek2wAMlxpajL_M8aub4DKQ9B313K8XhS",
        (),
        "IS 32.247, FID 26.792",
        note=_NO_SN,
    ),
    Published(
        "sngan_projection",
        "SNGAN-projection, 128 px: the baseline of SAGAN's paper",
        _DRIVE + "1m04Db3HbN10Tz5XHqiPpIg8kw23fkbSi",
        (),
        "IS 29.7, intra-FID 103.1 at step 450,000; IS 36.8, intra-FID 92.4 at step 850,000",
        note=f"SAGAN's paper gives it IS 36.8, FID 27.62; {_NO_SN}",
    ),
)


def training(source: str, *, generator_sn: bool) -> dict[str, float]:
    """Fields of `TrainConfig` as the source trained its networks, as far as they are ours.

    Args:
      source: as `config.ImportConfig.source`.
      generator_sn: whether its generator is spectrally normalised.
    """
    table = _TRAINING if generator_sn else _TRAINING_OF_SNGAN
    return dict(table.get(source, {}))


def find(files: Mapping[str, str]) -> Optional[Published]:
    """What is published of a file: by the digits of its hash.

    Args:
      files: SHA-256 by path.
    """
    hashes = {digest[:8] for digest in files.values()}
    for one in PUBLISHED:
        if hashes & set(one.hashes):
            return one
    return None


def listing(source: str) -> str:
    """What is published for a source, and the commands that follow, for people."""
    # The project.
    lines = [
        f"{PROJECTS[source]}: weights for ImageNet. Nothing is downloaded here.",
        f"licence: {LICENCES[source]}",
        f"protocol of the scores: {PROTOCOLS[source]}",
    ]

    # Each file.
    for one in PUBLISHED:
        if one.source == source:
            lines += ["", *_described(one)]
    return "\n".join(lines)


def _described(one: Published) -> list[str]:
    """The lines of one file."""
    # What it is.
    lines = [one.title, f"  url: {one.url}"]
    sizes = one.megabytes or ("?",) * len(one.names)
    for name, size in zip(one.names, sizes):
        known = f"{size} MB ({one.about_size})" if one.megabytes else "size not stated"
        lines.append(f"  file: {name}, {known}")
    if not one.names:
        lines.append("  file: names and sizes are not stated")
    digits = ", ".join(one.hashes)
    lines.append(f"  SHA-256: begins with {digits}" if digits else "  SHA-256: not stated")
    lines.append(f"  published: {one.scores}")
    if one.note:
        lines.append(f"  note: {one.note}")

    # What to do with it.
    lines += ["  commands:", *(f"    {command}" for command in commands(one))]
    return lines


def commands(one: Published) -> list[str]:
    """From the download to scores, for a shell."""
    # Download.
    found = []
    if one.source == "mmgen":
        found.append(f"curl -O {one.url}")
    elif one.names and one.source == "studiogan":
        found += [f"curl -L -o '{name}' {one.url}{_quoted(name)}" for name in one.names]
    else:
        found.append("(download the folder in a browser)")

    # Import, look and score.
    words = ["python -m sagan_tf.tools.import_weights", f"--source={one.source}"]
    if one.source == "studiogan":
        words.append("--sigma=settled")  # As its own evaluation, whose scores these are.
    paths = [f"--path='{name}'" for name in one.names] or _UNNAMED[one.source]
    run = [*words, *paths, "--to=run --out=imported_run"]
    words.append(paths[0])
    found.append(" ".join(run))
    found += [
        " ".join([*words, "--out=imported"]),
        "python -m sagan_tf.tools.sample imported --classes=goldfish,beagle --seeds=0-7",
        f"python eval_imagenet.py imported --data_dir=./data --protocol={_PROTOCOL[one.source]}",
    ]
    return found


# Of `config.PROTOCOLS`, the nearest to the source's own.
_PROTOCOL = {
    "mmgen": "mmgen",
    "tfgan": "tfgan",
    "studiogan": "tfgan",
    "sngan_projection": "sngan_projection",
}
# Where the names of the files are not stated: the generator's, and the discriminator's.
_UNNAMED = {
    "tfgan": ["--path=model.ckpt-STEP"],
    "studiogan": ["--path=G.pth", "--path=D.pth"],
    "sngan_projection": [
        "--path=ResNetGenerator_STEP.npz",
        "--path=SNResNetProjectionDiscriminator_STEP.npz",
    ],
}


def _quoted(name: str) -> str:
    return name.replace("=", "%3D")
