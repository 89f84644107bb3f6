"""The contract: all that a plugin imports from ft.

Everything here is stable and versioned with ft-core; nothing else of core may be imported by
a plugin. Hooks are listed and explained in :mod:`ft.api.hookspecs`.
"""

from pydantic import Field

from ft.api._markers import hookimpl
from ft.api.adapter import Adapter
from ft.api.answers import json_call, read_answer, tagged_call, typed_argument
from ft.api.backend import Backend
from ft.api.capability import VOCABULARY, Capabilities, Capability
from ft.api.command import Command
from ft.api.dataset import Dataset, DatasetOptions
from ft.api.engine import Answer, Engine, Sampling
from ft.api.estimate import Device, Estimate
from ft.api.evaluator import Evaluator
from ft.api.examples import (
    Conversation,
    Encoded,
    Example,
    Feedback,
    Labelled,
    Message,
    Origin,
    Part,
    Preference,
    Prompt,
    Rendered,
    Similar,
    Stepwise,
    Text,
    ToolCall,
)
from ft.api.exporter import Exporter
from ft.api.kernel import Kernel
from ft.api.model import TINY, Checkpoint, ModelFamily, ModelOptions
from ft.api.online import OnlineOptions, OnlineTrainer, Rollout
from ft.api.optimizer import (
    LayerwiseOptimizer,
    LayerwiseOptions,
    Optimizer,
    OptimizerOptions,
)
from ft.api.plugin import Plugin, PluginOptions, RecipePath
from ft.api.progress import Progress
from ft.api.proof import KnownFailure, Limit
from ft.api.quantizer import FrozenLinear, OwnLayers, Prequantized, Quantizer
from ft.api.reward import Reward, RewardOptions, time_limit
from ft.api.run import Run
from ft.api.source import Source
from ft.api.state import Process, State
from ft.api.template import Template, TemplateOptions
from ft.api.tracker import Tracker
from ft.api.trainer import Batch, Loss, Predictions, TokenLosses, Trainer, TrainerOptions
from ft.api.video import TorchvisionFamily, VideoFamily
from ft.errors import FtError, InputError, PluginError, RowError, RunError
from ft.kinds import KINDS, Kind

__all__ = [
    "KINDS",
    "TINY",
    "VOCABULARY",
    "Adapter",
    "Answer",
    "Backend",
    "Batch",
    "Capabilities",
    "Capability",
    "Checkpoint",
    "Command",
    "Conversation",
    "Dataset",
    "DatasetOptions",
    "Device",
    "Encoded",
    "Engine",
    "Estimate",
    "Evaluator",
    "Example",
    "Exporter",
    "Feedback",
    "Field",
    "FrozenLinear",
    "FtError",
    "InputError",
    "Kernel",
    "Kind",
    "KnownFailure",
    "Labelled",
    "LayerwiseOptimizer",
    "LayerwiseOptions",
    "Limit",
    "Loss",
    "Message",
    "ModelFamily",
    "ModelOptions",
    "OnlineOptions",
    "OnlineTrainer",
    "Optimizer",
    "OptimizerOptions",
    "Origin",
    "OwnLayers",
    "Part",
    "Plugin",
    "PluginError",
    "PluginOptions",
    "Predictions",
    "Preference",
    "Prequantized",
    "Process",
    "Progress",
    "Prompt",
    "Quantizer",
    "RecipePath",
    "Rendered",
    "Reward",
    "RewardOptions",
    "Rollout",
    "RowError",
    "Run",
    "RunError",
    "Sampling",
    "Similar",
    "Source",
    "State",
    "Stepwise",
    "Template",
    "TemplateOptions",
    "Text",
    "TokenLosses",
    "ToolCall",
    "TorchvisionFamily",
    "Tracker",
    "Trainer",
    "TrainerOptions",
    "VideoFamily",
    "hookimpl",
    "json_call",
    "read_answer",
    "tagged_call",
    "time_limit",
    "typed_argument",
]
