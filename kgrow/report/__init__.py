"""The report of a search: one HTML file."""

from kgrow.report.file import check_free, write_report
from kgrow.report.page import report_of, unfinished_report_of

__all__ = ["check_free", "report_of", "unfinished_report_of", "write_report"]
