"""What the indexes do alike, whatever engine finds the products: words, plans of searches, facets' values, updates that wait."""
