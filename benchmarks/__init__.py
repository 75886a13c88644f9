"""Speed and memory as ratios measured side by side in one run; nothing here is asserted in a test.

Each module is one command: `python -m benchmarks.extraction`. The simulator runs in its own process, and so does each
side that is measured, so that CPU and peak memory are that side's alone.
"""
