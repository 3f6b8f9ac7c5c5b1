"""The mathematics of DeepSeek-V3, in the paper's names: pure functions of weights, caches and tokens."""
