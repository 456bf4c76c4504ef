"""What people look at: tables, plots, pictures of single cases, and the page that holds them."""

from cvlnet.evaluation.report.report import Report, evaluate_and_report

__all__ = ["Report", "evaluate_and_report"]
