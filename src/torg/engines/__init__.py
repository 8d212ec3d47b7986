"""Server engines for a fleet on this machine: `torg engines up` starts real ones, from a Docker engine or from the system's and languages' registries."""
