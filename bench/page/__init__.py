"""The report: one page of HTML that needs nothing else to be looked at."""
