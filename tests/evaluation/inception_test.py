import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.evaluation import inception, keras_network
from sagan_tf.runtime import distribution
from tests.conftest import ROOT

DIGITS = ROOT / "data/digits_classifier"


def legacy_bilinear(image, size):
    """TensorFlow 1's resize_bilinear, align_corners=False: source = target * scale."""

    def axis(data, length):
        at = np.arange(size) * (length / size)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        part = (at - low)[:, None, None]
        return data[low] * (1 - part) + data[high] * part

    rows = axis(image, image.shape[0])
    return axis(rows.transpose(1, 0, 2), image.shape[1]).transpose(1, 0, 2)


def make_graph(path, logits_name="logits"):
    """A graph in the form of the Inception graph of 2015-12-05, with another inside."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 299, 299, 3], name="Mul")
        pool = tf.reduce_mean(images, [1, 2], keepdims=True)
        tf.identity(pool, name="pool_3")
        flat = tf.reshape(pool, [-1, 3])
        tf.matmul(flat, tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), name=logits_name)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return str(path)


@pytest.mark.slow
def test_digits_classifier_recognises_the_digits():
    from sagan_tf.data import dataset
    from sagan_tf.data import records as data_records

    classifier = inception.load("data/digits_classifier")
    records = dataset.open_records("data/digits", 32, number_classes=10)
    ((images, labels),) = dataset.evaluation_batches(records, 200, batch_size=200, seed=0)
    pool, logits = classifier(data_records.to_float(images))
    assert pool.shape == (200, 64)
    assert logits.shape == (200, 10)
    assert (logits.numpy().argmax(1) == labels.numpy()).mean() >= 0.97


@pytest.mark.parametrize("logits_name", ["logits", "softmax/logits"])
def test_frozen_graph_of_2015(tmp_path, logits_name):
    classifier = inception.load(make_graph(tmp_path / "inception.pb", logits_name))
    image = np.random.default_rng(0).uniform(-1, 1, (128, 128, 3)).astype(np.float32)
    pool, logits = classifier(tf.constant(np.stack([image, -image])))
    expected = legacy_bilinear(image, 299).mean((0, 1))
    np.testing.assert_allclose(pool, [expected, -expected], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logits[0], expected @ [[1, 2], [3, 4], [5, 6]], rtol=1e-4, atol=1e-5)


def test_results_do_not_depend_on_the_batch():
    classifier = inception.load("data/digits_classifier")
    images = tf.random.stateless_uniform([6, 32, 32, 3], [0, 0], -1, 1)
    whole = classifier(images)
    parts = [classifier(images[:2]), classifier(images[2:])]
    for index in range(2):
        np.testing.assert_allclose(
            whole[index], np.concatenate([p[index] for p in parts]), rtol=1e-5, atol=1e-5
        )


def test_graph_without_the_tensors_is_refused(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="other")
    (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(errors.UserError, match="no tensor Mul:0 or pool_3:0 or logits:0"):
        inception.load(str(tmp_path / "g.pb"))


def make_original_graph(path, addition=tf.nn.bias_add):
    """The end of classify_image_graph_def.pb: its reshape is fixed to one image."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [1, 299, 299, 3], name="Mul")
        pool = tf.reduce_mean(images, [1, 2], keepdims=True)
        flat = tf.reshape(tf.identity(pool, name="pool_3"), [1, 3], name="pool_3/_reshape")
        product = tf.matmul(
            flat, tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), name="softmax/logits/MatMul"
        )
        addition(product, tf.constant([10.0, 20.0]), name="softmax/logits")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return str(path)


