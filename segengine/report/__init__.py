"""The report of one run: charts, contact sheets and a self-contained HTML page."""
