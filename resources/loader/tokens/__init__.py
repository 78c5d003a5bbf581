"""Documents of tokens packed into rows of one length."""
