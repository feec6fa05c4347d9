import io

import numpy as np
import pytest

from sagan_tf.evaluation import comparison, console, evaluate, features, sources


def open_source(eval_config):
    return sources.GeneratedImages(
        eval_config,
        evaluate.read_model_config(eval_config),
        devices=comparison.make_devices(eval_config),
        stopwatch=features.Stopwatch(),
        console=console.Console(io.StringIO()),
    )


@pytest.mark.slow
def test_quantization_and_balanced_labels_are_what_they_say(settings, run, first):
    evaluate.evaluate(
        settings(
            quantization="truncate", label_sampling="balanced", save_samples=str(run / "folder")
        ),
        io.StringIO(),
    )
    names = sorted(
        path.relative_to(run / "folder").as_posix() for path in (run / "folder").glob("*/*.png")
    )
    assert len(names) == 120
    assert names[0] == "0000/000000.png"
    assert names[-1] == "0009/000119.png"
    exact = np.load(run / "samples.npz")["arr_0"]
    assert exact.shape == (120, 32, 32, 3)
    generated = open_source(settings(quantization="truncate"))
    generated.load(5)
    z = np.zeros([3, 8], np.float32)
    ((images, labels, count),) = list(generated.batches_of(z, np.arange(3, dtype=np.int32)))
    np.testing.assert_array_equal(labels, [0, 1, 2])
    pixels = (generated.devices.on_host(images, count) + 1) * 127.5
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
