"""The trace log's file: its tables and views, and how it is opened, whichever version made it."""
