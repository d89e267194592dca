"""Everything indexed [city, year]: reading, deflating, filling, validating, indices, embedded data."""
