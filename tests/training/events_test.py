import types

import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.gan.optimizations import Optimizations
from sagan_tf.runs import history
from sagan_tf.runtime import processor
from sagan_tf.training import events

NATIVE = {"shortcut": 0, "adam": 0}
WIDE = {"shortcut": 0, "wide_conv": 0, "adam": 0}


def gan_with(found, **settings):
    """What the events ask of a `model.SAGAN`."""
    return types.SimpleNamespace(
        optimizations=Optimizations(found),
        train_config=config.TrainConfig(num_towers=1, **settings),
        strategy=tf.distribute.OneDeviceStrategy("CPU:0"),
    )


def start(optimizations):
    return {"event": history.START, "time": 0.0, "environment": {"optimizations": optimizations}}


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        ("shortcut, wide_conv, adam", NATIVE, "no longer wide_conv"),
        ("shortcut, adam", WIDE, "now wide_conv"),
        ("up_conv from 8 px, adam", {"up_conv": 16}, "now up_conv from 16 px, no longer "),
        ("adam", {}, "now none, no longer adam"),
    ],
)
def test_a_run_that_goes_on_with_other_optimizations_says_so(before, now, changes):
    older = [start("none"), start(before), {"event": history.END, "time": 1.0}]
    (text,) = events.changed_optimizations(gan_with(now), older)
    assert text.startswith("--optimizations=auto: other ones than at the last start (" + changes)
    assert text.endswith("; numbers differ by rounding from here on")


@pytest.mark.parametrize(
    "older",
    [
        [],
        [start("none"), start("shortcut, adam")],
        # Of a release that did not write them down.
        [{"event": history.START, "time": 0.0}],
        [{"event": history.START, "time": 0.0, "environment": {"devices": "CPU:0"}}],
    ],
)
def test_a_run_that_goes_on_as_before_says_nothing(older):
    assert events.changed_optimizations(gan_with(NATIVE), older) == []


def test_history_says_what_the_processor_decides(monkeypatch):
    monkeypatch.setattr(processor, "native_bfloat16", lambda: "avx512_bf16")
    name = "optimizations by processor"
    facts = events.environment_of(gan_with(NATIVE, mixed_precision="bfloat16"))
    assert facts["optimizations"] == "shortcut, adam"
    assert facts[name] == (
        "narrow_conv left out, wide_conv left out, small_conv taken: this CPU has avx512_bf16"
    )
    assert name not in events.environment_of(gan_with(WIDE))
