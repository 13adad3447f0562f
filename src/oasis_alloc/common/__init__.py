"""What every stage uses: checks of arguments, labels, files that are written whole, text tables."""
