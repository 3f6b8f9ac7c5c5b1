"""The embedded demo model: its corpus, tokenizer, training and export. Only `place` is for others."""
