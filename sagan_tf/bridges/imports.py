"""Networks of other projects, read from their files into our names."""

import dataclasses
import glob
import hashlib
import os
import re
import types
from collections.abc import Mapping
from typing import Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import (
    checks,
    mapping,
    mmgen,
    sngan_projection,
    spectral,
    studiogan,
    tfgan,
    torch_layers,
)
from sagan_tf.bridges.mapping import Network, Norm, Shapes, Table, Tensors
from sagan_tf.bridges.structure import Opened, Traits, number_of, settings
from sagan_tf.config import ImportConfig, ModelConfig
from sagan_tf.gan import discriminator, generator

_PROJECTS = {
    "mmgen": mmgen,
    "studiogan": studiogan,
    "tfgan": tfgan,
    "sngan_projection": sngan_projection,
}
# How each stores the vectors of the power iteration.
_VECTORS = {**_PROJECTS, "mmgen": torch_layers, "studiogan": torch_layers}
# mmgeneration's names end with date, time and the beginning of SHA-256.
_HASH_IN_NAME = re.compile(r"_\d{8}_\d{6}-([0-9a-f]{8})\.pth$")
# Relative difference of sigmas that float32 may make.
_SAME_SIGMA = 1e-6
# What our layers call their weights.
_WEIGHTS = ("w", "Matrix", "embedding_map")
_NETWORKS = {
    "generator": generator.Generator,
    "averaged": generator.Generator,
    "discriminator": discriminator.Discriminator,
}


@dataclasses.dataclass(frozen=True)
class Imported:
    """What the files of another project hold.

    Attributes:
      model_config: settings of our networks that hold the weights.
      networks: "generator", and "averaged" and "discriminator" where they are there.
      traits: what shapes do not show.
      normalized: whether the generator's first weight is spectrally normalised there. All are, or
        none, in the networks that are known.
      step: iterations that they were trained; None where no file says so.
      files: SHA-256 of each file, by path; the first holds the generator that makes images.
      only_average: whether the files hold the generator's moving average alone; it is
        "generator" too then.
      left_out: what was not taken over, and why; empty where all was.
    """

    model_config: ModelConfig
    networks: dict[str, Network]
    traits: Traits
    normalized: bool
    step: Optional[int]
    files: dict[str, str]
    only_average: bool
    left_out: str = ""

    def sampled(self, *, live: bool) -> Network:
        """The generator that makes images: the average where there is one, unless `live`."""
        if live:
            return self.networks["generator"]
        return self.networks.get("averaged", self.networks["generator"])


def read(options: ImportConfig) -> Imported:
    """Reads the files that `options.path` names.

    Raises:
      errors.UserError: a file cannot be read, is of another project or structure, or its name
        contradicts its content. All missing, unexpected and misshapen arrays are named.
    """
    # Read the files, and find out whose they are.
    project = _PROJECTS[options.source]
    digests = {file: _checked_digest(file) for path in options.path for file in _files(path)}
    opened = project.opened(options.path)
    traits = _with_options(opened.traits, options)

    # Refuse to take a generator that is not there.
    if options.live and opened.only_average:
        raise errors.UserError(
            f"--live: {', '.join(options.path)} holds the generator's moving average alone; leave "
            "out the flag"
        )

    # Take them over. A model does without a discriminator that is not ours.
    try:
        return _taken_over(opened, options, traits=traits, digests=digests)
    except errors.UserError as error:
        if options.to != "model" or "discriminator" not in opened.networks:
            raise
        del opened.networks["discriminator"]
        imported = _taken_over(opened, options, traits=traits, digests=digests)
        return dataclasses.replace(imported, left_out=f"discriminator: left out ({error})")


