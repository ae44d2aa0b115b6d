"""The report of a search: one HTML file."""

from kgrow.report.page import check_free, report_of, unfinished_report_of, write_report

__all__ = ["check_free", "report_of", "unfinished_report_of", "write_report"]
