"""The savings of a cache folder as one HTML file: without scripts, and with nothing that would be fetched."""
