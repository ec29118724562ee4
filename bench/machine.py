"""What a benchmark ran on."""

import platform
from pathlib import Path

import psutil

__all__ = ["describe_machine"]


def describe_machine() -> str:
    """One line: processor, cores, memory, kernel, Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {system}"
