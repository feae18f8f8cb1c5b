"""Whether a potential is safe to simulate with: short distances, compression, expansion, hot atoms."""

from plip.safety._check import check_safety
from plip.safety._report import Finding, SafetyReport

__all__ = ["Finding", "SafetyReport", "check_safety"]
