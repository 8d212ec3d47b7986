"""A sandbox acquirer: an application of its own that takes test cards. It knows nothing of the shop; the shop talks to it over HTTP alone."""
