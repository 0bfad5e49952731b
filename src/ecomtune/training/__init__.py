"""What every training shares: checkpoints, callbacks, TrainingArguments."""
