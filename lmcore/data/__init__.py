"""Real corpora, windows and batches."""
