"""What is wrong with labeled structures, before the fit."""

from plip.audit._audit import audit
from plip.audit._report import AuditReport, Finding

__all__ = ["AuditReport", "Finding", "audit"]
