"""Programs of others: registered by the staff, let in by people, given tokens."""
