{"source": {"git": {}}}