def _taken_over(
    opened: Opened, options: ImportConfig, *, traits: Traits, digests: dict[str, str]
) -> Imported:
    """What the files hold, in our names. Raises errors.UserError as `read`."""
    # See what the networks are, and how their arrays become ours.
    project = _PROJECTS[options.source]
    where = ", ".join(options.path)
    model_config, tables = _described(project, opened, traits=traits, where=where)
    _refuse_widths(project, opened, model_config=model_config, where=where)
    shapes = {network: _our_shapes(network, model_config) for network in opened.networks}
    vectors = _VECTORS[options.source]
    _refuse_faults(tables, opened, shapes=shapes, vectors=vectors, where=where)

    # Take them over.
    networks = {}
    for network, tensors in opened.networks.items():
        networks[network] = _converted(
            tables[network],
            tensors,
            vectors=vectors,
            settled=options.sigma == "settled",
            shapes=shapes[network],
            fits_u=options.source == "tfgan" or network == "averaged",
            at_most_one=model_config.norms_at_most_one,
        )
    return Imported(
        model_config=model_config,
        networks=networks,
        traits=traits,
        normalized=any(norm.scope == "g_snh0" for norm in tables["generator"].norms),
        step=opened.step,
        files=_generator_first(digests, opened.path),
        only_average=opened.only_average,
    )


def _with_options(traits: Traits, options: ImportConfig) -> Traits:
    """What is known of the networks, and what the flags say instead."""
    changes = {}
    if options.epsilon:
        changes["epsilon"] = options.epsilon
    if options.channel_order != "auto":
        changes["bgr"] = options.channel_order == "bgr"
    if options.shortcut != "auto":
        changes["relu_shortcut"] = options.shortcut == "relu"
    return dataclasses.replace(traits, **changes)


def _described(
    project: types.ModuleType, opened: Opened, *, traits: Traits, where: str
) -> tuple[ModelConfig, dict[str, Table]]:
    """The settings that the networks fit, and the table of each."""
    # The generator.
    names = _shapes(opened.networks["generator"])
    blocks = project.generator_blocks(names)
    dimensions = project.generator_dimensions(names, source=where)
    dimensions["df_dim"] = dimensions["gf_dim"]

    # The discriminator.
    critic_blocks = None
    critic = opened.networks.get("discriminator")
    if critic is not None:
        critic_names = _shapes(critic)
        critic_blocks = project.discriminator_blocks(critic_names)
        dimensions["df_dim"] = project.discriminator_width(critic_names, source=where)

    # Settings. A generator none of whose weights are normalised has no u.
    table = project.generator_table(names, blocks, traits=traits)
    model_config = settings(
        blocks,
        critic_blocks,
        source=where,
        relu_shortcut=traits.relu_shortcut,
        spectral_norm=traits.spectral_norm,
        generator_sn=any(norm.scope is not None for norm in table.norms),
        **dimensions,
    )

    # Tables.
    tables = {"generator": table, "averaged": table}
    if critic is not None:
        tables["discriminator"] = project.discriminator_table(
            critic_names, critic_blocks, traits=traits
        )
    return model_config, tables


def _refuse_widths(
    project: types.ModuleType, opened: Opened, *, model_config: ModelConfig, where: str
) -> None:
    """Refuses a generator that ours cannot be, before one of ours is made."""
    tensors = opened.networks["generator"]
    names = _shapes(tensors)
    blocks = project.generator_blocks(names)
    first = number_of(names, project.first_statistics(blocks), axis=0, source=where)
    checks.refuse_widths(model_config, tensors, first_channels=first, where=where)


def _refuse_faults(
    tables: Mapping[str, Table],
    opened: Opened,
    *,
    shapes: Mapping[str, dict[str, tuple]],
    vectors: types.ModuleType,
    where: str,
) -> None:
    """Raises errors.UserError with all that is missing, unexpected or misshapen."""
    found = []
    for network, tensors in opened.networks.items():
        table = tables[network]
        expected = mapping.shapes_in_theirs(table, shapes[network])
        expected.update(vectors.vector_shapes(table, expected))
        faults = mapping.faults(expected, tensors, ignored=vectors.IGNORED)
        faults = faults or checks.content_faults(table, tensors)
        found += [f"{network}: {fault}" for fault in faults]
    if found:
        raise errors.UserError(
            f"--path={where}: {len(found)} of its arrays are not those of such networks: "
            + "; ".join(found)
        )


