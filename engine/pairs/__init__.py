"""Everything indexed [pair]: tiles of the grid, gravity screen, synchronization, treatment, moments."""
