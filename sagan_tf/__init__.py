"""Self-Attention GAN (Zhang et al., ICML 2019) in TensorFlow 2 and Keras 3."""

__version__ = "0.2.0"
