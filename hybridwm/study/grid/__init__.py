"""The laboratory: memory × depth source × trajectory × scene × seed, measured cell by cell, and what it says."""
