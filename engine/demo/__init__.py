"""The embedded demo model: its corpus, tokenizer, training and export. Nothing outside it imports it."""