def test_original_graph_takes_any_number_of_images(tmp_path):
    classifier = inception.load(make_original_graph(tmp_path / "g.pb"))
    images = np.random.default_rng(0).uniform(-1, 1, (3, 299, 299, 3)).astype(np.float32)
    pool, logits = classifier(images)
    np.testing.assert_allclose(pool, images.mean((1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        logits, pool @ [[1, 2], [3, 4], [5, 6]] + np.array([10, 20]), rtol=1e-5
    )


def test_graph_for_one_image_only_is_refused(tmp_path):
    """Its last layer is none that is known."""
    graph = make_original_graph(tmp_path / "g.pb", tf.multiply)
    with pytest.raises(errors.UserError, match="pool_3 and logits for any number of images"):
        inception.load(graph)


def make_keras(path, outputs):
    images = keras.Input([16, 16, 3])
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(images)
    logits = keras.layers.Dense(2, name="dense")(pool)
    keras.Model(
        images,
        {"pool_3": pool, "logits": logits} if outputs == "named" else [pool, logits][:outputs],
    ).save(path)
    return str(path)


@pytest.mark.parametrize("outputs", ["named", 2])
def test_keras_file(tmp_path, outputs):
    path = make_keras(tmp_path / "network.keras", outputs)
    classifier = inception.load(path)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    pool, logits = classifier(images)
    assert classifier.input_size == 16
    np.testing.assert_allclose(pool, images.mean((1, 2)), rtol=1e-4, atol=1e-6)
    weights, bias = keras.saving.load_model(path).get_layer("dense").get_weights()
    np.testing.assert_allclose(logits, pool @ weights + bias, rtol=1e-4, atol=1e-6)


def test_keras_file_of_three_outputs_is_refused(tmp_path):
    images = keras.Input([16, 16, 3])
    pool = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, [pool, pool, pool]).save(tmp_path / "network.keras")
    with pytest.raises(errors.UserError, match="3 outputs; expected pool_3 and logits"):
        inception.load(str(tmp_path / "network.keras"))


def test_network_of_one_output_is_told_apart_in_our_words():
    with pytest.raises(ValueError, match="^it has 1 output without these names$"):
        keras_network.both(tf.zeros([2, 10]))
    with pytest.raises(ValueError, match="^it has no output logits; its outputs are pool_3, top$"):
        keras_network.both({"top": 1, "pool_3": 2})


def test_keras_file_of_outputs_by_other_names_says_which(tmp_path):
    images = keras.Input([16, 16, 3])
    pool = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, {"top": pool, "pool_3": pool}).save(tmp_path / "network.keras")
    with pytest.raises(errors.UserError, match="no output logits; its outputs are pool_3, top"):
        inception.load(str(tmp_path / "network.keras"))


def test_file_that_is_no_keras_file_is_refused(tmp_path):
    (tmp_path / "network.keras").write_bytes(b"nothing")
    with pytest.raises(errors.UserError, match="expected a Keras file") as error:
        inception.load(str(tmp_path / "network.keras"))
    assert "\n" not in str(error.value)


def make_application(path, name, end):
    """A network in the form of those of keras.applications, with or without their last layers."""
    images = keras.Input([None, None, 3])
    x = keras.layers.Conv2D(4, 3, name="convolution")(images)
    if end in ("excited", "flat"):
        squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
        x = keras.layers.Multiply()([x, keras.layers.Activation("sigmoid")(squeezed)])
    if end == "activated":
        x = keras.layers.Activation("linear", name="out")(x)
    if end == "flat":
        x = keras.layers.Resizing(1, 2)(x)
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dense(5, name="classes")(x)
        x = keras.layers.Softmax(name="predictions")(x)
    if end not in ("places", "activated", "excited", "flat"):
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if end == "softmax":
        x = keras.layers.Dense(5, activation="softmax", name="predictions")(x)
    if end == "activation":
        x = keras.layers.Dense(5, name="last")(x)
        x = keras.layers.Activation("softmax", name="predictions")(x)
    network = keras.Model(images, x, name=name)
    network.save(path)
    return network


@pytest.mark.parametrize("end", ["softmax", "activation", "pooled", "places", "activated"])
def test_keras_application_as_it_is(tmp_path, end):
    """The features are the global pooling, and the softmax of the logits the network's output."""
    network = make_application(tmp_path / "network.keras", "inception_v3", end)
    classifier = inception.load(str(tmp_path / "network.keras"))
    images = np.random.default_rng(0).uniform(-1, 1, (3, 299, 299, 3)).astype(np.float32)
    pool, logits = classifier(images)
    places = network.get_layer("convolution")(images).numpy()
    np.testing.assert_allclose(pool, places.mean((1, 2)), rtol=1e-4, atol=1e-5)
    assert classifier.has_logits == (end in ("softmax", "activation"))
    if classifier.has_logits:
        np.testing.assert_allclose(tf.nn.softmax(logits), network(images), rtol=1e-4, atol=1e-6)
        assert "logits: predictions" in classifier.note
    else:
        assert "no Inception Score" in classifier.note
    assert "as keras.applications.inception_v3 prepares them" in classifier.note


