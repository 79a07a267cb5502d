"""The weekly report: one page for the people who run the programme."""
