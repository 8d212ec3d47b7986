"""The rules of users and sessions."""