@pytest.mark.parametrize(("end", "layer"), [("excited", "multiply"), ("flat", "flatten")])
def test_pooling_inside_a_block_is_not_the_features(tmp_path, end, layer):
    """Squeeze and excite: a pooling that only weighs the channels, off the way to the output."""
    network = make_application(tmp_path / "network.keras", "my_own", end)
    classifier = inception.load(str(tmp_path / "network.keras"))
    network = keras.saving.load_model(tmp_path / "network.keras")
    last = next(one for one in network.layers if one.name.startswith(layer))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 299, 299, 3)).astype(np.float32)
    expected = keras.Model(network.input, last.output)(images).numpy()
    if end == "excited":
        expected = expected.mean((1, 2))
    pool, _ = classifier(images)
    np.testing.assert_allclose(pool, expected, rtol=1e-4, atol=1e-5)
    assert classifier.has_logits == (end == "flat")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inception_v3", lambda x: x),
        ("resnet50v2", lambda x: x),
        ("efficientnetb0", lambda x: (x + 1) * 127.5),
        ("resnet50", lambda x: (x[..., ::-1] + 1) * 127.5 - [103.939, 116.779, 123.68]),
        (
            "densenet121",
            lambda x: ((x + 1) / 2 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        ),
        ("my_own", lambda x: x),
    ],
)
def test_images_come_in_the_range_that_the_network_knows(tmp_path, name, expected):
    """The mean of the image is the network: ImageNet's means and deviations are those of papers."""
    images = keras.Input([8, 8, 3])
    pool = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, pool, name=name).save(tmp_path / "network.keras")
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    pool, _ = inception.load(str(tmp_path / "network.keras"))(pixels)
    np.testing.assert_allclose(pool, expected(pixels).mean((1, 2)), rtol=1e-4, atol=1e-4)


def test_sha256_is_the_files_and_is_checked(tmp_path):
    path = make_graph(tmp_path / "g.pb")
    expected = hashlib.sha256((tmp_path / "g.pb").read_bytes()).hexdigest()
    assert inception.load(path, expected.upper()).sha256 == expected
    with pytest.raises(
        errors.UserError, match=f"its SHA-256 is {expected}, and --inception_sha256={'0' * 64}"
    ):
        inception.load(path, "0" * 64)


def test_sha256_of_a_directory_is_that_of_sha256sums_list():
    """find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"""
    lines = [
        f"{hashlib.sha256((DIGITS / name).read_bytes()).hexdigest()}  {name}\n"
        for name in sorted(
            str(path.relative_to(DIGITS)) for path in DIGITS.rglob("*") if path.is_file()
        )
    ]
    assert inception.load(str(DIGITS)).sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("legacy", lambda image: legacy_bilinear(image, 32)),
        (
            "half_pixel",
            lambda image: tf.compat.v1.image.resize_bilinear(
                image[None], [32, 32], half_pixel_centers=True
            )[0],
        ),
        (
            "antialias",
            lambda image: tf.raw_ops.ScaleAndTranslate(
                images=image[None],
                size=[32, 32],
                scale=[0.4, 0.4],
                translation=[0.0, 0.0],
                kernel_type="triangle",
                antialias=True,
            )[0],
        ),
    ],
)
def test_resize(resize, expected):
    """Judged by the classifier itself, which takes 32 px."""
    image = np.random.default_rng(0).uniform(-1, 1, (80, 80, 3)).astype(np.float32)
    classifier = inception.load(str(DIGITS), resize=resize)
    for found, wanted in zip(
        classifier(image[None]), classifier(np.asarray(expected(image), np.float32)[None])
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_classifier_on_several_devices_gives_what_one_gives():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    strategy = distribution.make_evaluation_strategy(config.EvalConfig(num_devices=2))
    with strategy.scope():
        classifier = inception.load(str(DIGITS))
    shares = strategy.experimental_distribute_values_from_function(
        lambda context: images[2 * context.replica_id_in_sync_group :][:2]
    )
    results = tf.function(lambda x: strategy.run(classifier, args=(x,)))(shares)
    for found, expected in zip(results, inception.load(str(DIGITS))(images)):
        parts = strategy.experimental_local_results(found)
        np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_damaged_saved_model_is_refused(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(errors.UserError, match="expected a SavedModel") as error:
        inception.load(str(tmp_path))
    assert "\n" not in str(error.value)


def test_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "g.pb").write_bytes(b"no graph")
    with pytest.raises(errors.UserError, match="not a frozen graph"):
        inception.load(str(tmp_path / "g.pb"))


def test_saved_model_without_the_outputs_is_refused(tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda images: {"pool_3": tf.reduce_mean(images, [1, 2])},
        input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    with pytest.raises(errors.UserError, match="outputs pool_3 and logits for any .*logits"):
        inception.load(str(tmp_path))


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match="expected a TF-Hub handle"):
        inception.load(str(tmp_path / "absent"))


def test_misspelt_file_is_not_looked_for_on_tf_hub(tmp_path):
    with pytest.raises(errors.UserError, match="/typo.pb: there is no such file; ") as error:
        inception.load(str(tmp_path / "typo.pb"))
    assert "Hub" not in str(error.value)


def test_unreachable_hub_is_one_line():
    with pytest.raises(errors.UserError, match="cannot be loaded from TF-Hub") as error:
        inception.load("https://127.0.0.1:9/inception/1")
    assert 'keras.applications.InceptionV3().save("inception.keras")' in str(error.value)
    assert "\n" not in str(error.value)
