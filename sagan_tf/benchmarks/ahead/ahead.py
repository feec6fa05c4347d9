"""Compilation for devices that are not here: what it costs, whether it fits, how long it takes."""

import dataclasses
import json
from typing import Any

from sagan_tf import config, errors
from sagan_tf.benchmarks.ahead import (
    compilation,
    largest_batch,
    programs,
    report,
    roofline,
    saved,
)
from sagan_tf.benchmarks.ahead.devices import DEVICES
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.runtime import environment, files

_BOTH = "both"
_DTYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}


def run(options: config.CompileAheadConfig, setting: Setting) -> list[dict[str, Any]]:
    """Compiles every setting for the device, prints what is found and writes the files.

    Args:
      options: what to compile, and for what.
      setting: the model and its training, before what --compare changes.
    Returns:
      A row for each compilation.
    Raises:
      errors.UserError: a compiler is missing, a setting does not fit, a file cannot be written, or
        nothing could be compiled.
    """
    # Check what is asked for.
    names = list(options.compare) or [_name(setting)]
    settings = [setting.changed(text) for text in options.compare] or [setting]
    for one in settings:
        _require_share(one, options)
    compilation.require_compilers(options.device)
    for flag in ("json", "save", "hlo"):
        if path := getattr(options, flag):
            files.require_writable_output(flag, path)

    # Compile. A file is for the first program.
    rows: list[dict[str, Any]] = []
    both = (programs.ITERATION, programs.GENERATION)
    wanted = both if options.what == _BOTH else (options.what,)
    for name, one in zip(names, settings):
        for what in wanted:
            rows.append(_row(name, one, what=what, options=options))
            options = dataclasses.replace(options, save="", hlo="")
            _write(options.json, {"results": rows})
    if len(rows) > 1:
        _say(report.table(rows))
    if all("error" in row for row in rows) and not options.largest_batch:
        raise errors.UserError(rows[0]["error"])

    # Search.
    if options.largest_batch:
        found = _search(options, settings[0], what=wanted[0])
        _write(options.json, {"results": rows, "largest_batch": found})
    return rows


def _require_share(setting: Setting, options: config.CompileAheadConfig) -> None:
    """Refuses towers that the devices, and the pieces of each, cannot share evenly."""
    # Share the towers out.
    train_config = setting.train
    pieces = options.replicas * train_config.accumulate
    if train_config.num_towers % pieces:
        raise errors.UserError(
            f"--replicas={options.replicas} --accumulate={train_config.accumulate}: expected "
            f"--num_towers to be a multiple of {pieces}, got {train_config.num_towers}"
        )

    # A group of batch norm lies within one piece.
    at_once = setting.batch // pieces
    if at_once % train_config.group_size:
        raise errors.UserError(
            f"--bn_group={train_config.bn_group}: groups do not fit the {at_once} images that a "
            "device runs at once"
        )


def _name(setting: Setting) -> str:
    return f"optimizations={setting.train.optimizations} {setting.train.mixed_precision}"


def _say(text: str) -> None:
    print(text, flush=True)


def _assumed(options: config.CompileAheadConfig, setting: Setting) -> roofline.Assumed:
    return roofline.Assumed(
        compute_share=options.compute_share,
        bandwidth_share=options.bandwidth_share,
        tensor_float_32=setting.train.tensor_float_32,
    )


def _row(
    name: str,
    setting: Setting,
    *,
    what: str,
    options: config.CompileAheadConfig,
) -> dict[str, Any]:
    """One compilation; with "error" in the place of numbers where the compiler refuses."""
    # Say what is compiled.
    device = options.device
    assumed = _assumed(options, setting)
    replicas = options.replicas if what == programs.ITERATION else 1
    row = {
        "what": what,
        "device": device,
        "setting": name,
        "batch": setting.batch,
        "replicas": replicas,
        "dtype": _DTYPES[setting.train.mixed_precision],
        "assumed": assumed._asdict(),
        "model": vars(setting.model),
        "train": vars(setting.train),
    }

    # Compile it.
    try:
        program = programs.program(setting, what, kind=DEVICES[device].kind, replicas=replicas)
        row |= compilation.compiled(
            program, device, assumed=assumed, replicas=replicas, text_file=options.hlo
        )
    except errors.UserError as error:
        row["error"] = str(error)
        return row

    # Report it, and keep the first iteration.
    _say(report.describe(row, assumed))
    if options.save:
        saved.write(options.save, dataclasses.replace(program, predicted=row))
    return row


def _write(path: str, found: dict[str, Any]) -> None:
    if not path:
        return
    versions = {**environment.environment(), **compilation.versions()}
    found = {"environment": versions, **found}
    with files.writing(f"--json={path}"):
        files.write_bytes(path, (json.dumps(found, indent=1) + "\n").encode())


def _search(options: config.CompileAheadConfig, setting: Setting, *, what: str) -> dict[str, int]:
    """The largest batch of a setting, in towers of its size, that fits."""
    device = DEVICES[options.device]
    assumed = _assumed(options, setting)
    replicas = options.replicas if what == programs.ITERATION else 1

    # The devices, their pieces and the groups of batch norm share the towers evenly.
    train_config = setting.train
    group = train_config.group_size // train_config.batch_size
    unit = replicas * train_config.accumulate * group
    most = max(1, options.most_towers // unit)

    # Try numbers of towers.
    def fits(units: int) -> bool:
        tried = setting.changed(f"num_towers={units * unit}")
        program = programs.program(tried, what, kind=device.kind, replicas=replicas)
        try:
            found = compilation.compiled(
                program, options.device, assumed=assumed, replicas=replicas
            )
            fitting = compilation.needed_memory(found) <= device.memory
        except compilation.DoesNotFit:
            fitting = False
        _say(f"  {tried.batch} images: {'fit' if fitting else 'do not fit'}")
        return fitting

    # Say where it ends.
    good, bad = largest_batch.largest(fits, most=most)
    size = unit * train_config.batch_size
    found = {"fits": (good or 0) * size, "does_not_fit": (bad or 0) * size}
    ending = f"{found['does_not_fit']} do not" if bad else "all that were tried do"
    _say(f"largest batch, {device.title}: {found['fits']} images fit, {ending}")
    return found
