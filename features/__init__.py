"""Raw tables to one row of features per member, as of a date."""
