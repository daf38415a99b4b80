not configuration
