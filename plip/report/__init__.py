"""Errors of a potential, and what is in it: as text, and as a page to read in a browser."""

from plip.report._page import write_report
from plip.report._show import potential_summary
from plip.report._text import Evaluation, evaluation_report, fit_report

__all__ = ["Evaluation", "evaluation_report", "fit_report", "potential_summary", "write_report"]
