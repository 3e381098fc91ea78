"""Charts and pictures for the report page, the comparison page and image files; inputs are plain data, not runs."""
