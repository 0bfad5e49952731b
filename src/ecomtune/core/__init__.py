"""What every step of the study uses: configs, records, names of folders, atomic files, locks, text normalization."""
