"""Where voices are kept: memory, and the tiers below it as bytes."""
