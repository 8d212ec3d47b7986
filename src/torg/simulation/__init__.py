"""The whole shop in one process on made-up time: a scheduler, a network and disks that are drawn from a seed, and everything on them that may go wrong."""
