"""Every setting of every command, with its default, its meaning and the check it must pass.

Frozen dataclasses, standard library only. `cli.py` turns every field into a flag of the same
name, and `help_text.py` makes the help of a command from its fields. Defaults are the reference's
(brain-research/self-attention-gan, `train_imagenet.py:35-61`, `model.py:33-56`,
`eval_imagenet.py:36-76`): a field that the reference has too names the line, as `reference`.
"""

from sagan_tf.config.benchmarks import (
    DEVICES,
    PIPELINES,
    BenchmarkEvaluationConfig,
    BenchmarkInputConfig,
    BenchmarkStepConfig,
    CompileAheadConfig,
    GpuSuiteConfig,
)
from sagan_tf.config.card import CardConfig
from sagan_tf.config.compare import BEST, LAST, CompareConfig
from sagan_tf.config.conversion import ConvertConfig
from sagan_tf.config.data import CheckConfig, DataConfig, DigitsConfig, EmojiConfig, PrepareConfig
from sagan_tf.config.demo import DemoConfig
from sagan_tf.config.dry_run import DryRunConfig
from sagan_tf.config.evaluation import (
    ClassifierConfig,
    DigitsClassifierConfig,
    EvalConfig,
    ScoreImagesConfig,
)
from sagan_tf.config.fields import (
    check,
    difference,
    numbers_of,
    option,
    run_directory,
)
from sagan_tf.config.help_text import Command
from sagan_tf.config.imports import ImportConfig
from sagan_tf.config.model import ATTENTION_OF_TYPE, IMAGE_SIZES, ModelConfig
from sagan_tf.config.optimization_names import OPTIMIZATIONS, SIZED, optimizations
from sagan_tf.config.protocols import (
    FULL_SAMPLE,
    PROTOCOL_FIELDS,
    PROTOCOLS,
    protocol,
    protocol_differences,
)
from sagan_tf.config.scoring import ScoringConfig
from sagan_tf.config.training import (
    LOSS_TYPES,
    PRECISIONS,
    STRATEGIES,
    TrainConfig,
)
from sagan_tf.config.truncation import STANDING_BATCHES, Sampling, TruncationConfig
from sagan_tf.config.viewing import (
    MAX_FRAMES,
    MAX_ROWS,
    MAX_SEEDS,
    AttentionConfig,
    ExploreConfig,
    ExportConfig,
    ReportConfig,
    SampleConfig,
)
from sagan_tf.errors import RESTART, Interrupted, UnusableCheckpoint, UserError, WorkerLost

__all__ = [
    "ATTENTION_OF_TYPE",
    "BEST",
    "DEVICES",
    "FULL_SAMPLE",
    "IMAGE_SIZES",
    "LAST",
    "LOSS_TYPES",
    "MAX_FRAMES",
    "MAX_ROWS",
    "MAX_SEEDS",
    "OPTIMIZATIONS",
    "PIPELINES",
    "PRECISIONS",
    "PROTOCOLS",
    "PROTOCOL_FIELDS",
    "RESTART",
    "SIZED",
    "STANDING_BATCHES",
    "STRATEGIES",
    "AttentionConfig",
    "BenchmarkEvaluationConfig",
    "BenchmarkInputConfig",
    "BenchmarkStepConfig",
    "CardConfig",
    "CheckConfig",
    "ClassifierConfig",
    "Command",
    "CompareConfig",
    "CompileAheadConfig",
    "ConvertConfig",
    "DataConfig",
    "DemoConfig",
    "DigitsClassifierConfig",
    "DigitsConfig",
    "DryRunConfig",
    "EmojiConfig",
    "EvalConfig",
    "ExploreConfig",
    "ExportConfig",
    "GpuSuiteConfig",
    "ImportConfig",
    "Interrupted",
    "ModelConfig",
    "PrepareConfig",
    "ReportConfig",
    "SampleConfig",
    "Sampling",
    "ScoreImagesConfig",
    "ScoringConfig",
    "TrainConfig",
    "TruncationConfig",
    "UnusableCheckpoint",
    "UserError",
    "WorkerLost",
    "check",
    "difference",
    "numbers_of",
    "optimizations",
    "option",
    "protocol",
    "protocol_differences",
    "run_directory",
]
