"""Tests of what lies on disk: headers, sources, folders, and the audit of what a config needs."""
