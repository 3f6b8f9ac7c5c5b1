"""The wiring lab."""
