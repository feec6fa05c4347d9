"""Spectral normalisation and the layers built on it; batch norm per tower.

Weights carry the reference's names (`w`, `biases`, `Matrix`, `u`, `gamma`, ...), so that a
variable's path is its name in a reference checkpoint.

Each layer changes its state (`u`, moving statistics) only where its call arguments say so. It
stores the new state at once, or adds it to the given `collection`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.config.optimization_names import MOST_NARROW
from sagan_tf.gan import batch_norm, kernel_gradients, resampling, spectral_norm
from sagan_tf.gan.optimizations import Optimizations
from sagan_tf.gan.updates import Collection, State, store_or_collect

_GLOROT = "glorot_uniform"
# The largest side of x that "small_conv" takes; above it gains nothing (docs/performance.md).
_SMALL = {resampling.conv: 8, resampling.downsampled_conv: 32, resampling.upsampled_conv: 16}


class SpectralNormLayer(keras.layers.Layer):
    """A layer with one spectrally normalised weight W, `u`, and, mostly, a bias.

    Args:
      use_bias: whether it has a bias.
      optimizations: of `config.optimizations`; here "spectral_norm".
      at_most_one: whether the weight is divided by max(1, sigma) instead of sigma.
      normalized: whether the weight is normalised at all. Otherwise the layer computes with W
        itself, and has no u; `settle` and what follows from u are not for such a layer.
    """

    _weight_name = "w"
    _bias_name = "biases"

    def __init__(
        self,
        use_bias: bool = True,
        optimizations: Optional[Mapping[str, int]] = None,
        *,
        at_most_one: bool = False,
        normalized: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.optimizations = Optimizations(optimizations)
        self.at_most_one = at_most_one
        self.normalized = normalized
        self.weight = self.bias = self.u = None

    def _add_weights(self, weight_shape: tuple, u_size: int, bias_size: int = 0) -> None:
        # autocast=False: SN, and the weight it starts from, stay float32 in mixed precision.
        self.weight = self.add_weight(
            name=self._weight_name, shape=weight_shape, initializer=_GLOROT, autocast=False
        )

        # One power iteration a step goes on from u, which therefore is state.
        if self.normalized:
            self.u = self.add_weight(
                name="u",
                shape=(1, u_size),
                initializer=keras.initializers.TruncatedNormal(stddev=1.0),
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",
            )

        # Add the bias.
        if self.use_bias:
            self.bias = self.add_weight(
                name=self._bias_name, shape=(bias_size,), initializer="zeros"
            )

    def states(self) -> list[State]:
        """What a call with `update_sn` moves."""
        return [State(self.u)] if self.normalized else []

    def oriented_weight(self) -> tf.Tensor:
        """The raw weight with the axis that `u` belongs to last."""
        return tf.convert_to_tensor(self.weight)

    def normalized_weight(
        self,
        update_sn: bool = False,
        *,
        cast: bool = True,
        collection: Optional[Collection] = None,
    ) -> tf.Tensor:
        """W_bar in the orientation of `oriented_weight`; W itself where it is not normalised.

        Args:
          update_sn: whether u moves to u'.
          cast: whether to give the type that the layer computes in instead of float32.
          collection: takes u' instead of the variable.
        """
        w_bar = self.oriented_weight()
        if self.normalized:
            w_bar, new_u = spectral_norm.spectral_normalize(
                w_bar,
                tf.convert_to_tensor(self.u),
                by_hand="spectral_norm" in self.optimizations,
                at_most_one=self.at_most_one,
            )
            if update_sn:
                store_or_collect(State(self.u), new_u, collection=collection)
        return tf.cast(w_bar, self.compute_dtype) if cast else w_bar

    def sigma(self) -> float:
        """The estimate of W's largest singular value as u stands now.

        W is divided by it; with `at_most_one`, only where it is above 1.
        """
        matrix = spectral_norm.as_matrix(self.oriented_weight())
        sigma, _ = spectral_norm.power_iteration(matrix, tf.convert_to_tensor(self.u))
        return float(sigma)

    def settle(self) -> None:
        """Stores the u at which the power iteration ends.

        Evaluation does this once, so that W_bar is the same for every batch after it. (The
        reference goes on iterating through its evaluation, which ends at the same u.)
        """
        self.u.assign(self._settled_u())

    def remaining_norm(self) -> float:
        """The largest singular value of W_bar as u stands now.

        Where u has settled it is 1; with `at_most_one` it is W's own where that is below 1. Above
        1: W grows, or turns, faster than one power iteration a step can follow.
        """
        w_bar, _ = spectral_norm.spectral_normalize(
            self.oriented_weight(),
            tf.convert_to_tensor(self.u),
            at_most_one=self.at_most_one,
        )
        return float(spectral_norm.largest_singular_value(w_bar, self._settled_u()))

    def _settled_u(self) -> tf.Tensor:
        matrix = spectral_norm.as_matrix(self.oriented_weight())
        return spectral_norm.settled(matrix, tf.convert_to_tensor(self.u))

    def get_config(self):
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "optimizations": dict(self.optimizations),
            "at_most_one": self.at_most_one,
            "normalized": self.normalized,
        }


@keras.saving.register_keras_serializable("sagan_tf")
class SNConv2D(SpectralNormLayer):
    """Convolution with a spectrally normalised kernel: conv(x, w / sigma) + biases.

    Stride 1, padding SAME, channels last. Weights: w [k, k, in, filters] Glorot-uniform,
    biases [filters] zeros, u [1, filters] truncated normal.

    Args:
      filters, kernel_size, use_bias: as in `keras.layers.Conv2D`.
      resample: "up": the map doubles before (`resampling.upsample`); "down": it halves after
        (`resampling.downsample`); None: neither.
      optimizations: of `config.optimizations`; here "up_conv", "down_conv", "narrow_conv",
        "kernel_sums" and "small_conv" for 3x3 kernels, "shortcut" and "up_shortcut" for 1x1
        kernels, "wide_conv" and "spectral_norm".
      at_most_one, normalized: as in `SpectralNormLayer`.

    Call arguments:
      x: [batch, height, width, in].
      update_sn: whether u moves.
      collection: takes the new u instead of the variable.
    Returns: [batch, height, width, filters]; height and width doubled or halved by `resample`.

    Source: reference `ops.py:178-208` (with bias) and `non_local.py:33-46` (1x1 without).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        use_bias: bool = True,
        resample: Optional[str] = None,
        **kwargs,
    ):
        super().__init__(use_bias, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.resample = resample
        self._as_sums = "kernel_sums" in self.optimizations

    def build(self, input_shape):
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self._add_weights(shape, self.filters, self.filters)

    def call(self, x, update_sn: bool = False, collection: Optional[Collection] = None):
        kernel = self.normalized_weight(update_sn, cast=False, collection=collection)
        if self.resample == "up":
            return self._upsampled(x, kernel)
        if self.resample == "down":
            return self._downsampled(x, kernel)
        return self.plain(x, kernel)

    def plain(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution of x by a kernel, [k, k, in, out], and the bias."""
        return self._convolve(resampling.conv, x, kernel)

    def _upsampled(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The map doubles, then the convolution."""
        if not self._rewrites(2 * x.shape[1]):
            return self.plain(resampling.upsample(x), kernel)
        if self.kernel_size == 1 and "up_shortcut" in self.optimizations:
            kernel = resampling.upsampled_shortcut_kernel(kernel)
            return self._convolve(resampling.upsampled_conv, x, kernel)
        if self.kernel_size == 1:  # It commutes with the upsampling.
            return resampling.upsample(self.plain(x, kernel))
        kernel = resampling.upsampled_conv_kernel(kernel, as_sums=self._as_sums)
        return self._convolve(resampling.upsampled_conv, x, kernel)

    def _downsampled(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution, then the map halves."""
        if not self._rewrites(x.shape[1]):
            return resampling.downsample(self.plain(x, kernel))
        if self.kernel_size == 1:  # It commutes with the pooling.
            return self.plain(resampling.downsample(x), kernel)
        kernel = resampling.downsampled_conv_kernel(kernel, as_sums=self._as_sums)
        return self._convolve(resampling.downsampled_conv, x, kernel)

    def _rewrites(self, larger_side: int) -> bool:
        """Whether to rewrite where the larger of the two maps has this side."""
        if self.kernel_size == 1:
            names = ("shortcut", "up_shortcut") if self.resample == "up" else ("shortcut",)
            return any(self.optimizations.applies(name, larger_side) for name in names)
        if "narrow_conv" in self.optimizations and self._is_narrow():
            larger_side *= 2
        rewrite = f"{self.resample}_conv"
        return self.kernel_size == 3 and self.optimizations.applies(rewrite, larger_side)

    def _is_narrow(self) -> bool:
        return max(self.weight.shape[-2:]) <= MOST_NARROW

    def _is_small(self, convolve: Callable, x: tf.Tensor) -> bool:
        """Whether "small_conv" takes this convolution of x."""
        largest = _SMALL.get(convolve, 0) if self.kernel_size == 3 else 0
        return "small_conv" in self.optimizations and x.shape[1] <= largest

    def _convolve(self, convolve: Callable, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """convolve(x, kernel) and the bias, in the type that the layer computes in."""
        kernel = tf.cast(kernel, self.compute_dtype)
        if self._is_small(convolve, x):
            convolve = kernel_gradients.by_product(convolve)
        if "wide_conv" in self.optimizations and x.dtype != tf.float32:
            x = resampling.in_float32(convolve, x, kernel=kernel)
        else:
            x = convolve(x, kernel)
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias)) if self.use_bias else x

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        if self.resample:
            doubles = self.resample == "up"
            sides = [side and (2 * side if doubles else side // 2) for side in sides]
        return (batch, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "resample": self.resample,
        }


@keras.saving.register_keras_serializable("sagan_tf")
class SNDense(SpectralNormLayer):
    """Dense layer with a spectrally normalised matrix: x (Matrix / sigma) + bias.

    Weights: Matrix [in, units] Glorot-uniform, bias [units] zeros, u [1, units].

    Call arguments:
      x: [batch, in].
      update_sn: whether u moves.
      collection: takes the new u instead of the variable.
    Returns: [batch, units].

    Source: reference `ops.py:211-236`.
    """

    _weight_name = "Matrix"
    _bias_name = "bias"

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self._add_weights((input_shape[-1], self.units), self.units, self.units)

    def call(self, x, update_sn: bool = False, collection: Optional[Collection] = None):
        return tf.matmul(x, self.normalized_weight(update_sn, collection=collection)) + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("sagan_tf")
class SNEmbedding(SpectralNormLayer):
    """Lookup in a spectrally normalised table. The table is transposed before SN.

    Weights: embedding_map [classes, units] Glorot-uniform, u [1, classes].

    Call arguments:
      labels: int [batch], 0 .. classes - 1.
      update_sn: whether u moves.
      collection: takes the new u instead of the variable.
    Returns: [batch, units].

    Source: reference `ops.py:239-262`.
    """

    _weight_name = "embedding_map"

    def __init__(self, number_classes: int, units: int, **kwargs):
        super().__init__(use_bias=kwargs.pop("use_bias", False), **kwargs)
        self.number_classes = number_classes
        self.units = units

    def build(self, input_shape=None):
        self._add_weights((self.number_classes, self.units), self.number_classes)

    def oriented_weight(self) -> tf.Tensor:
        return tf.transpose(tf.convert_to_tensor(self.weight))

    def call(self, labels, update_sn: bool = False, collection: Optional[Collection] = None):
        table = tf.transpose(self.normalized_weight(update_sn, collection=collection))
        return tf.gather(table, labels)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.units)

    def get_config(self):
        return {**super().get_config(), "number_classes": self.number_classes, "units": self.units}


def normalized(layers: Iterable[SpectralNormLayer]) -> list[SpectralNormLayer]:
    """Those whose weights are normalised, and that have a u."""
    return [layer for layer in layers if layer.normalized]


def settle_spectral_norms(network: keras.layers.Layer) -> None:
    """Settles u in every spectrally normalised layer of a network or block."""
    for layer in network.spectral_norm_layers():
        layer.settle()


def sigmas(network: keras.layers.Layer) -> dict[str, float]:
    """The estimate of every normalised weight's largest singular value in a network or block.

    Names are the reference's scopes ("g_block1/snconv1").
    """
    return {scope_of(layer): layer.sigma() for layer in network.spectral_norm_layers()}


def scope_of(layer: SpectralNormLayer) -> str:
    """The reference's scope of a layer of a network ("g_block1/snconv1")."""
    return layer.weight.path.split("/", 1)[1].rsplit("/", 1)[0]


def remaining_norms(network: keras.layers.Layer) -> dict[str, float]:
    """The largest singular value of every W_bar of a network or block, by the layer's path.

    1 where the running estimate of sigma is exact, or less (`SpectralNormLayer.remaining_norm`).
    """
    return {layer.path: layer.remaining_norm() for layer in network.spectral_norm_layers()}


class _TowerBatchNorm(keras.layers.Layer):
    """What conditional and plain batch norm share: moments per tower, moving statistics.

    Moments are float32 and biased, over (group_size consecutive images, height, width). Where a
    replica's batch is smaller than a group, the group spans as many replicas as it takes.

    Args:
      decay: of the moving statistics.
      group_size: images of a group; None: the whole batch.
      relu: whether a ReLU follows.
      optimizations: of `config.optimizations`; here "batch_norm", "one_pass" and "relu".
    """

    epsilon = 1e-5
    _mean_name = "moving_mean"
    _variance_name = "moving_variance"

    def __init__(
        self,
        decay: float,
        group_size: Optional[int] = None,
        relu: bool = False,
        optimizations: Optional[Mapping[str, int]] = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.decay = decay
        self.group_size = group_size
        self.relu = relu
        self.optimizations = Optimizations(optimizations)
        self.gamma = self.beta = self.moving_mean = self.moving_variance = None

    def _add_weights(self, affine_shape: tuple, moving_shape: tuple) -> None:
        def add(name, shape, initializer, **kwargs):
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, autocast=False, **kwargs
            )

        self.gamma = add("gamma", affine_shape, "ones")
        self.beta = add("beta", affine_shape, "zeros")

        # The moving statistics start as those of standard normal features.
        moving = {"trainable": False, "aggregation": "mean"}
        self.moving_mean = add(self._mean_name, moving_shape, "zeros", **moving)
        self.moving_variance = add(self._variance_name, moving_shape, "ones", **moving)

    def states(self) -> list[State]:
        """What a call in training moves."""
        return [State(self.moving_mean, self.decay), State(self.moving_variance, self.decay)]

    def _scale_for_moving(self, count: tf.Tensor) -> tf.Tensor:
        """Factor from the biased variance of `count` numbers to what the moving variance takes."""
        del count
        return tf.constant(1.0)

    def _normalize(self, x, gamma, beta, *, training: bool, collection: Optional[Collection]):
        """gamma * (x - mean) / sqrt(variance + epsilon) + beta, and ReLU.

        `gamma` and `beta` are float32 [batch, c], or [1, c] for all images.
        """
        # Split the batch into groups.
        grouped = batch_norm.split_into_groups(x, self.group_size if training else None)
        gamma = self._per_image(gamma, grouped)
        beta = self._per_image(beta, grouped)
        replicas = self._replicas_of_group(grouped) if training else 1

        # Normalise.
        if training and "batch_norm" in self.optimizations and replicas == 1:
            y, mean, variance = batch_norm.batch_norm(
                grouped,
                gamma,
                beta=beta,
                epsilon=self.epsilon,
                relu=self.relu,
                around=self._near_the_mean(),
                masked_again="relu" in self.optimizations,
            )
        else:
            mean, variance = self._statistics(grouped, training, replicas)
            scale = tf.math.rsqrt(variance + self.epsilon) * gamma
            shift = beta - mean * scale
            y = batch_norm.scale_and_shift(grouped, scale, shift=shift, relu=self.relu)

        # Move the moving statistics.
        if training:
            count = batch_norm.values_per_moment(grouped) * replicas
            variance = variance * self._scale_for_moving(count)
            self._move(self.moving_mean, mean, collection)
            self._move(self.moving_variance, variance, collection)
        return tf.reshape(y, tf.shape(x) if x.shape[0] is None else x.shape)

    def _per_image(self, rows: tf.Tensor, grouped: tf.Tensor) -> tf.Tensor:
        """[batch, c] or [1, c] -> [groups, images, 1, 1, c]."""
        if rows.shape[0] == 1:
            rows = tf.repeat(rows, tf.reduce_prod(tf.shape(grouped)[:2]), axis=0)
        images = grouped.shape[1] or tf.shape(grouped)[1]
        return tf.reshape(rows, [-1, images, 1, 1, rows.shape[-1]])

    def _statistics(
        self, grouped: tf.Tensor, training: bool, replicas: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(mean, variance), each broadcastable to `grouped`, float32."""
        if not training:
            mean = tf.reshape(tf.convert_to_tensor(self.moving_mean), [-1])
            variance = tf.reshape(tf.convert_to_tensor(self.moving_variance), [-1])
            return mean, variance
        mean, variance = batch_norm.moments(grouped, around=self._near_the_mean())
        if replicas > 1:
            return batch_norm.combine_moments_of_replicas(mean, variance, replicas=replicas)
        return mean, variance

    def _near_the_mean(self) -> Optional[tf.Tensor]:
        """The moving mean, float32 [c], around which moments need one pass; None without that."""
        if "one_pass" not in self.optimizations:
            return None
        return tf.reshape(tf.convert_to_tensor(self.moving_mean), [-1])

    def _replicas_of_group(self, grouped: tf.Tensor) -> int:
        """How many replicas, with one group each here, make one group together."""
        context = tf.distribute.get_replica_context()
        images = grouped.shape[1]
        if not context or self.group_size is None or images is None or images >= self.group_size:
            return 1

        # So many of this size fill a group.
        replicas = min(-(-self.group_size // images), context.num_replicas_in_sync)
        if context.num_replicas_in_sync % replicas:
            raise ValueError(
                f"{context.num_replicas_in_sync} replicas of {images} images cannot form groups of "
                f"{self.group_size} (bn_group)"
            )
        return replicas

    def _move(self, moving, per_group: tf.Tensor, collection: Optional[Collection]) -> None:
        """moving <- decay * moving + (1 - decay) * mean over the towers."""
        value = tf.reshape(tf.reduce_mean(per_group, axis=0), moving.shape)
        store_or_collect(State(moving, self.decay), value, collection=collection)

    def compute_output_shape(self, input_shape, *_):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "decay": self.decay,
            "group_size": self.group_size,
            "relu": self.relu,
            "optimizations": dict(self.optimizations),
        }


@keras.saving.register_keras_serializable("sagan_tf")
class ConditionalBatchNorm(_TowerBatchNorm):
    """Batch norm whose gamma and beta are chosen by each image's class.

    gamma[y] * (x - mean) / sqrt(variance + 1e-5) + beta[y]. Weights: gamma, beta
    [classes, channels]; moving statistics mean, var [1, 1, 1, channels], shared by the classes;
    the moving variance takes the biased batch variance.

    Call arguments:
      x: [batch, height, width, channels]; in training batch is a multiple of `group_size`, or
        below it, and then one group.
      labels: int [batch], 0 .. classes - 1.
      training: batch moments, and the moving statistics move; otherwise the moving statistics.
      collection: takes the new moving statistics instead of the variables.
    Returns: as x.

    Source: reference `ops.py:304-360`.
    """

    _mean_name = "mean"
    _variance_name = "var"

    def __init__(self, number_classes: int, decay: float = 0.999, **kwargs):
        super().__init__(decay, **kwargs)
        self.number_classes = number_classes

    def build(self, input_shape, *_):
        channels = input_shape[-1]
        self._add_weights((self.number_classes, channels), (1, 1, 1, channels))

    def call(self, x, labels, training: bool = False, collection: Optional[Collection] = None):
        gamma = tf.gather(tf.convert_to_tensor(self.gamma), labels)
        beta = tf.gather(tf.convert_to_tensor(self.beta), labels)
        return self._normalize(x, gamma, beta, training=training, collection=collection)

    def get_config(self):
        return {**super().get_config(), "number_classes": self.number_classes}


@keras.saving.register_keras_serializable("sagan_tf")
class BatchNorm(_TowerBatchNorm):
    """Plain batch norm, gamma * (x - mean) / sqrt(variance + 1e-5) + beta, per tower.

    Weights: gamma, beta, moving_mean, moving_variance, each [channels]. The batch is normalised
    by its biased variance; the moving variance takes the unbiased one, as the fused kernel that
    the reference calls.

    Call arguments:
      x: [batch, height, width, channels]; in training batch is a multiple of `group_size`, or
        below it, and then one group.
      training: batch moments, and the moving statistics move; otherwise the moving statistics.
      collection: takes the new moving statistics instead of the variables.
    Returns: as x.

    Source: reference `ops.py:362-376`.
    """

    def __init__(self, decay: float = 0.9999, **kwargs):
        super().__init__(decay, **kwargs)

    def build(self, input_shape):
        self._add_weights((input_shape[-1],), (input_shape[-1],))

    def _scale_for_moving(self, count: tf.Tensor) -> tf.Tensor:
        return count / tf.maximum(count - 1.0, 1.0)

    def call(self, x, training: bool = False, collection: Optional[Collection] = None):
        gamma = tf.convert_to_tensor(self.gamma)[None]
        beta = tf.convert_to_tensor(self.beta)[None]
        return self._normalize(x, gamma, beta, training=training, collection=collection)