def _converted(
    table: Table,
    tensors: Tensors,
    *,
    vectors: types.ModuleType,
    settled: bool,
    shapes: Shapes,
    fits_u: bool,
    at_most_one: bool,
) -> Network:
    """A network in our names.

    Args:
      table: of the network.
      tensors: theirs.
      vectors: how the project stores the vectors of the power iteration.
      settled: whether sigma is the largest singular value rather than what the vectors give.
      shapes: of our arrays.
      fits_u: whether our u is to give the same sigma; otherwise it is their u. Their u stays where
        it gives that sigma already, as in files that this project has written.
      at_most_one: whether our layers divide by max(1, sigma).
    """

    def sigma_of(norm: Norm) -> float:
        if settled:
            return spectral.largest_singular_value(vectors.matrix(tensors, norm))
        return vectors.stored_sigma(tensors, norm)

    # Arrays, and what the tables of classes are divided by.
    arrays = mapping.to_ours(table, tensors, sigma=sigma_of)

    # What the weights of our layers are divided by, and u.
    parts = {part.theirs: part for part in table.parts}
    sigmas = {}
    for norm in table.norms:
        if norm.scope is None:
            continue
        sigma = sigma_of(norm)
        sigmas[norm.scope] = spectral.divisor(sigma, scope=norm.scope, at_most_one=at_most_one)
        if fits_u:
            matrix = vectors.matrix(tensors, norm)
            u = vectors.right_vector(tensors, norm)
            part = parts.get(norm.u)
            ours = spectral.divisor_of_ours(matrix, u, scope=norm.scope, at_most_one=at_most_one)
            if part is not None and abs(ours - sigma) <= _SAME_SIGMA * sigma:
                continue
            u = spectral.u_with_sigma(matrix, u, sigma)
            u = u[None] if part is None else part.transform.to_ours(u)
            arrays[f"{norm.scope}/u"] = np.float32(u)

    # Layers that are not normalised there, and their u, if ours has any.
    for name, shape in shapes.items():
        scope, _, kind = name.rpartition("/")
        if kind in _WEIGHTS:
            sigmas.setdefault(scope, 1.0)
        elif name not in arrays:
            arrays[name] = np.full(shape, shape[-1] ** -0.5, np.float32)
    return Network(arrays, sigmas)


def _shapes(tensors: Tensors) -> dict[str, tuple]:
    return {name: np.shape(tensor) for name, tensor in tensors.items()}


def _our_shapes(network: str, model_config: ModelConfig) -> dict[str, tuple]:
    """The shapes of our arrays."""
    ours = _NETWORKS[network](model_config)
    ours.build()
    return {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in ours.weights}


def _files(path: str) -> list[str]:
    """A file, or the files of a TensorFlow checkpoint, those of data first.

    Raises:
      errors.UserError: there are none.
    """
    if os.path.isfile(path) and not path.endswith(".index"):
        return [path]
    prefix = tfgan.prefix_of(path)
    found = sorted(glob.glob(glob.escape(prefix) + ".data-*"))
    found += sorted(glob.glob(glob.escape(prefix) + ".index"))
    if not found:
        raise errors.UserError(f"--path={path}: there is no such file")
    return found


def _generator_first(digests: dict[str, str], path: str) -> dict[str, str]:
    """The same with the file of this path at the beginning; a checkpoint's begin with data."""
    first = {path: digests[path]} if path in digests else {}
    return {**first, **digests}


def _checked_digest(file: str) -> str:
    """SHA-256 of a file, which the name's eight digits must agree with, if it has them."""
    # Digest it.
    try:
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise errors.UserError(f"--path={file}: cannot be read ({error.strerror})") from error

    # Compare.
    named = _HASH_IN_NAME.search(file)
    if named and not digest.startswith(named[1]):
        raise errors.UserError(
            f"--path={file}: its SHA-256 begins with {digest[:8]}, its name says {named[1]}; "
            "download it again"
        )
    return digest
