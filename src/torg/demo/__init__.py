"""The demonstration shop: a year of a grocery retailer's public data, made readable."""
