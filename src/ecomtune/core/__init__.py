"""The schema and the files: configuration, records, names of folders, atomic outputs, locks, text normalization."""
