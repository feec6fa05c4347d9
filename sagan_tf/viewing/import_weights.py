"""Import of other projects' weights: as an exported model, or as a run to train on."""

import dataclasses
import os
from collections.abc import Callable
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.bridges import classes, imports, published, spectral
from sagan_tf.bridges.imports import Imported
from sagan_tf.bridges.mapping import Network
from sagan_tf.config import ImportConfig
from sagan_tf.data import class_names
from sagan_tf.gan import generator
from sagan_tf.runs import imported_run
from sagan_tf.runs.card import Card
from sagan_tf.runtime import files, memory
from sagan_tf.viewing import card_facts, export, folding, trained, words

_Say = Callable[[str], None]
_SEEDS = range(8)  # Of the images whose mean and deviation are printed.
_NETWORKS = ("generator", "discriminator")
# Endings of arrays that no gradient moves.
_NOT_TRAINED = ("/u", "/mean", "/var", "/moving_mean", "/moving_variance")


def import_weights(options: ImportConfig, stream: Optional[TextIO] = None) -> None:
    """Writes what the files of another project hold, or lists what is published.

    Raises:
      errors.UserError: a file is not what it should be, or the output cannot be written.
    """
    say = words.printer(stream)
    if not options.path:
        say(published.listing(options.source))
        return

    # Find out whether the output can be written, and read the files.
    out = options.out.rstrip("/")
    with files.writing(f"--out={out}"):
        export.require_free(out)
        os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    memory.keep_freed_memory()
    imported = imports.read(options)
    _describe(imported, options, say)

    # Change the classes.
    number = options.number_classes
    if number:
        imported = with_classes(imported, number)
        say(f"{number} classes of your own, each the mean of the source's; steps begin at 0")

    # Write them.
    network = folded_generator(imported, options)
    _describe_images(network, say)
    if options.to == "model":
        _write_model(network, out, facts=card_facts.of_import(options, network.card), say=say)
    else:
        _write_run(imported, out, source=options.source, say=say)


def _write_model(network: trained.Trained, out: str, *, facts: card_facts.Facts, say: _Say) -> None:
    difference, seconds = export.write(network, out, facts)
    say(
        f"{out}: an exported model; read back, images differ by at most {difference:.1e}; one "
        f"image takes {1000 * seconds:.1f} ms"
    )


def _write_run(imported: Imported, out: str, *, source: str, say: _Say) -> None:
    step = imported.step or 0
    flags = imported_run.write(imported, out, source=source, step=step)
    command = ["python train_imagenet.py", "--data_dir=./data", *flags]
    say(f"{out}: a run at step {step}; train it on with")
    say(" ".join(command))


def with_classes(imported: Imported, number: int) -> Imported:
    """The same with classes of one's own; training them begins at step 0."""
    networks = {
        name: classes.with_classes(network, number) for name, network in imported.networks.items()
    }
    return dataclasses.replace(
        imported,
        networks=networks,
        model_config=dataclasses.replace(imported.model_config, number_classes=number),
        step=None,
    )


def folded_generator(imported: Imported, options: ImportConfig) -> trained.Trained:
    """The generator that the source makes images with, from Keras's own layers.

    It divides weights by what the source divides them by.
    """
    # Set one of ours.
    live = generator.Generator(imported.model_config)
    live.build()
    network = imported.sampled(live=options.live)
    network.assign_to(live)

    # Fold it with the source's sigmas.
    folded = folding.fold(live, network.sigmas)
    block = live.non_local
    digest = next(iter(imported.files.values()))
    count = imported.model_config.number_classes
    names = [str(label) for label in range(options.number_classes)]
    card = Card(
        model_config=imported.model_config,
        classes=class_names.make(names, None, count=count),
        step=imported.step or 0,
        use_ema="averaged" in imported.networks and not options.live,
        sigma_ratio=None if block is None else float(block.sigma_ratio.numpy()),
        run=f"{options.source} {digest[:8]}",
        checkpoint_sha256=digest,
        made_with={"tensorflow": tf.__version__, "keras": keras.__version__},
        origin=_origin(imported, options),
    )
    return trained.Trained(folded, card, source=options.path[0])


