"""What the stage compare writes: summary, pairs, plots, the page."""
