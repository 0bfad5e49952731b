"""From rows to examples: cleaning, splits, leakage, rejected rows."""
