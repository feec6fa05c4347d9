"""Packaging. The versions are those the tests ran with."""

import re

import setuptools

with open("README.md", encoding="utf-8") as file:
    LONG_DESCRIPTION = file.read()
with open("sagan_tf/__init__.py", encoding="utf-8") as file:
    VERSION = re.search('__version__ = "(.*)"', file.read()).group(1)

# What `sagan demo` needs lies outside the package in a checkout, and inside it in a wheel.
DEMO = {
    "sagan_tf.demo.data": "data",
    "sagan_tf.demo.configs": "configs",
}

setuptools.setup(
    name="sagan-tf",
    version=VERSION,
    description="Self-Attention GAN (SAGAN) in TensorFlow 2 and Keras 3",
    long_description=LONG_DESCRIPTION,
    long_description_content_type="text/markdown",
    # The code, and the digits of the demo (data/README.md).
    license_expression="Apache-2.0 AND CC-BY-4.0",
    license_files=["LICENSE", "data/README.md"],
    project_urls={
        "Paper": "https://arxiv.org/abs/1805.08318",
        "Reference code": "https://github.com/brain-research/self-attention-gan",
    },
    keywords=["GAN", "SAGAN", "self-attention", "image generation", "ImageNet", "TensorFlow"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    packages=[*setuptools.find_packages(include=["sagan_tf", "sagan_tf.*"]), *DEMO],
    package_dir=DEMO,
    package_data={
        "sagan_tf.data": ["imagenet_names.txt"],
        "sagan_tf.viewing": ["explore_page/*", "templates/*"],
        "sagan_tf.demo.data": ["README.md", "digits/*", "digits_classifier/**"],
        "sagan_tf.demo.configs": ["*.flags"],
    },
    entry_points={"console_scripts": ["sagan = sagan_tf.tools.main:main"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.12,<4",
        "numpy>=1.26",
        "absl-py>=2",
        "pillow>=10.1",
        "tensorboard>=2.20",  # tf.summary is made of it, but TensorFlow does not require it
        "tensorflow-datasets>=4.9.9",
        "importlib_resources>=6",  # tensorflow-datasets' builders import it, and do not ask for it
        "tqdm>=4.60",
        "filelock>=3.32.7",  # one writer a run; the first with fallback_to_soft
        "psutil>=6",  # age and memory of processes
        "matplotlib>=3.8",  # curves of the scores
        "jinja2>=3.1",  # the pages of report and compare
        "plotly>=6",  # their charts; its script goes into the pages
        # What tensorflow-metadata, below datasets, wants on 3.10; said here, because pip
        # would search for it.
        "protobuf>=6.31.1,<=6.32; python_version < '3.11'",
        # TF-GAN's metrics, and what they import: probability needs tf-keras of TensorFlow's
        # version, hub needs pkg_resources, which setuptools dropped in 81.
        "tensorflow-gan==2.1.0",
        "tensorflow-probability==0.25.0",
        "tf-keras>=2.21,<2.22",
        "tensorflow-hub==0.16.1",
        "setuptools<81",
    ],
    extras_require={
        # playwright drives a Chromium that is there; imageio-ffmpeg writes MP4; huggingface_hub
        # reads model cards.
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.7",
            "ruff>=0.15",
            "import-linter>=2.17",
            "codespell>=2.3",
            "scipy>=1.11",
            "playwright>=1.50",
            "imageio-ffmpeg>=0.5",
            "werkzeug>=3",
            "huggingface_hub>=0.34",
            "tf2onnx>=1.17",
            "onnxruntime>=1.20",
        ],
        "onnx": ["tf2onnx>=1.17", "onnxruntime>=1.20"],  # export --onnx
        "video": ["imageio-ffmpeg>=0.5"],  # interpolations as MP4
        "explore": ["werkzeug>=3"],  # serves the page of `sagan explore`; TensorBoard brings it too
        "data": ["scikit-learn>=1.4"],  # to make the digits again
        # The compilers of `sagan compile-ahead`, as docs/performance.md measured with them.
        "ahead": ["jax[cuda12]==0.10.2", "libtpu==0.0.52"],
        "cuda": ["tensorflow[and-cuda]>=2.21,<2.22"],
    },
)
