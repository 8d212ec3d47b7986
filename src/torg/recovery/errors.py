"""What a backup or a restore refuses, in a sentence for whoever asked."""


class CannotBackUp(Exception):
    """Says what stands in the way, and what to do."""


class CannotRestore(Exception):
    """Says what is wrong with the backup, its key or the folder, and what to do."""
