"""Small shared tools without any knowledge of graph learning: names, files, hashes, validation."""
