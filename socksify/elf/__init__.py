"""What the files of extension modules and shared libraries tell. Nothing here needs `socket`."""