def _origin(imported: Imported, options: ImportConfig) -> dict:
    """Where the weights are from, for the card."""
    known = published.find(imported.files)
    project = published.PROJECTS[options.source]
    states_licence = options.source in published.HUB_LICENCES and not imported.traits.ours
    return {
        "project": f"sagan_tf, in names of {project}" if imported.traits.ours else project,
        "licence": _licence(imported, options),
        "url": known.url if known else "",
        "hub_licence": published.HUB_LICENCES[options.source] if states_licence else "",
        "published": known.scores if known else "",
        "protocol": published.PROTOCOLS[options.source] if known else "",
        "files": {os.path.basename(path): sha for path, sha in imported.files.items()},
        "sigma": options.sigma,
        "epsilon": imported.traits.epsilon,
        "channel_order": "bgr" if imported.traits.bgr else "rgb",
    }


def _licence(imported: Imported, options: ImportConfig) -> str:
    """That of the project; of a file that this one has written, none is known."""
    if imported.traits.ours:
        return "that of the run that this project wrote the file from"
    return published.LICENCES[options.source]


def _describe(imported: Imported, options: ImportConfig, say: _Say) -> None:
    """Says what was read: files, networks, numbers of parameters, sigmas."""
    # The files.
    for path, digest in imported.files.items():
        say(f"{path}: SHA-256 {digest}")
    known = published.find(imported.files)
    if known:
        say(f"published: {known.title}; {known.scores}")
    say(f"licence: {_licence(imported, options)}")

    # The networks.
    config = imported.model_config
    step = "step not stated" if imported.step is None else f"step {imported.step:,}"
    say(
        f"{config.image_size} px, {config.number_classes} classes, z {config.z_dim}, widths "
        f"{config.gf_dim} and {config.df_dim}, attention on {_attention(imported)}, {step}"
    )
    traits = imported.traits
    say(
        f"taken for {'BGR' if traits.bgr else 'RGB'}, epsilon {traits.epsilon:g}, shortcuts of D "
        f"{'after a ReLU' if traits.relu_shortcut else 'plain'} (--channel_order, --epsilon and "
        "--shortcut say otherwise)"
    )
    for name, network in imported.networks.items():
        if name == "generator" and imported.only_average:
            say("generator: not in the file, which has its average alone")
        else:
            say(f"{name}: {_parameters(network):,} parameters{_sigmas(imported, network)}")
    if imported.left_out:
        say(imported.left_out)


def _attention(imported: Imported) -> str:
    sides = [imported.model_config.attention_side(name) for name in _NETWORKS]
    texts = [f"{side}x{side} of {name[0].upper()}" for name, side in zip(_NETWORKS, sides) if side]
    return " and ".join(texts) or "no map"


def _parameters(network: Network) -> int:
    """Trainable numbers of a network."""
    return sum(
        values.size for path, values in network.arrays.items() if not path.endswith(_NOT_TRAINED)
    )


def _sigmas(imported: Imported, network: Network) -> str:
    """How what the source divides weights by compares with what our layers divide them by."""
    if not imported.normalized and "g_snh0/Matrix" in network.arrays:
        return "; its weights are not normalised"
    at_most_one = imported.model_config.spectral_norm == "at_most_one"
    ratios = spectral.sigma_ratios(network, at_most_one=at_most_one)
    return f"; sigma, source / ours, {min(ratios):.4f} to {max(ratios):.4f}"


def _describe_images(network: trained.Trained, say: _Say) -> None:
    """Says the mean and deviation of a few images; a collapsed or wrong network shows in them."""
    images = network.generate(*network.draw(_SEEDS))
    if not np.isfinite(images).all():
        raise errors.UserError(f"--path={network.source}: its images are not finite numbers")
    say(
        f"{len(images)} images in [-1, 1]: mean {images.mean():.4f}, standard deviation "
        f"{images.std():.4f}"
    )
