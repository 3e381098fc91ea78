"""The digital abdomen phantom behind `data/abdomen`: implicit shapes, tissues and a simulated MR scanner."""
