"""What every process that computes with torch sets first."""

from __future__ import annotations

import os
import warnings


def prepare(threads: int) -> None:
    """Fix the number of CPU threads (it decides the last digits of sums), go offline, and keep libraries quiet."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning)
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
