"""A report in forms that others read: text, JSON, JUnit."""
