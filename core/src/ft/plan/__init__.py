"""What a recipe will need, and the settings that are fastest within a memory."""
