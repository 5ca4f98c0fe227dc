"""Between the gateway's words and a vendor's: what is asked, what was answered, and what went wrong."""
