"""What a parameter file would cost, told before anything runs: downloads, tokens, memory, time. Estimates, not promises."""

from ecomtune.plan.machine import Peak, measured_peak
from ecomtune.plan.printed import notes, show, table
from ecomtune.plan.steps import Step, steps
from ecomtune.plan.tokens import RowTokens, tokens_of

__all__ = ["Peak", "RowTokens", "Step", "measured_peak", "notes", "show", "steps", "table", "tokens_of"]
