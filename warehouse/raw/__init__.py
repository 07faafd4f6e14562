"""Appending to the raw tables: files in parts, landed events, withdrawals."""
