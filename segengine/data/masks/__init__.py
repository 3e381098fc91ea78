"""What masks hold and mean: survey, diagnosis, labels, and mappers from raw values to classes."""
