"""What a comparison looks like: one offline page, and its tables and figures as files."""
